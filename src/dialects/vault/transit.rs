//! Transit: the account's keys, named by their aliases without `alias/`.
//!
//! Owns: the endpoints of the mount, and texts such as `vault:v1:…`. Must not know: tokens of PKCS#11. Called by: door.
//!
//! What stands behind the colon is a blob as every door gives it, in Base64: bound to account, region, key version, and to `context` and
//! `associated_data` where they are given. It holds the bytes themselves.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::api::numbered_keys::{
    Decrypting, DescribeNumbered, Encrypting, NewKeyBytes, NumberedDataKey, NumberedDecrypt, NumberedEncrypt, NumberedKey,
    NumberedMac, NumberedReEncrypt, NumberedSign, NumberedVerify, NumberedVerifyMac, Proof, Sealed, Signing,
};
use crate::api::{Exchange, Mode};
use crate::base::ids::{ALIAS_PREFIX, Alias, KeyName, KeyRef};
use crate::base::secret::Plaintext;
use crate::base::words::KeySpec;
use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::body::Body;
use crate::dialects::vault::json::Members;
use crate::dialects::vault::kv::unsupported;
use crate::dialects::vault::reply::Content;
use crate::error::Error;
use crate::http::Method;

/// Bytes that are encrypted at most, as through every door.
const LARGEST: usize = 6 * 1024;

/// An endpoint of the mount.
pub fn endpoint(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    let writes = matches!(asked.call.method, Method::Post | Method::Put);
    let parts: Vec<&str> = path.split('/').collect();
    match (parts.as_slice(), writes) {
        (["keys", name @ ..], false) if asked.call.method == Method::Get => keys(asked, exchange, &name.join("/")),
        (["encrypt", name @ ..], true) => encrypt(asked, exchange, &name.join("/")),
        (["decrypt", name @ ..], true) => decrypt(asked, exchange, &name.join("/")),
        (["rewrap", name @ ..], true) => rewrap(asked, exchange, &name.join("/")),
        (["datakey", kind @ ("plaintext" | "wrapped"), name @ ..], true) => {
            data_key(asked, exchange, &name.join("/"), *kind == "plaintext")
        }
        ([kind @ ("sign" | "verify" | "hmac"), name @ ..], true) => {
            let (name, hash) = match name {
                [name @ .., hash] if hash.starts_with("sha") && !name.is_empty() => (name, Some(*hash)),
                name => (name, None),
            };
            proof(asked, exchange, kind, &name.join("/"), hash)
        }
        (["keys" | "encrypt" | "decrypt" | "rewrap" | "datakey" | "sign" | "verify" | "hmac", ..], _) => {
            unsupported(asked, exchange)
        }
        _ => {
            asked.names(exchange, "NoRoute", None);
            Err(asked.say(404, format!("unsupported path {:?}", asked.path), Error::PathNotFound))
        }
    }
}

fn key(asked: &Asked<'_>, name: &str) -> Result<KeyRef, Error> {
    let alias: Result<Alias, _> = format!("{ALIAS_PREFIX}{name}").parse();
    let alias = alias.map_err(|rule| asked.bad(format!("a key is named by its alias, which is {}", rule.0)))?;
    Ok(KeyRef { home: None, name: KeyName::Alias(alias) })
}

fn keys(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "DescribeKey", |request| {
        let found = request.execute::<DescribeNumbered>(key(asked, name), Mode::Real).map_err(|error| match error {
            Error::KeyNotFound | Error::AliasNotFound => Error::SecretNotFound,
            error => error,
        })?;
        Ok(Content::data(&told(name, &found)))
    })
}

fn told(name: &str, NumberedKey { spec, versions }: &NumberedKey) -> Value {
    let (kind, encrypts, signs) = match spec {
        KeySpec::Aes256 => ("aes256-gcm96", true, false),
        KeySpec::Aes128 => ("aes128-gcm96", true, false),
        KeySpec::Rsa2048 => ("rsa-2048", false, true),
        KeySpec::Rsa3072 => ("rsa-3072", false, true),
        KeySpec::Rsa4096 => ("rsa-4096", false, true),
        KeySpec::EcP256 => ("ecdsa-p256", false, true),
        KeySpec::Aes192 | KeySpec::Sm4 | KeySpec::Des3 => (spec.as_str(), true, false),
        KeySpec::EcP256k | KeySpec::EcSm2 => (spec.as_str(), false, true),
        KeySpec::HmacSm3 | KeySpec::HmacSha224 | KeySpec::HmacSha256 | KeySpec::HmacSha384 | KeySpec::HmacSha512 => {
            ("hmac", false, false)
        }
    };
    let made = |(place, at): (usize, &crate::base::clock::Timestamp)| {
        let at = if signs { json!({ "creation_time": at.with_ms(), "name": kind }) } else { json!(at.0.div_euclid(1000)) };
        ((place + 1).to_string(), at)
    };
    let each: Map<String, Value> = versions.iter().enumerate().map(made).collect();
    json!({
        "name": name, "type": kind, "keys": each, "latest_version": versions.len(), "min_available_version": 0,
        "min_decryption_version": 1, "min_encryption_version": 0, "deletion_allowed": false, "derived": false,
        "exportable": false, "allow_plaintext_backup": false, "imported_key": false, "auto_rotate_period": 0,
        "supports_encryption": encrypts, "supports_decryption": encrypts, "supports_derivation": false,
        "supports_signing": signs,
    })
}

/// One thing of a request, or of its batch.
struct Item<'a>(Members<'a>);

impl Item<'_> {
    fn text(&self, asked: &Asked<'_>, name: &str) -> Result<Option<Zeroizing<String>>, Error> {
        let Some(value) = self.0.get(name).map(|value| value.get()).filter(|text| *text != "null") else { return Ok(None) };
        let text: Result<String, _> = serde_json::from_str(value);
        text.map(|text| Some(Zeroizing::new(text))).map_err(|_| asked.bad(format!("{name} must be a text")))
    }

    fn bytes(&self, asked: &Asked<'_>, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let text = self.text(asked, name)?.ok_or_else(|| asked.bad(format!("missing {name}")))?;
        let bytes = STANDARD.decode(text.as_bytes()).map(Zeroizing::new);
        bytes.map_err(|_| asked.bad(format!("failed to base64-decode {name}")))
    }

    /// What the item is bound to: these members, as they stand.
    fn bound(&self, asked: &Asked<'_>) -> Result<BTreeMap<String, String>, Error> {
        let mut bound = BTreeMap::new();
        for name in ["associated_data", "context"] {
            if let Some(text) = self.text(asked, name)?.filter(|text| !text.is_empty()) {
                bound.insert(name.to_owned(), text.to_string());
            }
        }
        Ok(bound)
    }

    /// The blob of `vault:vN:…`.
    fn blob(&self, asked: &Asked<'_>) -> Result<Vec<u8>, Error> {
        let text = self.text(asked, "ciphertext")?.ok_or_else(|| asked.bad("missing ciphertext to decrypt"))?;
        parsed(&text).map(|(_, blob)| blob).ok_or_else(|| asked.bad("invalid ciphertext: no prefix, or not Base64"))
    }
}

/// The number and the bytes of `vault:vN:…`.
fn parsed(text: &str) -> Option<(usize, Vec<u8>)> {
    let (number, encoded) = text.strip_prefix("vault:v")?.split_once(':')?;
    Some((number.parse().ok().filter(|number| *number > 0)?, STANDARD.decode(encoded).ok()?))
}

fn written(version: usize, bytes: &[u8]) -> String {
    format!("vault:v{version}:{}", STANDARD.encode(bytes))
}

/// The items of a body: those of `batch_input`, or itself.
fn items<'a>(asked: &Asked<'a>) -> Result<(Vec<Item<'a>>, bool), Error> {
    let body = Body::of(asked)?;
    let Some(batch) = body.get("batch_input") else { return Ok((vec![Item(body.into_members())], false)) };
    let wrong = || asked.bad("batch_input must be a list of objects");
    let each: Vec<&'a RawValue> = serde_json::from_str(batch).map_err(|_| wrong())?;
    if each.is_empty() {
        return Err(asked.bad("missing batch input to process"));
    }
    let item = |value: &&'a RawValue| serde_json::from_str(value.get()).map(Item).map_err(|_| wrong());
    Ok((each.iter().map(item).collect::<Result<_, _>>()?, true))
}

/// The answer of one item, or of all of a batch.
fn answered(batch: bool, mut each: Vec<Value>) -> Content {
    let data = match each.pop() {
        Some(only) if !batch => only,
        last => {
            each.extend(last);
            json!({ "batch_results": each })
        }
    };
    Content::secret_data(200, Zeroizing::new(data.to_string().into_bytes()))
}

fn sealed(made: &Sealed) -> Value {
    json!({ "ciphertext": written(made.version, &made.blob), "key_version": made.version })
}

fn wrong_ciphertext(asked: &Asked<'_>, error: Error) -> Error {
    match error {
        Error::Invalid { .. } => {
            asked.say(400, "invalid ciphertext: it is not of this key, was changed, or is bound to something else", error)
        }
        error => error,
    }
}

fn encrypt(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "Encrypt", |request| {
        let (given, batch) = items(asked)?;
        let item = |item: &Item<'_>| {
            if item.0.get("plaintext").is_none_or(|value| value.get() == "null") {
                return Err(asked.bad("missing plaintext to encrypt"));
            }
            let mut bytes = item.bytes(asked, "plaintext")?;
            if !(1..=LARGEST).contains(&bytes.len()) {
                return Err(asked.bad(format!("plaintext must be 1 to {LARGEST} bytes")));
            }
            Ok((Plaintext::new(std::mem::take(&mut *bytes)), item.bound(asked)?))
        };
        let items = given.iter().map(item).collect::<Result<_, _>>()?;
        let made = request.execute::<NumberedEncrypt>(key(asked, name).map(|key| Encrypting { key, items }), Mode::Real)?;
        Ok(answered(batch, made.iter().map(sealed).collect()))
    })
}

fn blobs(asked: &Asked<'_>, name: &str) -> Result<(Decrypting, bool), Error> {
    let (given, batch) = items(asked)?;
    let items = given.iter().map(|item| Ok((item.blob(asked)?, item.bound(asked)?))).collect::<Result<_, Error>>()?;
    Ok((Decrypting { key: key(asked, name)?, items }, batch))
}

fn decrypt(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "Decrypt", |request| {
        let (blobs, batch) = blobs(asked, name)?;
        let opened =
            request.execute::<NumberedDecrypt>(Ok(blobs), Mode::Real).map_err(|error| wrong_ciphertext(asked, error))?;
        let text = |plaintext: &Plaintext| Zeroizing::new(STANDARD.encode(plaintext.expose()));
        let each: Vec<_> = opened.iter().map(text).collect();
        let length: usize = each.iter().map(|text| text.len() + 24).sum();
        let mut data = Zeroizing::new(Vec::with_capacity(length + 32));
        let (before, behind) = if batch { ("{\"batch_results\":[", "]}") } else { ("", "") };
        data.extend_from_slice(before.as_bytes());
        for (n, text) in each.iter().enumerate() {
            if n > 0 {
                data.push(b',');
            }
            for part in [&b"{\"plaintext\":\""[..], text.as_bytes(), b"\"}"] {
                data.extend_from_slice(part);
            }
        }
        data.extend_from_slice(behind.as_bytes());
        Ok(Content::secret_data(200, data))
    })
}

fn rewrap(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "ReEncrypt", |request| {
        let (blobs, batch) = blobs(asked, name)?;
        let made =
            request.execute::<NumberedReEncrypt>(Ok(blobs), Mode::Real).map_err(|error| wrong_ciphertext(asked, error))?;
        Ok(answered(batch, made.iter().map(sealed).collect()))
    })
}

fn data_key(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str, shown: bool) -> Result<Content, Error> {
    let action = if shown { "GenerateDataKey" } else { "GenerateDataKeyWithoutPlaintext" };
    asked.as_bearer(exchange, action, |request| {
        let body = Body::of(asked)?;
        let length = match body.numbers(asked, "bits")?.as_slice() {
            [] | [256] => 32,
            [128] => 16,
            [512] => 64,
            _ => return Err(asked.bad("invalid bit length: 128, 256 or 512")),
        };
        let bound = Item(body.into_members()).bound(asked)?;
        let new = NewKeyBytes { key: key(asked, name)?, length, bound, shown };
        let (bytes, made) = request.execute::<NumberedDataKey>(Ok(new), Mode::Real)?;
        let mut told = sealed(&made);
        if shown {
            told["plaintext"] = STANDARD.encode(bytes.expose()).into();
        }
        Ok(Content::secret_data(200, Zeroizing::new(told.to_string().into_bytes())))
    })
}

fn proof(asked: &Asked<'_>, exchange: &Exchange<'_>, kind: &str, name: &str, hash: Option<&str>) -> Result<Content, Error> {
    let body = Body::of(asked);
    let by_mac = kind == "hmac" || body.as_ref().is_ok_and(|body| body.get("hmac").is_some());
    let action = match (kind, by_mac) {
        ("sign", _) => "AsymmetricSign",
        ("verify", false) => "AsymmetricVerify",
        ("verify", true) => "VerifyMac",
        _ => "GenerateMac",
    };
    asked.as_bearer(exchange, action, |request| {
        let body = body?;
        let named = |name: &str| body.text(asked, name);
        let hash = match (hash.map(str::to_owned), named("hash_algorithm")?, named("algorithm")?) {
            (Some(hash), ..) | (None, Some(hash), _) | (None, None, Some(hash)) => hash,
            (None, None, None) => "sha2-256".to_owned(),
        };
        if hash != "sha2-256" {
            return Err(asked.bad("the hash algorithm that is served is sha2-256"));
        }
        if named("marshaling_algorithm")?.is_some_and(|name| name != "asn1") {
            return Err(asked.bad("signatures are marshaled as asn1"));
        }
        let pkcs1 = match named("signature_algorithm")?.as_deref() {
            None | Some("" | "pss") => false,
            Some("pkcs1v15") => true,
            Some(_) => return Err(asked.bad("signature_algorithm must be pss or pkcs1v15")),
        };
        let prehashed = body.flag(asked, "prehashed")? == Some(true);
        let shown = [named("signature")?, named("hmac")?].into_iter().flatten().next();
        let item = Item(body.into_members());
        let message = item.bytes(asked, "input")?.to_vec();
        let hashed = if prehashed { message.clone() } else { digest(&SHA256, &message).as_ref().to_vec() };
        let digest = hashed.try_into().map_err(|_| asked.bad("a prehashed input of sha2-256 has 32 bytes"))?;
        let of = Signing { key: key(asked, name)?, digest, message, pkcs1 };
        if kind == "verify" {
            let shown = shown.ok_or_else(|| asked.bad("one of signature, hmac must be supplied"))?;
            let (version, signature) =
                parsed(&shown).ok_or_else(|| asked.bad("invalid signature: no prefix, or not Base64"))?;
            let proof = Ok(Proof { of, version, signature });
            let valid = match by_mac {
                true => request.execute::<NumberedVerifyMac>(proof, Mode::Real)?,
                false => request.execute::<NumberedVerify>(proof, Mode::Real)?,
            };
            return Ok(Content::data(&json!({ "valid": valid })));
        }
        let (member, made) = match by_mac {
            true => ("hmac", request.execute::<NumberedMac>(Ok(of), Mode::Real)?),
            false => ("signature", request.execute::<NumberedSign>(Ok(of), Mode::Real)?),
        };
        Ok(Content::data(&json!({ member: written(made.version, &made.signature), "key_version": made.version })))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_a_version() {
        assert_eq!(parsed("vault:v12:AQI="), Some((12, vec![1, 2])));
        assert_eq!(written(12, &[1, 2]), "vault:v12:AQI=");
        for wrong in ["", "vault:v0:AQI=", "vault:vx:AQI=", "vault:v1", "vault:v1:%", "v1:AQI=", "vault:v-1:AQI="] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}

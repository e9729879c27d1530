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
    Ciphertext, Decrypting, DescribeNumbered, Encrypting, NewKeyBytes, NumberedDataKey, NumberedDecrypt, NumberedEncrypt,
    NumberedKey, NumberedMac, NumberedReEncrypt, NumberedSign, NumberedVerify, NumberedVerifyMac, Proof, Sealed, Signable,
    Signed, Signing,
};
use crate::api::{Exchange, Mode};
use crate::base::ids::{ALIAS_PREFIX, Alias, KeyName, KeyRef};
use crate::base::secret::Plaintext;
use crate::base::words::{KeySpec, MacAlgorithm};
use crate::dialects::vault::asked::Asked;
use crate::dialects::vault::body::{Body, plain, whole};
use crate::dialects::vault::json::{self, Members};
use crate::dialects::vault::kv::unsupported;
use crate::dialects::vault::reply::Content;
use crate::error::Error;
use crate::http::Method;

/// Bytes that are encrypted at most, as through every door.
const LARGEST: usize = 6 * 1024;

/// Entries of a batch at most: each costs the token an operation.
const MAX_ITEMS: usize = 1000;

/// Hashes that may be the last part of a path; another last part belongs to the key's name.
const HASHES: [&str; 9] =
    ["sha1", "sha2-224", "sha2-256", "sha2-384", "sha2-512", "sha3-224", "sha3-256", "sha3-384", "sha3-512"];

/// An endpoint of the mount.
pub fn endpoint(asked: &Asked<'_>, exchange: &Exchange<'_>, path: &str) -> Result<Content, Error> {
    let writes = matches!(asked.method(), Method::Post | Method::Put);
    let parts: Vec<&str> = path.split('/').collect();
    match (parts.as_slice(), writes) {
        (["keys", name @ ..], false) if asked.method() == Method::Get => keys(asked, exchange, &name.join("/")),
        (["encrypt", name @ ..], true) => encrypt(asked, exchange, &name.join("/")),
        (["decrypt", name @ ..], true) => decrypt(asked, exchange, &name.join("/")),
        (["rewrap", name @ ..], true) => rewrap(asked, exchange, &name.join("/")),
        (["datakey", kind @ ("plaintext" | "wrapped"), name @ ..], true) => {
            data_key(asked, exchange, &name.join("/"), *kind == "plaintext")
        }
        ([kind @ ("sign" | "verify" | "hmac"), name @ ..], true) => {
            let name = name.join("/");
            let (name, hash) = without_hash(&name);
            proof(asked, exchange, kind, name, hash)
        }
        (["keys" | "encrypt" | "decrypt" | "rewrap" | "datakey" | "sign" | "verify" | "hmac", ..], _) => {
            unsupported(asked, exchange)
        }
        _ => asked.for_bearer(exchange, "NoRoute", || {
            Err(asked.say(404, format!("unsupported path {:?}", asked.path), Error::PathNotFound))
        }),
    }
}

/// The name of a key, and the hash that may follow it.
pub fn without_hash(path: &str) -> (&str, Option<&str>) {
    match path.rsplit_once('/') {
        Some((name, hash)) if HASHES.contains(&hash) => (name, Some(hash)),
        _ => (path, None),
    }
}

/// Members that say how all of a batch is done.
const OF_A_BATCH: [&str; 6] =
    ["algorithm", "hash_algorithm", "marshaling_algorithm", "prehashed", "salt_length", "signature_algorithm"];

/// The key of a name.
///
/// # Errors
/// Where no alias is called so.
pub fn key(asked: &Asked<'_>, name: &str) -> Result<KeyRef, Error> {
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

fn told(name: &str, NumberedKey { spec, signs, versions, public_keys }: &NumberedKey) -> Value {
    let (kind, encrypts, is_pair) = match spec {
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
        let mut told = if is_pair { json!({ "creation_time": at.with_ms() }) } else { json!(at.0.div_euclid(1000)) };
        if is_pair {
            told["name"] = if *spec == KeySpec::EcP256 { "P-256" } else { kind }.into();
        }
        if let Some(pem) = public_keys.get(place) {
            told["public_key"] = pem.as_str().into();
        }
        ((place + 1).to_string(), told)
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

    /// A text that says something.
    fn given(&self, asked: &Asked<'_>, name: &str) -> Result<Option<Zeroizing<String>>, Error> {
        Ok(self.text(asked, name)?.filter(|text| !text.is_empty()))
    }

    fn bytes(&self, asked: &Asked<'_>, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let text = self.text(asked, name)?.ok_or_else(|| asked.bad(format!("missing {name}")))?;
        decoded(&text).ok_or_else(|| asked.bad(format!("failed to base64-decode {name}")))
    }

    /// The version of the key that is asked for, by its number; none for the newest, which 0 is too.
    fn version(&self, asked: &Asked<'_>) -> Result<Option<usize>, Error> {
        let Some(value) = self.0.get("key_version").map(|value| value.get()).filter(|text| *text != "null") else {
            return Ok(None);
        };
        let number = whole(value).map_err(|()| asked.bad("key_version must be a whole number"))?.unwrap_or_default();
        let number = usize::try_from(number).map_err(|_| asked.bad("key_version must not be negative"))?;
        Ok(Some(number).filter(|number| *number > 0))
    }

    /// What the client calls it, as JSON.
    fn reference(&self, asked: &Asked<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(json::quoted(self.text(asked, "reference")?.as_deref().map_or("", String::as_str)))
    }

    /// What the item is bound to: the bytes of these members, in the one spelling of Base64.
    fn bound(&self, asked: &Asked<'_>) -> Result<BTreeMap<String, String>, Error> {
        let mut bound = BTreeMap::new();
        for name in ["associated_data", "context"] {
            if let Some(text) = self.given(asked, name)? {
                let bytes = decoded(&text).ok_or_else(|| asked.bad(format!("failed to base64-decode {name}")))?;
                bound.insert(name.to_owned(), STANDARD.encode(&*bytes));
            }
        }
        Ok(bound)
    }

    /// What `vault:vN:…` holds.
    fn ciphertext(&self, asked: &Asked<'_>) -> Result<Ciphertext, Error> {
        let text = self.text(asked, "ciphertext")?.ok_or_else(|| asked.bad("missing ciphertext to decrypt"))?;
        let parts = parsed(&text).ok_or_else(|| asked.bad("invalid ciphertext: no prefix, or not Base64"))?;
        Ok(Ciphertext { version: parts.0, blob: parts.1, bound: self.bound(asked)? })
    }
}

/// The number and the bytes of `vault:vN:…`.
fn parsed(text: &str) -> Option<(usize, Vec<u8>)> {
    let (number, encoded) = text.strip_prefix("vault:v")?.split_once(':')?;
    Some((number.parse().ok().filter(|number| *number > 0)?, decoded(encoded)?.to_vec()))
}

/// The bytes of a text in Base64. It may be broken into lines, and end one, as the program `base64` writes it.
fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(text.len()));
    line.extend(text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    STANDARD.decode(line.as_slice()).ok().map(Zeroizing::new)
}

fn written(version: usize, bytes: &[u8]) -> String {
    format!("vault:v{version}:{}", STANDARD.encode(bytes))
}

/// What a request gives.
struct Given<'a> {
    /// The items of `batch_input`, or the body itself.
    items: Vec<Item<'a>>,
    /// Whether they are of a batch.
    batch: bool,
    /// The warning of members that mean nothing.
    ignored: Option<String>,
}

impl<'a> Given<'a> {
    /// Reads a body; `known` are the members that mean something.
    fn of(asked: &Asked<'a>, body: Body<'a>, known: &[&str]) -> Result<Self, Error> {
        let ignored = body.ignored(&[known, &["associated_data", "batch_input", "context", "reference"]].concat());
        let Some(batch) = body.get("batch_input") else {
            return Ok(Self { items: vec![Item(body.into_members())], batch: false, ignored });
        };
        let wrong = || asked.bad("batch_input must be a list of objects");
        let each: Vec<&'a RawValue> = serde_json::from_str(batch).map_err(|_| wrong())?;
        if each.is_empty() {
            return Err(asked.bad("missing batch input to process"));
        }
        if each.len() > MAX_ITEMS {
            return Err(asked.bad(format!("batch_input may have {MAX_ITEMS} entries")));
        }
        let item = |value: &&'a RawValue| {
            let members = json::members(value.get()).ok_or_else(wrong)?;
            // What would count if it stood beside the batch is not passed over.
            match OF_A_BATCH.iter().find(|name| members.contains_key(**name)) {
                Some(name) => {
                    Err(asked.bad(format!("{name} counts for all of a batch: it stands beside batch_input, not in it")))
                }
                None => Ok(Item(members)),
            }
        };
        Ok(Self { items: each.iter().map(item).collect::<Result<_, _>>()?, batch: true, ignored })
    }

    /// The numbers of versions that are asked for.
    fn versions(&self, asked: &Asked<'_>) -> Result<Vec<usize>, Error> {
        Ok(self.items.iter().map(|item| item.version(asked)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The answer: that of the one item, or of each of a batch with what the client calls it. Each is an object that has members, as JSON.
    fn answered(self, asked: &Asked<'_>, each: &[Zeroizing<Vec<u8>>]) -> Result<Content, Error> {
        let references = self.items.iter().map(|item| item.reference(asked)).collect::<Result<Vec<_>, _>>()?;
        let length = |all: &[Zeroizing<Vec<u8>>]| all.iter().map(|text| text.len() + 16).sum::<usize>();
        // All of it at once: a buffer that grows leaves copies behind.
        let mut data = Zeroizing::new(Vec::with_capacity(length(each) + length(&references) + 32));
        if !self.batch {
            each.iter().for_each(|only| data.extend_from_slice(only));
            return Ok(Content::secret_data(200, data).warned(self.ignored));
        }
        data.extend_from_slice(b"{\"batch_results\":[");
        for (n, (object, reference)) in each.iter().zip(&references).enumerate() {
            if n > 0 {
                data.push(b',');
            }
            let open = object.strip_suffix(b"}").unwrap_or(object);
            for part in [open, b",\"reference\":", reference, b"}"] {
                data.extend_from_slice(part);
            }
        }
        data.extend_from_slice(b"]}");
        Ok(Content::secret_data(200, data).warned(self.ignored))
    }
}

fn sealed(made: &Sealed) -> Value {
    json!({ "ciphertext": written(made.version, &made.blob), "key_version": made.version })
}

fn all_sealed(made: &[Sealed]) -> Vec<Zeroizing<Vec<u8>>> {
    objects(made.iter().map(sealed))
}

/// Objects without secrets, as JSON.
fn objects(all: impl Iterator<Item = Value>) -> Vec<Zeroizing<Vec<u8>>> {
    all.map(|object| Zeroizing::new(object.to_string().into_bytes())).collect()
}

/// What the use of a key is refused with, in words that fit: `what` is what it was to do.
fn refused(asked: &Asked<'_>, what: &str, error: Error) -> Error {
    match error {
        Error::UnsupportedOperation(_) => asked.say(400, format!("the type of this key does not support {what}"), error),
        Error::KeyVersionNotFound => asked.say(
            400,
            format!("requested version for {what} is not the newest of this key: leave key_version out, or give the newest"),
            error,
        ),
        error => error,
    }
}

fn wrong_ciphertext(asked: &Asked<'_>, error: Error) -> Error {
    match error {
        Error::Invalid { .. } => asked.say(
            400,
            "invalid ciphertext: it is not of this key and version, was changed, or is bound to something else",
            error,
        ),
        error => refused(asked, "encryption", error),
    }
}

fn encrypt(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "Encrypt", |request| {
        let given = Given::of(asked, Body::of(asked)?, &["key_version", "plaintext", "type"])?;
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
        let items = given.items.iter().map(item).collect::<Result<_, _>>()?;
        let encrypting = Encrypting { key: key(asked, name)?, items, versions: given.versions(asked)? };
        let made = request.execute::<NumberedEncrypt>(Ok(encrypting), Mode::Real);
        given.answered(asked, &all_sealed(&made.map_err(|error| refused(asked, "encryption", error))?))
    })
}

fn decrypting(asked: &Asked<'_>, name: &str, given: &Given<'_>) -> Result<Decrypting, Error> {
    let items = given.items.iter().map(|item| item.ciphertext(asked)).collect::<Result<_, Error>>()?;
    Ok(Decrypting { key: key(asked, name)?, items, versions: given.versions(asked)? })
}

fn decrypt(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "Decrypt", |request| {
        let given = Given::of(asked, Body::of(asked)?, &["ciphertext"])?;
        let decrypting = Decrypting { versions: Vec::new(), ..decrypting(asked, name, &given)? };
        let opened = request.execute::<NumberedDecrypt>(Ok(decrypting), Mode::Real);
        let object = |plaintext: &Plaintext| {
            let text = Zeroizing::new(STANDARD.encode(plaintext.expose()));
            let mut object = Zeroizing::new(Vec::with_capacity(text.len() + 32));
            for part in [&b"{\"plaintext\":\""[..], text.as_bytes(), b"\"}"] {
                object.extend_from_slice(part);
            }
            object
        };
        let each: Vec<_> = opened.map_err(|error| wrong_ciphertext(asked, error))?.iter().map(object).collect();
        given.answered(asked, &each)
    })
}

fn rewrap(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str) -> Result<Content, Error> {
    asked.as_bearer(exchange, "ReEncrypt", |request| {
        let given = Given::of(asked, Body::of(asked)?, &["ciphertext", "key_version"])?;
        let made = request.execute::<NumberedReEncrypt>(Ok(decrypting(asked, name, &given)?), Mode::Real);
        given.answered(asked, &all_sealed(&made.map_err(|error| wrong_ciphertext(asked, error))?))
    })
}

fn data_key(asked: &Asked<'_>, exchange: &Exchange<'_>, name: &str, shown: bool) -> Result<Content, Error> {
    let action = if shown { "GenerateDataKey" } else { "GenerateDataKeyWithoutPlaintext" };
    asked.as_bearer(exchange, action, |request| {
        let body = Body::of(asked)?;
        let length = match body.number(asked, "bits")? {
            None | Some(256) => 32,
            Some(128) => 16,
            Some(512) => 64,
            Some(_) => return Err(asked.bad("invalid bit length: 128, 256 or 512")),
        };
        let ignored = body.ignored(&["associated_data", "bits", "context", "key_version"]);
        let item = Item(body.into_members());
        let new =
            NewKeyBytes { key: key(asked, name)?, length, bound: item.bound(asked)?, shown, version: item.version(asked)? };
        let made = request.execute::<NumberedDataKey>(Ok(new), Mode::Real);
        let (bytes, made) = made.map_err(|error| refused(asked, "encryption", error))?;
        let mut told = sealed(&made);
        if shown {
            told["plaintext"] = STANDARD.encode(bytes.expose()).into();
        }
        Ok(Content::secret_data(200, Zeroizing::new(told.to_string().into_bytes())).warned(ignored))
    })
}

fn proof(asked: &Asked<'_>, exchange: &Exchange<'_>, kind: &str, name: &str, hash: Option<&str>) -> Result<Content, Error> {
    let given = Body::of(asked).and_then(|body| {
        let how = How::of(asked, &body, hash)?;
        Ok((how, Given::of(asked, body, &HOW)?))
    });
    let shows_mac = |item: &Item<'_>| item.given(asked, "hmac").is_ok_and(|mac| mac.is_some());
    let by_mac = kind == "hmac" || given.as_ref().is_ok_and(|(_, given)| given.items.iter().any(shows_mac));
    let action = match (kind, by_mac) {
        ("sign", _) => "AsymmetricSign",
        ("verify", false) => "AsymmetricVerify",
        ("verify", true) => "VerifyMac",
        _ => "GenerateMac",
    };
    asked.as_bearer(exchange, action, |request| {
        let (how, given) = given?;
        let what = if by_mac { "MACs" } else { "signing" };
        let mac = how.mac(asked, by_mac)?;
        let each = given.items.iter().map(|item| how.signable(asked, item)).collect::<Result<_, _>>()?;
        let mut of = Signing { key: key(asked, name)?, items: each, pkcs1: how.pkcs1, mac, versions: Vec::new() };
        if kind == "verify" {
            let shown = given.items.iter().map(|item| shown(asked, item, by_mac)).collect::<Result<_, _>>()?;
            let proof = Ok(Proof { of, shown });
            let valid = match by_mac {
                true => request.execute::<NumberedVerifyMac>(proof, Mode::Real),
                false => request.execute::<NumberedVerify>(proof, Mode::Real),
            };
            let valid = valid.map_err(|error| match error {
                // The signature says which.
                Error::KeyVersionNotFound => error,
                error => refused(asked, what, error),
            })?;
            return given.answered(asked, &objects(valid.iter().map(|valid| json!({ "valid": valid }))));
        }
        of.versions = given.versions(asked)?;
        let (member, made) = match by_mac {
            true => ("hmac", request.execute::<NumberedMac>(Ok(of), Mode::Real)),
            false => ("signature", request.execute::<NumberedSign>(Ok(of), Mode::Real)),
        };
        let made = made.map_err(|error| refused(asked, what, error))?;
        let told = |made: &Signed| json!({ member: written(made.version, &made.signature), "key_version": made.version });
        given.answered(asked, &objects(made.iter().map(told)))
    })
}

/// Members of a body that say how its items are signed, and those of an item.
const HOW: [&str; 10] = [
    "algorithm",
    "hash_algorithm",
    "hmac",
    "input",
    "key_version",
    "marshaling_algorithm",
    "prehashed",
    "salt_length",
    "signature",
    "signature_algorithm",
];

/// How the items of a request are signed.
struct How {
    /// The hash, where one is named.
    hash: Option<String>,
    /// Whether an RSA key signs in the older way.
    pkcs1: bool,
    /// Whether an input is a hash already.
    prehashed: bool,
}

impl How {
    /// Reads it, and refuses what is not served; `hash` is that of the path.
    fn of(asked: &Asked<'_>, body: &Body<'_>, hash: Option<&str>) -> Result<Self, Error> {
        let named = |name: &str| Ok::<_, Error>(body.text(asked, name)?.filter(|text| !text.is_empty()));
        let hash = hash.map(str::to_owned).or(named("hash_algorithm")?).or(named("algorithm")?);
        if named("marshaling_algorithm")?.is_some_and(|name| name != "asn1") {
            return Err(asked.bad("signatures are marshaled as asn1"));
        }
        let pkcs1 = match named("signature_algorithm")?.as_deref() {
            None | Some("pss") => false,
            Some("pkcs1v15") => true,
            Some(_) => return Err(asked.bad("signature_algorithm must be pss or pkcs1v15")),
        };
        if body.get("salt_length").is_some_and(|salt| !matches!(&*plain(salt), "" | "auto" | "hash" | "32")) {
            return Err(asked.bad("salt_length must be hash: the salt of a pss signature is as long as the hash, 32 bytes"));
        }
        Ok(Self { hash, pkcs1, prehashed: body.flag(asked, "prehashed")? == Some(true) })
    }

    /// The algorithm of MACs that is asked for; none for the key's own.
    ///
    /// # Errors
    /// For a hash that is not served.
    fn mac(&self, asked: &Asked<'_>, by_mac: bool) -> Result<Option<MacAlgorithm>, Error> {
        match (self.hash.as_deref(), by_mac) {
            (None, _) | (Some("sha2-256"), false) => Ok(None),
            (Some("sha2-224"), true) => Ok(Some(MacAlgorithm::HmacSha224)),
            (Some("sha2-256"), true) => Ok(Some(MacAlgorithm::HmacSha256)),
            (Some("sha2-384"), true) => Ok(Some(MacAlgorithm::HmacSha384)),
            (Some("sha2-512"), true) => Ok(Some(MacAlgorithm::HmacSha512)),
            (Some(_), true) => Err(asked.bad("the hash algorithm of a MAC is that of its key, sha2-224 to sha2-512")),
            (Some(_), false) => Err(asked.bad("the hash algorithm that is served is sha2-256")),
        }
    }

    fn signable(&self, asked: &Asked<'_>, item: &Item<'_>) -> Result<Signable, Error> {
        let message = item.bytes(asked, "input")?.to_vec();
        let hashed = if self.prehashed { message.clone() } else { digest(&SHA256, &message).as_ref().to_vec() };
        let digest = hashed.try_into().map_err(|_| asked.bad("a prehashed input of sha2-256 has 32 bytes"))?;
        Ok(Signable { digest, message })
    }
}

/// The signature or MAC of an item. All of a batch have the same of the two.
fn shown(asked: &Asked<'_>, item: &Item<'_>, by_mac: bool) -> Result<Signed, Error> {
    let text = match (item.given(asked, "signature")?, item.given(asked, "hmac")?) {
        (Some(text), None) if !by_mac => text,
        (None, Some(text)) if by_mac => text,
        _ => return Err(asked.bad("one of signature, hmac must be supplied")),
    };
    let parts = parsed(&text).ok_or_else(|| asked.bad("invalid signature: no prefix, or not Base64"))?;
    Ok(Signed { version: parts.0, signature: parts.1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_a_version() {
        assert_eq!(parsed("vault:v12:AQI="), Some((12, vec![1, 2])));
        assert_eq!(parsed("vault:v12:AQ\r\nI=\n"), Some((12, vec![1, 2])), "as `base64` breaks lines");
        assert_eq!(written(12, &[1, 2]), "vault:v12:AQI=");
        for wrong in ["", "vault:v0:AQI=", "vault:vx:AQI=", "vault:v1", "vault:v1:%", "v1:AQI=", "vault:v-1:AQI="] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}

//! The operations on keys.

use serde::{Deserialize, Serialize};

use crate::client::{Client, Request};
use crate::error::Error;
use crate::secret::{Value, base64};
use crate::secrets::tags_json;

/// A key that is to be.
#[derive(Debug, Default)]
pub struct NewKey<'a> {
    /// For example `Aliyun_AES_256` (the default), `RSA_2048`, `EC_P256`, `HMAC_SHA_256`.
    pub spec: Option<&'a str>,
    /// `ENCRYPT/DECRYPT`, `SIGN/VERIFY`, `GENERATE/VERIFY_MAC`; the spec's first where nothing is said.
    pub usage: Option<&'a str>,
    /// `Aliyun_KMS` (the default), or `EXTERNAL`.
    pub origin: Option<&'a str>,
    /// `SOFTWARE` or `HSM`.
    pub protection_level: Option<&'a str>,
    /// What it is for.
    pub description: Option<&'a str>,
    /// How often it gets a new version by itself, `7d` to `730d`; never where nothing is said.
    pub rotation_interval: Option<&'a str>,
    /// Names and values.
    pub tags: &'a [(String, String)],
}

/// What is known of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Key {
    /// Its id.
    pub key_id: String,
    /// Its ARN.
    pub arn: String,
    /// What it is made of.
    pub key_spec: String,
    /// What it is for.
    pub key_usage: String,
    /// `Enabled`, `Disabled`, `PendingDeletion`, `PendingImport`.
    pub key_state: String,
    /// Where its material comes from.
    pub origin: String,
    /// Who made it.
    #[serde(default)]
    pub creator: String,
    /// When.
    pub creation_date: String,
    /// What for, in words.
    #[serde(default)]
    pub description: String,
    /// The version that encrypts; of symmetric keys.
    #[serde(default)]
    pub primary_key_version: String,
    /// When it will be gone; empty where nobody wants that.
    #[serde(default)]
    pub delete_date: String,
    /// `Enabled` while its deletion is refused.
    #[serde(default)]
    pub deletion_protection: String,
    /// Why, in words.
    #[serde(default)]
    pub deletion_protection_description: String,
    /// When it had its last new version; of symmetric keys.
    #[serde(default)]
    pub last_rotation_date: String,
    /// Whether it gets new versions by itself.
    #[serde(default)]
    pub automatic_rotation: String,
    /// When the next one comes.
    #[serde(default)]
    pub next_rotation_date: Option<String>,
}

/// A version of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyVersion {
    /// Its id.
    pub key_version_id: String,
    /// When it was made.
    pub creation_date: String,
}

/// Another name of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Alias {
    /// `alias/NAME`
    pub alias_name: String,
    /// The key that it is a name of.
    pub key_id: String,
}

/// What was encrypted, signed or made by which version of which key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Made {
    /// The key.
    pub key_id: String,
    /// Its version; MACs do not say it.
    #[serde(default)]
    pub key_version_id: Option<String>,
    /// Base64: a ciphertext, a signature, a MAC. PEM: a public key.
    #[serde(rename = "Value", alias = "CiphertextBlob", alias = "Mac", alias = "PublicKey")]
    pub value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Verdict {
    value: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Plaintext {
    key_id: String,
    plaintext: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    key_metadata: Key,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    key_version: KeyVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    total_count: usize,
    #[serde(default)]
    keys: Keys,
    #[serde(default)]
    key_versions: KeyVersions,
    #[serde(default)]
    aliases: Aliases,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    key: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key_id: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct KeyVersions {
    key_version: Vec<KeyVersion>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Aliases {
    alias: Vec<Alias>,
}

/// The context as a parameter: a JSON object of texts.
fn context(pairs: &[(String, String)]) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> =
        pairs.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
}

impl Client {
    /// CreateKey. Never sent again where the server may have done it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn create_key(&self, new: &NewKey<'_>) -> Result<Key, Error> {
        let request = Request::new("CreateKey").once().maybe("KeySpec", new.spec).maybe("KeyUsage", new.usage);
        let request = request.maybe("Origin", new.origin).maybe("ProtectionLevel", new.protection_level);
        let request = request.maybe("Description", new.description).maybe("RotationInterval", new.rotation_interval);
        let request = request.maybe("EnableAutomaticRotation", new.rotation_interval.map(|_| "true"));
        let tags = (!new.tags.is_empty()).then(|| tags_json(new.tags));
        Ok(self.call::<Metadata>(&request.maybe("Tags", tags))?.key_metadata)
    }

    /// DescribeKey: by id, alias or ARN.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn describe_key(&self, key: &str) -> Result<Key, Error> {
        Ok(self.call::<Metadata>(&Request::new("DescribeKey").with("KeyId", key))?.key_metadata)
    }

    /// ListKeys: the ids of all, oldest first.
    ///
    /// # Errors
    /// As [`Client::call`]; [`Error::Changing`].
    pub fn list_keys(&self) -> Result<Vec<String>, Error> {
        let listed =
            self.list(|| Request::new("ListKeys"), |page: Page| (page.total_count, page.keys.key), |key| &key.key_id)?;
        Ok(listed.into_iter().map(|key| key.key_id).collect())
    }

    /// ListKeyVersions, oldest first; not by alias.
    ///
    /// # Errors
    /// As [`Client::call`]; [`Error::Changing`].
    pub fn list_key_versions(&self, key: &str) -> Result<Vec<KeyVersion>, Error> {
        let request = || Request::new("ListKeyVersions").with("KeyId", key);
        let entries = |page: Page| (page.total_count, page.key_versions.key_version);
        self.list(request, entries, |version| &version.key_version_id)
    }

    /// ListAliases, or ListAliasesByKeyId.
    ///
    /// # Errors
    /// As [`Client::call`]; [`Error::Changing`].
    pub fn list_aliases(&self, of: Option<&str>) -> Result<Vec<Alias>, Error> {
        let request = || match of {
            Some(key) => Request::new("ListAliasesByKeyId").with("KeyId", key),
            None => Request::new("ListAliases"),
        };
        self.list(request, |page: Page| (page.total_count, page.aliases.alias), |alias| &alias.alias_name)
    }

    /// CreateKeyVersion: the new version encrypts. Never sent again where the server may have done it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn create_key_version(&self, key: &str) -> Result<KeyVersion, Error> {
        Ok(self.call::<Version>(&Request::new("CreateKeyVersion").once().with("KeyId", key))?.key_version)
    }

    /// EnableKey or DisableKey.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn set_key_enabled(&self, key: &str, enabled: bool) -> Result<(), Error> {
        self.run(&Request::new(if enabled { "EnableKey" } else { "DisableKey" }).with("KeyId", key))
    }

    /// ScheduleKeyDeletion, 7 to 366 days from now. Where an earlier attempt of this call got lost and did it, that is success.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn schedule_key_deletion(&self, key: &str, days: u32) -> Result<(), Error> {
        let request = Request::new("ScheduleKeyDeletion").with("KeyId", key).with("PendingWindowInDays", days.to_string());
        match self.run(&request) {
            Err(Error::Refused(r))
                if r.after_lost && self.describe_key(key).is_ok_and(|key| key.key_state == "PendingDeletion") =>
            {
                drop(r);
                Ok(())
            }
            other => other,
        }
    }

    /// CancelKeyDeletion. Where an earlier attempt of this call got lost and did it, that is success.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn cancel_key_deletion(&self, key: &str) -> Result<(), Error> {
        match self.run(&Request::new("CancelKeyDeletion").with("KeyId", key)) {
            Err(Error::Refused(r))
                if r.after_lost && self.describe_key(key).is_ok_and(|key| key.key_state != "PendingDeletion") =>
            {
                drop(r);
                Ok(())
            }
            other => other,
        }
    }

    /// SetDeletionProtection: the deletion of a key is refused from now on, for this reason; or, without one, no longer.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn set_deletion_protection(&self, key: &str, reason: Option<&str>) -> Result<(), Error> {
        let request = Request::new("SetDeletionProtection")
            .with("ProtectedResourceArn", key)
            .with("EnableDeletionProtection", if reason.is_some() { "true" } else { "false" });
        self.run(&match reason {
            Some(reason) if !reason.is_empty() => request.with("DeletionProtectionDescription", reason),
            _ => request,
        })
    }

    /// CreateAlias: a name that no key has. Where an earlier attempt of this call got lost and did it, that is success.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn create_alias(&self, alias: &str, key: &str) -> Result<(), Error> {
        match self.run(&Request::new("CreateAlias").with("AliasName", alias).with("KeyId", key)) {
            Err(Error::Refused(r))
                if r.after_lost
                    && r.code == "AliasAlreadyExists"
                    && self.describe_key(alias).is_ok_and(|there| there.key_id == key) =>
            {
                drop(r);
                Ok(())
            }
            other => other,
        }
    }

    /// CreateAlias, or UpdateAlias where there is one of that name.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn set_alias(&self, alias: &str, key: &str) -> Result<(), Error> {
        match self.create_alias(alias, key) {
            Err(error) if error.code() == "AliasAlreadyExists" => {
                self.run(&Request::new("UpdateAlias").with("AliasName", alias).with("KeyId", key))
            }
            other => other,
        }
    }

    /// DeleteAlias. Where an earlier attempt of this call got lost and did it, that is success.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn delete_alias(&self, alias: &str) -> Result<(), Error> {
        match self.run(&Request::new("DeleteAlias").with("AliasName", alias)) {
            Err(Error::Refused(r)) if r.after_lost && r.code == "Forbidden.AliasNotFound" => Ok(()),
            other => other,
        }
    }

    /// Encrypt: bytes, which travel as Base64.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn encrypt(&self, key: &str, plaintext: &Value, with: &[(String, String)]) -> Result<Made, Error> {
        let request = Request::new("Encrypt").with("KeyId", key).with("Plaintext", base64(plaintext));
        self.call(&request.maybe("EncryptionContext", context(with)))
    }

    /// Decrypt: the id of the key, and the bytes that [`Client::encrypt`] was given; text that was encrypted as it is stays as it is.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn decrypt(&self, ciphertext: &str, with: &[(String, String)]) -> Result<(String, Value), Error> {
        let request = Request::new("Decrypt").with("CiphertextBlob", ciphertext);
        let answer: Plaintext = self.call(&request.maybe("EncryptionContext", context(with)))?;
        Ok((answer.key_id, answer.plaintext.from_base64().unwrap_or(answer.plaintext)))
    }

    /// AsymmetricEncrypt.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn encrypt_to(&self, key: &str, version: &str, algorithm: &str, plaintext: &Value) -> Result<Made, Error> {
        let request = Request::new("AsymmetricEncrypt").with("KeyId", key).with("KeyVersionId", version);
        self.call(&request.with("Algorithm", algorithm).with("Plaintext", base64(plaintext)))
    }

    /// AsymmetricDecrypt.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn decrypt_with(&self, key: &str, version: &str, algorithm: &str, ciphertext: &str) -> Result<Value, Error> {
        let request = Request::new("AsymmetricDecrypt").with("KeyId", key).with("KeyVersionId", version);
        let answer: Plaintext = self.call(&request.with("Algorithm", algorithm).with("CiphertextBlob", ciphertext))?;
        Ok(answer.plaintext.from_base64().unwrap_or(answer.plaintext))
    }

    /// AsymmetricSign: of a SHA-256.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn sign(&self, key: &str, version: &str, algorithm: &str, digest: &[u8]) -> Result<Made, Error> {
        let request = Request::new("AsymmetricSign").with("KeyId", key).with("KeyVersionId", version);
        self.call(&request.with("Algorithm", algorithm).with("Digest", base64(&Value::new(digest.to_vec()))))
    }

    /// AsymmetricVerify.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn verify(&self, key: &str, version: &str, algorithm: &str, digest: &[u8], signature: &str) -> Result<bool, Error> {
        let request = Request::new("AsymmetricVerify").with("KeyId", key).with("KeyVersionId", version);
        let request = request.with("Algorithm", algorithm).with("Digest", base64(&Value::new(digest.to_vec())));
        Ok(self.call::<Verdict>(&request.with("Value", signature))?.value)
    }

    /// GenerateMac.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn mac(&self, key: &str, algorithm: &str, message: &Value) -> Result<Made, Error> {
        let request = Request::new("GenerateMac").with("KeyId", key).with("Algorithm", algorithm);
        self.call(&request.with("Message", base64(message)))
    }

    /// VerifyMac.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn verify_mac(&self, key: &str, algorithm: &str, message: &Value, mac: &str) -> Result<bool, Error> {
        let request = Request::new("VerifyMac").with("KeyId", key).with("Algorithm", algorithm);
        Ok(self.call::<Verdict>(&request.with("Message", base64(message)).with("Mac", mac))?.value)
    }

    /// GetPublicKey: PEM.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn public_key(&self, key: &str, version: &str) -> Result<String, Error> {
        let request = Request::new("GetPublicKey").with("KeyId", key).with("KeyVersionId", version);
        Ok(self.call::<Made>(&request)?.value)
    }
}

//! The file that the private half of a client key leaves in: PKCS #12 (RFC 7292), as SDKs read it.
//!
//! Owns: making the pair, its certificate and the file. Must not know: rows. Called by: auth::access_point::client_keys.
//!
//! The certificate is signed by the key itself and proves nothing; many readers of PKCS #12 want one beside a key.

use std::time::Duration;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, date_time_ymd};
use zeroize::Zeroizing;

use crate::base::clock::Timestamp;
use crate::base::secret::Password;
use crate::error::Error;

/// Rounds of PBKDF2 for the encryption, and of the PKCS #12 derivation for the MAC.
const ROUNDS: u32 = 10_000;

/// A new pair.
pub(super) struct Made {
    /// SubjectPublicKeyInfo in DER.
    pub(super) public_key: Vec<u8>,
    /// The file: private key and certificate, AES-256 and HMAC-SHA-256 under the password.
    pub(super) file: Vec<u8>,
}

/// Makes an RSA-2048 pair and its file.
///
/// # Errors
/// [`Error::Internal`] when one of the libraries refuses.
pub(super) fn make(name: &str, password: &Password, not_before: Timestamp, not_after: Timestamp) -> Result<Made, Error> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(not_before);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(not_after);
    let certificate = params.self_signed(&pair).map_err(failed)?;

    let private = Zeroizing::new(pair.serialize_der());
    let private = PrivateKey::from_der(&private).map_err(failed)?;
    let certificate = Certificate::from_der(certificate.der()).map_err(failed)?;
    let mut store = KeyStore::new();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(name, private, [certificate])));
    let writer = store.writer(password.expose()).encryption_iterations(ROUNDS).mac_iterations(ROUNDS);
    Ok(Made { public_key: pair.subject_public_key_info(), file: writer.write().map_err(failed)? })
}

/// Certificates know no time before 1970 that mattered here.
fn since_1970(time: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(time.0).unwrap_or(0))
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("a client key was not made: {error}"))
}

#[cfg(test)]
mod tests {
    use p12_keystore::Pkcs12ImportPolicy;

    use super::*;

    fn password(text: &str) -> Password {
        let text = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
        serde::Deserialize::deserialize(text).expect("long enough")
    }

    #[test]
    fn the_file_opens_with_its_password_only_and_holds_the_key() {
        let made = make("KAAP.x", &password("pass-word-数"), Timestamp(-5), Timestamp(4_000_000_000_000)).expect("made");
        let store = KeyStore::from_pkcs12(&made.file, "pass-word-数", Pkcs12ImportPolicy::Strict).expect("opens");
        let (alias, chain) = store.private_key_chain().expect("a key");
        assert_eq!((alias, chain.certs().len()), ("KAAP.x", 1));
        let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(chain.key().as_der()).expect("RSA");
        let public = aws_lc_rs::signature::KeyPair::public_key(&pair);
        let public = aws_lc_rs::encoding::AsDer::as_der(public).expect("DER");
        assert_eq!(public.as_ref(), made.public_key);
        assert!(KeyStore::from_pkcs12(&made.file, "pass-word", Pkcs12ImportPolicy::Strict).is_err());
    }
}

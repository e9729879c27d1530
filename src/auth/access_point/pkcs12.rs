//! The file that the private half of a client key leaves in: PKCS #12 (RFC 7292), as SDKs read it.
//!
//! Owns: making the pair, its certificate and the file. Must not know: rows. Called by: auth::access_point::client_keys.
//!
//! The certificate is signed by the key itself and proves nothing; many readers of PKCS #12 want one beside a key.
//! Which clients read which form, and why the older one is the default: docs/adr/0005.

use std::time::Duration;

use p12_keystore::{Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey, PrivateKeyChain};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, date_time_ymd};
use zeroize::Zeroizing;

use crate::base::clock::Timestamp;
use crate::base::secret::Password;
use crate::base::words::ClientKeyCipher;
use crate::error::Error;

/// Rounds of each derivation from the password: of PBKDF2, and of PKCS #12's own (RFC 7292, appendix B).
const ROUNDS: u32 = 600_000;

/// How each cipher's file is encrypted and authenticated.
fn algorithms(cipher: ClientKeyCipher) -> (EncryptionAlgorithm, MacAlgorithm) {
    match cipher {
        ClientKeyCipher::TripleDes => (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1),
        ClientKeyCipher::Aes256 => (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256),
    }
}

/// A new pair.
pub(super) struct Made {
    /// SubjectPublicKeyInfo in DER.
    pub(super) public_key: Vec<u8>,
    /// The file: private key and certificate under the password.
    pub(super) file: Vec<u8>,
}

/// Makes an RSA-2048 pair and its file.
///
/// # Errors
/// [`Error::Internal`] when one of the libraries refuses.
pub(super) fn make(
    name: &str,
    password: &Password,
    cipher: ClientKeyCipher,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<Made, Error> {
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
    let (encryption, mac) = algorithms(cipher);
    let writer = store.writer(password.expose()).encryption_algorithm(encryption).mac_algorithm(mac);
    let writer = writer.encryption_iterations(ROUNDS).mac_iterations(ROUNDS);
    Ok(Made { public_key: pair.subject_public_key_info(), file: writer.write().map_err(failed)? })
}

/// Certificates know no time before 1970 that mattered here, and none after 9999.
fn since_1970(time: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(time.min(Timestamp::LATEST).0).unwrap_or(0))
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
        for cipher in [ClientKeyCipher::TripleDes, ClientKeyCipher::Aes256] {
            let password = password("pass-word-数");
            let made = make("KAAP.x", &password, cipher, Timestamp(-5), Timestamp(4_000_000_000_000)).expect("made");
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

    /// What old readers know (golang.org/x/crypto/pkcs12, Java 8): no object identifier of a newer algorithm is in the file.
    #[test]
    fn the_older_form_names_old_algorithms_only() {
        let holds = |file: &[u8], id: &[u8]| file.windows(id.len()).any(|window| window == id);
        let make =
            |cipher| make("x", &password("pass-word"), cipher, Timestamp(0), Timestamp(4_000_000_000_000)).expect("made");
        let (pbes2, sha_256) =
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 5, 13][..], &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1][..]);
        let (triple_des, sha_1) = (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 12, 1, 3][..], &[0x2b, 14, 3, 2, 26][..]);
        let old = make(ClientKeyCipher::TripleDes).file;
        assert!(holds(&old, triple_des) && holds(&old, sha_1) && !holds(&old, pbes2) && !holds(&old, sha_256));
        let new = make(ClientKeyCipher::Aes256).file;
        assert!(holds(&new, pbes2) && holds(&new, sha_256) && !holds(&new, triple_des) && !holds(&new, sha_1));
    }

    /// A password is tried as slowly as is advised of PBKDF2 today, for the key as for the MAC.
    #[test]
    fn a_password_takes_600_000_rounds() {
        let rounds = [2, 3, 0x09, 0x27, 0xc0];
        for cipher in [ClientKeyCipher::TripleDes, ClientKeyCipher::Aes256] {
            let file =
                make("x", &password("pass-word"), cipher, Timestamp(0), Timestamp(4_000_000_000_000)).expect("made").file;
            assert!(file.windows(rounds.len()).filter(|window| *window == rounds).count() >= 2);
        }
    }

    #[test]
    fn no_time_is_too_late_or_too_early() {
        for (from, to) in [(i64::MIN, i64::MAX), (Timestamp::LATEST.0, i64::MAX), (0, Timestamp::LATEST.0)] {
            make("x", &password("pass-word"), ClientKeyCipher::Aes256, Timestamp(from), Timestamp(to)).expect("made");
        }
    }
}

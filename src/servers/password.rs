//! What servers keep of a password.
//!
//! Owns: the verifiers. Must not know: connections. Called by: servers::{mysql, postgres}.
//! Sources: RFC 5802 and RFC 7677 with the text form of PostgreSQL's pg_authid; MySQL's mysql_native_password.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::base::secret::AccountPassword;

/// Rounds of PBKDF2; the default of PostgreSQL. The passwords are random, so that more would protect nothing.
const ROUNDS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");

/// The SCRAM-SHA-256 verifier of a password, with a new salt, as PostgreSQL keeps it. Printable ASCII is its own SASLprep form.
pub(super) fn scram_sha_256(password: &AccountPassword) -> Zeroizing<String> {
    let mut salt = [0u8; 16];
    rand::fill(&mut salt).expect("the system's random generator never fails once it has started");
    verifier(password, &salt)
}

fn verifier(password: &AccountPassword, salt: &[u8]) -> Zeroizing<String> {
    let mut salted = Zeroizing::new([0u8; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, password.expose().as_bytes(), salted.as_mut_slice());
    let key = hmac::Key::new(hmac::HMAC_SHA256, salted.as_slice());
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let [salt, stored, server] = [salt, stored.as_ref(), server.as_ref()].map(|bytes| STANDARD.encode(bytes));
    Zeroizing::new(format!("SCRAM-SHA-256${ROUNDS}:{salt}${stored}:{server}"))
}

/// The hash of mysql_native_password: SHA-1 twice.
pub(super) fn native(password: &AccountPassword) -> Zeroizing<String> {
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let hash = digest::digest(sha1, digest::digest(sha1, password.expose().as_bytes()).as_ref());
    Zeroizing::new(format!("*{}", hex::encode_upper(hash.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> AccountPassword {
        AccountPassword::new(text.to_owned()).expect("a password")
    }

    /// Known answers: RFC 7677's example (its user, password and salt), and the manual's hash of `mypass`.
    #[test]
    fn verifiers_are_those_of_the_servers() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("Base64");
        assert_eq!(
            verifier(&password("pencil"), &salt).as_str(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        assert_eq!(native(&password("mypass")).as_str(), "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4");
    }
}

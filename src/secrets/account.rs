//! Accounts of servers, as the values of managed secrets hold them.
//!
//! Owns: their two JSON forms, and new passwords. Must not know: servers, versions. Called by: secrets::{adopt, rotation}.
//!
//! - At creation (CreateSecret, SecretData): `{"Accounts":[{"AccountName":"a","AccountPassword":"p"}]}`.
//! - Stored and read back (GetSecretValue): `{"AccountName":"a","AccountPassword":"p"}`, the account to be used.

use serde::Deserialize;

use crate::base::ids::AccountName;
use crate::base::secret::{AccountPassword, Plaintext};
use crate::error::Error;
use crate::secrets::{Class, PasswordRules, Secrets};

/// An account with its password.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Account {
    /// Its name on the server.
    #[serde(rename = "AccountName")]
    pub name: AccountName,
    /// Its password there.
    #[serde(rename = "AccountPassword")]
    pub password: AccountPassword,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Accounts {
    accounts: Vec<Account>,
}

impl Account {
    /// The accounts of a secret that is to be made; none when the value has another form.
    pub fn given(value: &Plaintext) -> Option<Vec<Self>> {
        serde_json::from_slice(value.expose()).ok().map(|Accounts { accounts }| accounts)
    }

    /// The account that a version's value is.
    ///
    /// # Errors
    /// [`Error::Integrity`] when it is none.
    pub fn stored(value: &Plaintext) -> Result<Self, Error> {
        serde_json::from_slice(value.expose()).map_err(|_| Error::Integrity("a managed secret's value is no account".into()))
    }

    /// The value that is this account.
    pub fn value(&self) -> Plaintext {
        let (name, password) = (self.name.as_str(), self.password.expose());
        // Large enough never to move: a password's characters need one more at most.
        let mut json = Vec::with_capacity(name.len() + 2 * password.len() + 48);
        json.extend_from_slice(b"{\"AccountName\":\"");
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\",\"AccountPassword\":\"");
        for byte in password.bytes() {
            if matches!(byte, b'"' | b'\\') {
                json.push(b'\\');
            }
            json.push(byte);
        }
        json.extend_from_slice(b"\"}");
        Plaintext::new(json)
    }
}

impl Secrets {
    /// A new random password for an account: 193 bits, with the classes of characters that servers' rules may ask for, and of
    /// punctuation only what a URL holds as it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away.
    pub(super) fn account_password(&self) -> Result<AccountPassword, Error> {
        let excluded = (b'!'..=b'~').map(char::from).filter(|c| c.is_ascii_punctuation() && !"-_.~".contains(*c)).collect();
        let rules = PasswordRules { length: 32, classes: Class::ALL.to_vec(), excluded, each: true };
        let drawn = self.random_password(&rules)?;
        let text = String::from_utf8_lossy(drawn.expose()).into_owned();
        AccountPassword::new(text).ok_or_else(|| Error::Internal("a random password is none for an account".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Plaintext {
        Plaintext::new(text.as_bytes().to_vec())
    }

    #[test]
    fn both_forms() {
        let given = value(r#"{"Accounts":[{"AccountName":"app_a","AccountPassword":"q\"\\ é"}]}"#);
        assert!(Account::given(&given).is_none(), "a password is ASCII");
        let given = value(r#"{"Accounts":[{"AccountName":"app_a","AccountPassword":"q\"\\/ ~"}]}"#);
        let accounts = Account::given(&given).expect("one account");
        let [account] = accounts.as_slice() else { panic!("{} accounts", accounts.len()) };
        let stored = account.value();
        assert_eq!(stored.expose(), br#"{"AccountName":"app_a","AccountPassword":"q\"\\/ ~"}"#);
        let again = Account::stored(&stored).expect("an account");
        assert_eq!((again.name.as_str(), again.password.expose()), ("app_a", "q\"\\/ ~"));
        for wrong in [
            "",
            "[]",
            r#"{"AccountName":"a","AccountPassword":"p"}"#,
            r#"{"Accounts":[{"AccountName":"a'b","AccountPassword":"p"}]}"#,
        ] {
            assert!(Account::given(&value(wrong)).is_none(), "{wrong}");
        }
        assert!(Account::stored(&value("plain")).is_err());
    }
}

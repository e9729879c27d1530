//! The account's root, with an access key to show.

use std::path::Path;

use crate::app::{Base, Failure};
use crate::auth::access_key;
use crate::base::clock::Clock;
use crate::base::ids::{AccessKeyId, AccountId};
use crate::base::secret::AccessKeySecret;
use crate::store::Abort;

/// Of a deployment whose accounts were deleted.
const NO_ACCOUNT: &str = "`bulla account create NAME` makes one";

/// Access keys of a root, at most.
const MAX_ACCESS_KEYS: usize = 2;

/// The account's root, with its access key.
pub(super) struct Root {
    pub(super) account: AccountId,
    pub(super) access_key: AccessKeyId,
    pub(super) secret: AccessKeySecret,
}

impl Root {
    /// The first account's root, with the first of its access keys that is enabled.
    pub(super) fn of(base: &Base, folder: &Path) -> Result<Self, Failure> {
        let (account, key) = base.store.read("root", |tx| {
            let account = tx.accounts()?.into_iter().next();
            let account = account.ok_or_else(|| Abort::App(Failure::not_found("there is no account").hint(NO_ACCOUNT)))?;
            let key = tx.access_keys_of(&account.id, None)?.into_iter().find(|k| k.enabled);
            let key = key.ok_or_else(|| {
                let failure = Failure::not_found("the account's root has no enabled access key");
                let data = folder.display();
                Abort::App(failure.hint(format!(
                    "make one: `bulla access-key create --data {data}`, or enable one that `bulla access-key list --data {data}` shows"
                )))
            })?;
            Ok::<_, Abort<Failure>>((account, key))
        })?;
        let secret = access_key::open(&base.sys(), &key)
            .map_err(|e| Failure::new(format!("the root's access key does not open: {e:?}")))?;
        Ok(Self { account: account.id, access_key: key.id, secret })
    }

    /// The same with an access key that the caller chose; an older one gives way if there are two.
    pub(super) fn of_choice(base: &Base, id: &AccessKeyId, file: &Path) -> Result<Self, Failure> {
        let read = || {
            let text = std::fs::read_to_string(file).map_err(Failure::of_file(file))?;
            match text.trim_end_matches(['\r', '\n']) {
                "" => {
                    let failure = Failure::local(format!("{}: it is empty", file.display()));
                    Err(failure.hint("one line: the secret of the access key that --access-key-id chooses"))
                }
                text if text.contains(['\r', '\n']) || text.trim() != text => Err(Failure::local(format!(
                    "{}: a secret is one line, without blanks before and behind it",
                    file.display()
                ))),
                secret => Ok(AccessKeySecret::new(secret.as_bytes().to_vec())),
            }
        };
        let secret = read()?;
        let account = base.store.read("root", |tx| {
            let account = tx.accounts()?.into_iter().next();
            account.ok_or_else(|| Abort::App(Failure::not_found("there is no account").hint(NO_ACCOUNT)))
        })?;
        let row = access_key::keep(&base.sys(), id.clone(), &secret, &account.id, None, Clock::System.now());
        let row = row.map_err(|e| Failure::unavailable(format!("token: {e:?}")))?;
        base.store.write_rows("root", |tx| {
            tx.access_key_delete(id)?;
            let others = tx.access_keys_of(&account.id, None)?;
            for old in others.iter().take(others.len().saturating_sub(MAX_ACCESS_KEYS - 1)) {
                tx.access_key_delete(&old.id)?;
            }
            tx.access_key_insert(&row)
        })?;
        Ok(Self { account: account.id, access_key: id.clone(), secret })
    }

    pub(super) fn secret_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.secret.expose())
    }
}

//! Access keys: making them, and opening their secrets.
//!
//! Owns: the binding of an access key's secret to its owner under SYS. Must not know: who uses a key for what.
//! Called by: auth::credentials, admin.

use zeroize::Zeroizing;

use crate::auth::system_key::SysKey;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, UserId};
use crate::base::secret::AccessKeySecret;
use crate::error::Error;
use crate::store::AccessKeyRow;

/// Length of an access key's secret, characters of [`SECRET_ALPHABET`]: 40 × 6 bits.
const SECRET_LENGTH: usize = 40;

/// 64 letters, so that one random byte gives one letter without bias.
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

/// Makes an access key for a user, or for the account's root. The secret is given back once and stored only wrapped.
///
/// # Errors
/// [`Error::Unavailable`] when the token is away.
pub fn issue(
    sys: &SysKey,
    account: &AccountId,
    user: Option<UserId>,
    now: Timestamp,
) -> Result<(AccessKeyRow, AccessKeySecret), Error> {
    let mut random = Zeroizing::new([0u8; SECRET_LENGTH]);
    sys.random(&mut *random)?;
    let secret = AccessKeySecret::new(random.iter().map(|b| SECRET_ALPHABET[usize::from(b & 63)]).collect());
    let row = keep(sys, AccessKeyId::random(), &secret, account, user, now)?;
    Ok((row, secret))
}

/// The row of an access key whose id and secret are given: the secret is in it wrapped.
///
/// # Errors
/// [`Error::Unavailable`] when the token is away.
pub fn keep(
    sys: &SysKey,
    id: AccessKeyId,
    secret: &AccessKeySecret,
    account: &AccountId,
    user: Option<UserId>,
    now: Timestamp,
) -> Result<AccessKeyRow, Error> {
    let wrapped = sys.wrap(secret.expose(), &context(sys, &id, account, user.as_ref()))?;
    let suite = sys.suite;
    Ok(AccessKeyRow { id, account_id: account.clone(), user_id: user, enabled: true, suite, wrapped, created_at: now })
}

/// The secret of a stored access key.
///
/// # Errors
/// [`Error::Integrity`] when the row was changed; [`Error::Unavailable`] when the token is away.
pub fn open(sys: &SysKey, row: &AccessKeyRow) -> Result<AccessKeySecret, Error> {
    let mut secret = sys.unwrap(row.suite, &row.wrapped, &context(sys, &row.id, &row.account_id, row.user_id.as_ref()))?;
    Ok(AccessKeySecret::new(std::mem::take(&mut *secret)))
}

fn context(sys: &SysKey, id: &AccessKeyId, account: &AccountId, user: Option<&UserId>) -> Canonical {
    Canonical::new(Purpose::AccessKeySecret)
        .field(sys.deployment.as_bytes())
        .text(account.as_str())
        .optional(user.map(|u| u.as_bytes().as_slice()))
        .text(id.as_str())
        .field(sys.id.as_bytes())
        .field(&sys.suite.number().to_be_bytes())
}

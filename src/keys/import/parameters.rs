//! Parameters for import: a wrapping pair for one key and one day, and the token that names it.
//!
//! Owns: making, finding and sweeping pairs. Must not know: HTTP, PKCS#11. Called by: api, jobs, keys::import::material.
//!
//! Row first: insert the row, make the pair on the token under its id, mark the row as ready with the request's nonce. A kill at
//! any point leaves a row that is not ready. The sweep takes away the rows of such pairs and of those whose day is over, which makes
//! them useless, and condemns the pairs: they are destroyed when their quarantine is over (`keys::condemned`).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroizing;

use super::token::ImportToken;
use super::{external, pair};
use crate::auth::Caller;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock::{Moment, Timestamp};
use crate::base::failpoint::{Step, reach};
use crate::base::ids::{KeyId, KeyRef, KeyVersionId};
use crate::base::words::ImportAlgorithm;
use crate::error::Error;
use crate::keys::Keys;
use crate::keys::rows::{STALE_MS, with_keys};
use crate::service_task::{TaskRecord, each};
use crate::store::{Abort, CondemnedRow, ImportParametersRow, KeyRow, Tx};

/// How long parameters are valid (GetParametersForImport: 24 hours), ms.
const VALID_MS: i64 = 24 * 60 * 60 * 1000;

/// Pairs that a key may have at a time: the token's room is everybody's.
const PAIRS_PER_KEY: i64 = 10;

/// Pairs that all keys of a deployment may have on the token at a time.
const PAIRS_ON_TOKEN: i64 = 100;

/// How often material may fail to decrypt with one pair. PKCS #1 v1.5 gives an attacker who may ask a million times the plaintext
/// of a ciphertext that it has intercepted.
const FAILURES: i64 = 16;

/// What a caller needs to send material.
pub struct ImportParameters {
    /// The key.
    pub key: KeyId,
    /// Encrypts the material: SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
    /// To be sent with the material.
    pub token: String,
    /// When both cease to be valid.
    pub expires_at: Timestamp,
}

impl Keys {
    /// Makes a wrapping pair for a key's material.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`], [`Error::AliasNotAllowed`], [`Error::OriginNotSupported`]; [`Error::LimitExceeded`] when the key has
    /// ten pairs already; [`Error::Unavailable`].
    pub fn import_parameters(
        &self,
        caller: &Caller,
        key: &KeyRef,
        algorithm: ImportAlgorithm,
    ) -> Result<ImportParameters, Error> {
        let key = self.store.read("import_key", |tx| external(tx, caller, key))?;
        let (id, expires_at) = (KeyVersionId::new(), caller.now().plus_ms(VALID_MS));
        let mut secret = [0; 32];
        self.token.random(&mut secret)?;
        let token = ImportToken::new(id, expires_at, secret);
        let mut row = ImportParametersRow {
            id,
            key_id: key.id,
            algorithm,
            token_digest: token.digest(),
            ready: false,
            failures: 0,
            expires_at,
            wrapped_suite: None,
            wrapped: None,
        };
        let local = if self.token.unwraps(algorithm)? { None } else { Some(self.keep_pair(&mut row)?) };
        self.store.write("import_begin", |tx| {
            if tx.import_parameters_count(&key.id)? >= PAIRS_PER_KEY {
                return Err(Abort::App(Error::LimitExceeded { most: PAIRS_PER_KEY, of: "valid import tokens of a key" }));
            }
            if row.wrapped.is_none() {
                if tx.import_parameters_on_token()? >= PAIRS_ON_TOKEN {
                    return Err(Abort::App(Error::TokenFull));
                }
                self.check_room(tx, 2)?;
            }
            Ok(tx.import_parameters_insert(&row)?)
        })?;
        reach(Step::PairBegun);
        let made = match local {
            Some(public_key) => Ok(public_key),
            None => self.token.create_wrapping_pair(&id, algorithm).map_err(Error::from),
        };
        let made = made.and_then(|public_key| {
            reach(Step::PairMade);
            let ready = ImportParametersRow { ready: true, ..row.clone() };
            self.store.commit(&caller.effect, "import_ready", |tx| match tx.import_parameters_update_if(&row, &ready)? {
                true => Ok(()),
                false => Err(Abort::App(Error::Unavailable("wrapping pair was swept while it was made"))),
            })?;
            Ok(ImportParameters { key: key.id, public_key, token: token.encode(), expires_at })
        });
        if made.is_err()
            && let Err(left) = self.pair_fail(&row)
        {
            log::warn!("wrapping pair {id} stays in the making until the next sweep: {left:?}");
        }
        made
    }

    /// Undoes the making of a pair of this caller's: first the row is taken over, so that its maker, if it lives, cannot make it ready any
    /// more; then the pair is destroyed, then the row deleted. What became ready stays.
    fn pair_fail(&self, row: &ImportParametersRow) -> Result<(), Error> {
        let taken = self.store.write("import_take_over", |tx| match tx.import_parameters_by_id(&row.id)? {
            // Swept under its maker; what remains is the object.
            None => Ok::<_, Abort<Error>>(true),
            Some(row) if row.ready => Ok(false),
            Some(row) => {
                let spoiled = ImportParametersRow { failures: row.failures + 1, ..row.clone() };
                Ok(tx.import_parameters_update_if(&row, &spoiled)?)
            }
        })?;
        if taken { self.pair_end(row) } else { Ok(()) }
    }

    /// Destroys a pair, then its row.
    fn pair_end(&self, row: &ImportParametersRow) -> Result<(), Error> {
        if row.wrapped.is_none() {
            self.token.destroy_own(&row.id)?;
        }
        Ok(self.store.write_rows("import_parameters_end", |tx| tx.import_parameters_delete(&row.id)).map(drop)?)
    }

    /// Makes a pair in this process and puts the private key, under SYS, into the row. Answers the public key.
    fn keep_pair(&self, row: &mut ImportParametersRow) -> Result<Vec<u8>, Error> {
        let (private, public) = pair::generate()?;
        row.wrapped_suite = Some(self.sys.suite);
        row.wrapped = Some(self.sys.wrap(&private, &self.pair_context(row))?);
        Ok(public)
    }

    /// The private key of a pair of this process.
    pub(super) fn open_pair(&self, row: &ImportParametersRow) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let (Some(suite), Some(wrapped)) = (row.wrapped_suite, &row.wrapped) else { return Ok(None) };
        Ok(Some(self.sys.unwrap(suite, wrapped, &self.pair_context(row))?))
    }

    fn pair_context(&self, row: &ImportParametersRow) -> Canonical {
        Canonical::new(Purpose::ImportedMaterial)
            .text("pair")
            .field(self.sys.deployment.as_bytes())
            .field(row.id.as_bytes())
            .field(row.key_id.as_bytes())
            .text(row.algorithm.as_str())
            .field(self.sys.id.as_bytes())
    }

    /// The pair that an import token names, if it may bring material to this key now.
    pub(super) fn parameters_of(&self, key: &KeyRow, token: &str, now: Timestamp) -> Result<ImportParametersRow, Error> {
        let token = ImportToken::parse(token).ok_or(Error::ImportTokenInvalid)?;
        let found = self.store.read_rows("import_parameters", |tx| tx.import_parameters_by_id(&token.id))?;
        fitting(found, &token, key.id, now)
    }

    /// Counts that material did not decrypt, or was not what it must be.
    pub(super) fn import_failed(&self, row: &ImportParametersRow) -> Result<(), Error> {
        self.store.write("import_failed", |tx| {
            let Some(row) = tx.import_parameters_by_id(&row.id)? else { return Ok(()) };
            let counted = ImportParametersRow { failures: row.failures + 1, ..row.clone() };
            tx.import_parameters_update(&row, &counted)?;
            Ok(())
        })
    }

    /// Takes away the rows of pairs whose day is over, and of those that nobody makes any more, and condemns those that are on the token.
    ///
    /// # Errors
    /// [`Error::Integrity`] for a pair without a key; [`Error::Unavailable`]. What is left is tried again at the next sweep.
    pub fn import_parameters_sweep(&self, at: Moment, limit: i64) -> Result<(), Error> {
        let (now, unready) = (at.now(), at.now().plus_ms(VALID_MS - STALE_MS));
        let due = self.store.read("import_parameters_due", |tx| {
            let due = tx.import_parameters_due(now, unready, limit)?;
            Ok::<_, Abort<Error>>(with_keys(tx, due, |row| row.key_id))
        })?;
        each(due, |(key, row)| {
            let Some(key) = key else { return Err(Error::Integrity(format!("wrapping pair {} has no key", row.id))) };
            let (resource, pair) = (key.id.resource(), row.id.to_string());
            let task = TaskRecord {
                account: &key.account_id,
                action: "DeleteWrappingPair",
                resource: &resource,
                version: Some(&pair),
                reason: if row.expires_at <= now { "its day is over" } else { "its making was never finished" },
                at,
            };
            self.service_tasks.run(task, |effect| {
                self.store.commit(effect, "import_parameters_condemn", |tx| match tx.import_parameters_by_id(&row.id)? {
                    Some(found) if found == row => condemn(tx, &key, &row, effect.now()),
                    _ => Ok(()),
                })
            })
        })
    }
}

/// Takes a pair's row away; a pair on the token is destroyed later.
fn condemn(tx: &mut Tx<'_>, key: &KeyRow, row: &ImportParametersRow, now: Timestamp) -> Result<(), Abort<Error>> {
    tx.import_parameters_delete(&row.id)?;
    if row.wrapped.is_none() {
        let (id, key_id, account_id) = (row.id, key.id, key.account_id.clone());
        tx.condemn(&CondemnedRow { id, key_id, account_id, condemned_at: now })?;
    }
    Ok(())
}

/// The row that was found for a token, if that may be used for this key now.
fn fitting(
    found: Option<ImportParametersRow>,
    token: &ImportToken,
    key: KeyId,
    now: Timestamp,
) -> Result<ImportParametersRow, Error> {
    let Some(row) = found else {
        return Err(if token.expires_at <= now { Error::ImportTokenExpired } else { Error::ImportTokenInvalid });
    };
    let known = verify_slices_are_equal(&row.token_digest, &token.digest()).is_ok();
    if !known || row.key_id != key || !row.ready || row.failures >= FAILURES {
        return Err(Error::ImportTokenInvalid);
    }
    if row.expires_at <= now { Err(Error::ImportTokenExpired) } else { Ok(row) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_row_its_key_and_its_day() {
        let (key, expires_at) = (KeyId::new(), Timestamp(1_000));
        let token = ImportToken::new(KeyVersionId::new(), expires_at, [1; 32]);
        let row = ImportParametersRow {
            id: token.id,
            key_id: key,
            algorithm: ImportAlgorithm::OaepSha256,
            token_digest: token.digest(),
            ready: true,
            failures: 0,
            expires_at,
            wrapped_suite: None,
            wrapped: None,
        };
        let fits = |row: Option<ImportParametersRow>, key, now| fitting(row, &token, key, Timestamp(now)).map(drop);
        assert_eq!(fits(Some(row.clone()), key, 999), Ok(()));
        assert_eq!(fits(Some(row.clone()), key, 1_000), Err(Error::ImportTokenExpired));
        assert_eq!(fits(None, key, 999), Err(Error::ImportTokenInvalid));
        assert_eq!(fits(None, key, 1_000), Err(Error::ImportTokenExpired), "swept");
        assert_eq!(fits(Some(row.clone()), KeyId::new(), 999), Err(Error::ImportTokenInvalid));
        let other = ImportToken::new(token.id, expires_at, [2; 32]);
        for row in [
            ImportParametersRow { token_digest: other.digest(), ..row.clone() },
            ImportParametersRow { ready: false, ..row.clone() },
            ImportParametersRow { failures: FAILURES, ..row.clone() },
        ] {
            assert_eq!(fits(Some(row), key, 999), Err(Error::ImportTokenInvalid));
        }
        // What counts is the row's day, whatever the token says.
        let longer = ImportParametersRow { expires_at: Timestamp(2_000), ..row };
        assert_eq!(fits(Some(longer), key, 1_500), Ok(()));
    }
}

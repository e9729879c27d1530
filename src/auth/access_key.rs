//! Access keys: making them, and finding what a request needs to know of one.
//!
//! Owns: the binding of an access key's secret to its owner under SYS, and the cache of credentials, client keys' included. Must not know: HTTP.
//! Called by: auth, admin.
//!
//! A credential is read from the database and unwrapped on the token once, then kept in memory. Every change of an account, user,
//! access key, policy or attachment (and a resource's first policy of its own) raises one revision number in the database; the cache asks for it at most every
//! [`CHECK_EVERY_MS`] and drops everything when it moved, so that a revocation works on every node within a second.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, RwLock};

use crate::auth::access_point;
use crate::auth::caller::{Attached, Principal};
use crate::auth::policy::{self, Policy};
use crate::auth::proof::SigningKey;
use crate::base::canonical::{Canonical, Purpose};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, DeploymentId, KeyVersionId, UserId};
use crate::base::secret::AccessKeySecret;
use crate::base::words::Suite;
use crate::error::Error;
use crate::store::{Abort, AccessKeyRow, AttachmentRow, ClientKeyRow, Store, Tx};
use crate::token::Token;

/// How old a credential in memory may be without asking whether anything changed, ms.
pub const CHECK_EVERY_MS: i64 = 500;

/// How many credentials (and unknown access key ids) are kept; past it the cache starts anew.
const CACHE_ENTRIES: usize = 100_000;

/// Length of an access key's secret, characters of [`SECRET_ALPHABET`]: 40 × 6 bits.
const SECRET_LENGTH: usize = 40;

/// 64 letters, so that one random byte gives one letter without bias.
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

/// What a request needs to know of the access key that signed it.
pub struct Credential {
    /// The account.
    pub account: AccountId,
    /// Root, user or access point.
    pub principal: Principal,
    /// Whether access key, user and account are all enabled.
    pub enabled: bool,
    /// When it may be used: always, but for client keys.
    pub valid: Range<Timestamp>,
    /// Verifies signatures.
    pub signing_key: SigningKey,
    /// The user's policies; none for root.
    pub policies: Arc<[Attached]>,
}

/// SYS and what it wraps access-key secrets for.
#[derive(Clone)]
pub struct SysKey {
    /// The token that holds it.
    pub token: Arc<Token>,
    /// Its id.
    pub id: KeyVersionId,
    /// How it wraps.
    pub suite: Suite,
    /// The installation that secrets are bound to.
    pub deployment: DeploymentId,
}

impl SysKey {
    /// Makes an access key for a user, or for the account's root. The secret is given back once and stored only wrapped.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the token is away.
    pub fn issue(
        &self,
        account: &AccountId,
        user: Option<UserId>,
        now: Timestamp,
    ) -> Result<(AccessKeyRow, AccessKeySecret), Error> {
        let mut random = zeroize::Zeroizing::new([0u8; SECRET_LENGTH]);
        self.token.random(&mut *random)?;
        let secret = AccessKeySecret::new(random.iter().map(|b| SECRET_ALPHABET[usize::from(b & 63)]).collect());
        let id = AccessKeyId::random();
        let context = self.context(&id, account, user.as_ref());
        let wrapped = self.token.wrap(self.suite, &self.id, secret.expose(), &context)?;
        let suite = self.suite;
        let row =
            AccessKeyRow { id, account_id: account.clone(), user_id: user, enabled: true, suite, wrapped, created_at: now };
        Ok((row, secret))
    }

    /// The secret of a stored access key.
    ///
    /// # Errors
    /// [`Error::Integrity`] when the row was changed; [`Error::Unavailable`] when the token is away.
    pub fn open(&self, row: &AccessKeyRow) -> Result<AccessKeySecret, Error> {
        let context = self.context(&row.id, &row.account_id, row.user_id.as_ref());
        let mut secret = self.token.unwrap(row.suite, &self.id, &row.wrapped, &context)?;
        Ok(AccessKeySecret::new(std::mem::take(&mut *secret)))
    }

    fn context(&self, id: &AccessKeyId, account: &AccountId, user: Option<&UserId>) -> Canonical {
        Canonical::new(Purpose::AccessKeySecret)
            .field(self.deployment.as_bytes())
            .text(account.as_str())
            .optional(user.map(|u| u.as_bytes().as_slice()))
            .text(id.as_str())
            .field(self.id.as_bytes())
            .field(&self.suite.number().to_be_bytes())
    }
}

/// Credentials by access key id, from memory where possible.
pub struct Credentials {
    store: Arc<Store>,
    sys: SysKey,
    cache: RwLock<Cache>,
}

#[derive(Default)]
struct Cache {
    revision: i64,
    checked_at: Option<Timestamp>,
    /// None: an id that does not exist, so that asking for it again costs no look-up either.
    entries: HashMap<AccessKeyId, Option<Arc<Credential>>>,
    /// The resources of an account that have a policy of their own.
    ruled: HashMap<AccountId, Ruled>,
}

/// Names of resources, as in ARNs: `secret/NAME`, `key/ID`.
pub type Ruled = Arc<HashSet<String>>;

impl Credentials {
    /// Credentials of this store, opened with SYS.
    pub fn new(store: Arc<Store>, sys: SysKey) -> Self {
        Self { store, sys, cache: RwLock::default() }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The credential of an access key; none if there is no such access key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when database or token are away: nobody is let in on an old credential.
    pub fn find(&self, id: &AccessKeyId, now: Timestamp) -> Result<Option<Arc<Credential>>, Error> {
        if let Some(known) = self.fresh(now, |cache| cache.entries.get(id).cloned()) {
            return Ok(known);
        }
        self.revalidate(now)?;
        if let Some(known) = self.fresh(now, |cache| cache.entries.get(id).cloned()) {
            return Ok(known);
        }
        let (revision, loaded) = self.load(id)?;
        let mut cache = self.cache.write().expect("no code panics while it holds this lock");
        if cache.revision == revision {
            if cache.entries.len() >= CACHE_ENTRIES {
                cache.entries.clear();
            }
            cache.entries.insert(id.clone(), loaded.clone());
        }
        Ok(loaded)
    }

    /// The resources of an account that have a policy of their own. As old as credentials may be, so that most requests need no
    /// look-up to know that there is no policy; what a policy says is read whenever it is asked.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away.
    pub fn ruled(&self, account: &AccountId, now: Timestamp) -> Result<Ruled, Error> {
        if let Some(known) = self.fresh(now, |cache| cache.ruled.get(account).cloned()) {
            return Ok(known);
        }
        let (revision, names) = self
            .store
            .read("ruled", |tx| Ok::<_, Abort<Error>>((tx.identity_revision()?, tx.resources_with_policy(account)?)))?;
        let ruled: Ruled = Arc::new(names.into_iter().collect());
        let mut cache = self.cache.write().expect("no code panics while it holds this lock");
        if cache.revision == revision {
            cache.ruled.insert(account.clone(), Arc::clone(&ruled));
        }
        Ok(ruled)
    }

    /// Asks the database again before anything in memory is believed, since this node has changed something there.
    pub fn doubt(&self) {
        self.cache.write().expect("no code panics while it holds this lock").checked_at = None;
    }

    /// Looks into the cache if it was checked lately.
    fn fresh<T>(&self, now: Timestamp, look: impl FnOnce(&Cache) -> Option<T>) -> Option<T> {
        let cache = self.cache.read().expect("no code panics while it holds this lock");
        let checked_at = cache.checked_at?;
        let age = now.0 - checked_at.0;
        if (0..CHECK_EVERY_MS).contains(&age) { look(&cache) } else { None }
    }

    /// Asks the database whether anything changed, and forgets everything if so.
    fn revalidate(&self, now: Timestamp) -> Result<(), Error> {
        if self.fresh(now, |_| Some(())).is_some() {
            return Ok(());
        }
        let revision = self.store.read("identity_revision", |tx| Ok::<_, Abort<Error>>(tx.identity_revision()?))?;
        let mut cache = self.cache.write().expect("no code panics while it holds this lock");
        if cache.revision != revision {
            cache.entries.clear();
            cache.ruled.clear();
            cache.revision = revision;
        }
        cache.checked_at = Some(now);
        Ok(())
    }

    fn load(&self, id: &AccessKeyId) -> Result<(i64, Option<Arc<Credential>>), Error> {
        let (revision, found) = self.store.read("credential", |tx| {
            let revision = tx.identity_revision()?;
            Ok::<_, Abort<Error>>((revision, read_credential(tx, id)?))
        })?;
        let Some(found) = found else { return Ok((revision, None)) };
        let (account, valid, signing_key) = match found.key {
            Stored::Access(key) => {
                let signing_key = SigningKey::new(&self.sys.open(&key)?);
                (key.account_id, Timestamp(i64::MIN)..Timestamp(i64::MAX), signing_key)
            }
            Stored::Client(key) => {
                let signing_key = SigningKey::of_client(&key.public_key);
                let broken = || Error::Integrity(format!("client key {} has no public key", key.id));
                (key.account_id, key.not_before..key.not_after, signing_key.ok_or_else(broken)?)
            }
        };
        let (principal, enabled, policies) = (found.principal, found.enabled, found.policies.into());
        let credential = Credential { account, principal, enabled, valid, signing_key, policies };
        Ok((revision, Some(Arc::new(credential))))
    }
}

/// What a request can be signed with.
enum Stored {
    Access(AccessKeyRow),
    Client(ClientKeyRow),
}

/// What the database says of an access key, or of a client key.
struct Found {
    key: Stored,
    principal: Principal,
    enabled: bool,
    policies: Vec<Attached>,
}

/// A client key, its access point and what the policies of that grant.
fn read_client(tx: &mut Tx<'_>, id: &AccessKeyId) -> Result<Option<Found>, Abort<Error>> {
    let Some(key) = tx.client_key_by_id(id)? else { return Ok(None) };
    let Some(account) = tx.account_by_id(&key.account_id)? else { return Ok(None) };
    let point = tx.access_point_by_name(&key.account_id, &key.access_point)?;
    let point = point.ok_or_else(|| Abort::App(Error::Integrity(format!("client key {id} has no access point"))))?;
    let policies = access_point::grants(tx, &point)?;
    let principal = Principal::AccessPoint(point.name);
    Ok(Some(Found { key: Stored::Client(key), principal, enabled: account.enabled, policies }))
}

fn read_credential(tx: &mut Tx<'_>, id: &AccessKeyId) -> Result<Option<Found>, Abort<Error>> {
    if id.is_client_key() {
        return read_client(tx, id);
    }
    let Some(access_key) = tx.access_key_by_id(id)? else { return Ok(None) };
    let Some(account) = tx.account_by_id(&access_key.account_id)? else { return Ok(None) };
    let mut enabled = access_key.enabled && account.enabled;
    let Some(user_id) = access_key.user_id else {
        let key = Stored::Access(access_key);
        return Ok(Some(Found { key, principal: Principal::Root, enabled, policies: Vec::new() }));
    };
    let Some(user) = tx.user_by_id(&user_id)?.filter(|u| u.account_id == access_key.account_id) else { return Ok(None) };
    enabled &= user.enabled;
    let policies = policies_of(tx, &access_key.account_id, &user_id)?;
    Ok(Some(Found { key: Stored::Access(access_key), principal: Principal::User(user.name), enabled, policies }))
}

/// What a user is allowed and denied by policies that are attached to it.
pub(super) fn policies_of(tx: &mut Tx<'_>, account: &AccountId, user: &UserId) -> Result<Vec<Attached>, Abort<Error>> {
    tx.attachments_of(user)?.into_iter().map(|attachment| attached(tx, account, attachment)).collect()
}

/// The policy of an attachment. One that is gone or does not parse is an alarm, not a policy less: it may have been a Deny.
fn attached(tx: &mut Tx<'_>, account: &AccountId, attachment: AttachmentRow) -> Result<Attached, Abort<Error>> {
    let name = attachment.policy_name;
    let broken = |what: &str| Abort::App(Error::Integrity(format!("policy {name} of account {account} {what}")));
    let policy = if attachment.system {
        Cow::Borrowed(policy::system_policy(name.as_str()).ok_or_else(|| broken("is no system policy"))?)
    } else {
        let row = tx.policy_by_name(account, &name)?.ok_or_else(|| broken("is attached and does not exist"))?;
        Cow::Owned(Policy::parse(&row.document).map_err(|_| broken("does not parse"))?)
    };
    Ok(Attached { name, policy })
}

//! What a request needs to know of the key that signed it: from the database and the token once, then from memory.
//!
//! Owns: the cache of credentials of access keys, client keys and bearer tokens, and which resources have a policy of their own.
//! Must not know: HTTP, how a request was signed. Called by: auth.
//!
//! Every change of who may do what raises one number in the database, and the store tells which accounts changes were about. The cache
//! asks at most every [`CHECK_EVERY`], and at once after a change by this process, and drops what is of the accounts that changed: so a
//! revocation works on every node within a second, and what one account changes costs no other a look-up. What is read then is proved with
//! its digest: a Deny that was deleted, or an access key that was put back, is an alarm.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::auth::principal::{AttachedPolicy, HaveOwnPolicy, Principal, policies_of};
use crate::auth::proof::SigningKey;
use crate::auth::system_key::SysKey;
use crate::auth::{access_key, access_point, bearer::Bearer};
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, UserName};
use crate::error::Error;
use crate::store::{Abort, AccessKeyRow, Changed, ClientKeyRow, Store, TokenDigest, Tx};

/// How old a credential in memory may be without asking whether anything changed.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// How many credentials, and how many tokens, are kept; past it the cache starts anew.
const MAX_CACHED: usize = 100_000;

/// How many access key ids, and tokens, are kept that do not exist; past it they are asked for again.
const MAX_UNKNOWN: usize = 10_000;

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
    pub policies: Arc<[AttachedPolicy]>,
}

/// Credentials by access key id, from memory where possible.
pub struct Credentials {
    store: Arc<Store>,
    sys: SysKey,
    cache: RwLock<Cache>,
}

/// What the database said when it was asked.
struct Asked<K, V> {
    there: HashMap<K, Arc<V>>,
    /// What does not exist, so that asking for it again costs no look-up either. Apart, so that guesses drive out guesses only.
    absent: HashSet<K>,
}

impl<K, V> Default for Asked<K, V> {
    fn default() -> Self {
        Self { there: HashMap::new(), absent: HashSet::new() }
    }
}

impl<K: Clone + Eq + Hash, V> Asked<K, V> {
    /// What is known of it; none if nothing is.
    fn known(&self, key: &K) -> Option<Option<Arc<V>>> {
        match self.there.get(key) {
            Some(found) => Some(Some(Arc::clone(found))),
            None => self.absent.contains(key).then_some(None),
        }
    }

    fn keep(&mut self, key: &K, found: Option<&Arc<V>>) {
        match found {
            Some(found) => {
                if self.there.len() >= MAX_CACHED {
                    self.there.clear();
                }
                self.there.insert(key.clone(), Arc::clone(found));
            }
            None => {
                if self.absent.len() >= MAX_UNKNOWN {
                    self.absent.clear();
                }
                self.absent.insert(key.clone());
            }
        }
    }
}

#[derive(Default)]
struct Cache {
    revision: i64,
    checked_at: Option<Instant>,
    /// What this process had changed itself when it was checked; see [`Store::rights_changes`].
    own_changes: u64,
    credentials: Asked<AccessKeyId, Credential>,
    /// Bearer tokens, by their digests.
    tokens: Asked<TokenDigest, Bearer>,
    /// The resources of an account that have a policy of their own.
    have_own_policy: HashMap<AccountId, HaveOwnPolicy>,
}

impl Cache {
    /// Forgets what is of these accounts, or everything. An id that was unknown may be anybody's now.
    fn forget(&mut self, changed: Option<&Changed>) {
        self.credentials.absent.clear();
        self.tokens.absent.clear();
        match changed {
            Some(Changed { accounts, tokens }) => {
                self.tokens.there.retain(|digest, token| {
                    let changed = |digest: &TokenDigest| tokens.contains(&(token.account().clone(), digest.as_bytes()[0]));
                    // What changes about a token above it changes when it ends.
                    !accounts.contains(token.account()) && !changed(digest) && !token.above.iter().any(changed)
                });
                self.credentials.there.retain(|_, credential| !accounts.contains(&credential.account));
                self.have_own_policy.retain(|account, _| !accounts.contains(account));
            }
            None => {
                self.credentials.there.clear();
                self.tokens.there.clear();
                self.have_own_policy.clear();
            }
        }
    }
}

impl Credentials {
    /// Credentials of this store, opened with SYS.
    pub fn new(store: Arc<Store>, sys: SysKey) -> Self {
        Self { store, sys, cache: RwLock::default() }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What wraps their secrets, and makes random numbers.
    pub(super) fn sys(&self) -> &SysKey {
        &self.sys
    }

    /// The credential of an access key; none if there is no such access key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when database or token are away: nobody is let in on an old credential.
    pub fn find(&self, id: &AccessKeyId) -> Result<Option<Arc<Credential>>, Error> {
        if let Some(known) = self.fresh(|cache| cache.credentials.known(id)) {
            return Ok(known);
        }
        self.revalidate()?;
        if let Some(known) = self.fresh(|cache| cache.credentials.known(id)) {
            return Ok(known);
        }
        let (revision, loaded) = self.load(id)?;
        let mut cache = self.cache.write();
        if cache.revision == revision {
            cache.credentials.keep(id, loaded.as_ref());
        }
        Ok(loaded)
    }

    /// Who shows the token of this digest; none if there is no such token.
    ///
    /// # Errors
    /// As [`Credentials::find`].
    pub fn bearer(&self, digest: &TokenDigest) -> Result<Option<Arc<Bearer>>, Error> {
        if let Some(known) = self.fresh(|cache| cache.tokens.known(digest)) {
            return Ok(known);
        }
        self.revalidate()?;
        if let Some(known) = self.fresh(|cache| cache.tokens.known(digest)) {
            return Ok(known);
        }
        let (revision, loaded) =
            self.store.read("bearer", |tx| Ok((tx.rights_revision()?, Bearer::read(tx, digest)?.map(Arc::new))))?;
        let mut cache = self.cache.write();
        if cache.revision == revision {
            cache.tokens.keep(digest, loaded.as_ref());
        }
        Ok(loaded)
    }

    /// The policies of a user; none where it is not there, or it or its account is disabled.
    ///
    /// # Errors
    /// As [`Credentials::find`].
    pub fn of_user(&self, account: &AccountId, name: &UserName) -> Result<Option<Arc<[AttachedPolicy]>>, Error> {
        self.store.read("login_user", |tx| {
            if !tx.account_by_id(account)?.is_some_and(|account| account.enabled) {
                return Ok(None);
            }
            match tx.user_by_name(account, name)?.filter(|user| user.enabled) {
                Some(user) => Ok(Some(policies_of(tx, account, &user.id)?.into())),
                None => Ok(None),
            }
        })
    }

    /// The resources of an account that have a policy of their own. As old as credentials may be, so that most requests need no
    /// look-up to know that there is no policy; what a policy says is read whenever it is asked.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away.
    pub fn have_own_policy(&self, account: &AccountId) -> Result<HaveOwnPolicy, Error> {
        if let Some(known) = self.fresh(|cache| cache.have_own_policy.get(account).cloned()) {
            return Ok(known);
        }
        let (revision, names) =
            self.store.read_rows("have_own_policy", |tx| Ok((tx.rights_revision()?, tx.resources_with_policy(account)?)))?;
        let names: HaveOwnPolicy = Arc::new(names.into_iter().collect());
        let mut cache = self.cache.write();
        if cache.revision == revision {
            cache.have_own_policy.insert(account.clone(), Arc::clone(&names));
        }
        Ok(names)
    }

    /// Looks into the cache if it was checked lately, and this process has changed nothing since.
    fn fresh<T>(&self, look: impl FnOnce(&Cache) -> Option<T>) -> Option<T> {
        let cache = self.cache.read();
        let checked_at = cache.checked_at?;
        let young = checked_at.elapsed() < CHECK_EVERY;
        if young && cache.own_changes == self.store.rights_changes() { look(&cache) } else { None }
    }

    /// Asks the database in which accounts anything changed, and forgets what is known of those.
    fn revalidate(&self) -> Result<(), Error> {
        if self.fresh(|_| Some(())).is_some() {
            return Ok(());
        }
        let (asked_at, own_changes) = (Instant::now(), self.store.rights_changes());
        let since = self.cache.read().revision;
        let (revision, changed) = self.store.rights_since(since)?;
        let mut cache = self.cache.write();
        if revision < since || cache.revision < since {
            cache.forget(None);
        } else if revision != cache.revision {
            cache.forget(changed.as_ref());
        }
        (cache.revision, cache.own_changes, cache.checked_at) = (revision, own_changes, Some(asked_at));
        Ok(())
    }

    fn load(&self, id: &AccessKeyId) -> Result<(i64, Option<Arc<Credential>>), Error> {
        let (revision, found) = self.store.read("credential", |tx| {
            let revision = tx.rights_revision()?;
            Ok((revision, read_credential(tx, id)?))
        })?;
        let Some(found) = found else { return Ok((revision, None)) };
        let (account, valid, signing_key) = match found.key {
            SignedWith::Access(key) => {
                let signing_key = SigningKey::new(&access_key::open(&self.sys, &key)?);
                (key.account_id, Timestamp(i64::MIN)..Timestamp(i64::MAX), signing_key)
            }
            SignedWith::Client(key) => {
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
enum SignedWith {
    Access(AccessKeyRow),
    Client(ClientKeyRow),
}

/// What the database says of an access key, or of a client key.
struct StoredCredential {
    key: SignedWith,
    principal: Principal,
    enabled: bool,
    policies: Vec<AttachedPolicy>,
}

/// A client key, its access point and what the policies of that grant.
fn read_client(tx: &mut Tx<'_>, id: &AccessKeyId) -> Result<Option<StoredCredential>, Abort<Error>> {
    let Some(key) = tx.client_key_by_id(id)? else { return Ok(None) };
    let Some(account) = tx.account_by_id(&key.account_id)? else { return Ok(None) };
    let point = tx.access_point_by_name(&key.account_id, &key.access_point)?;
    let point = point.ok_or_else(|| Abort::App(Error::Integrity(format!("client key {id} has no access point"))))?;
    let policies = access_point::grants(tx, &point)?;
    let principal = Principal::AccessPoint(point.name);
    Ok(Some(StoredCredential { key: SignedWith::Client(key), principal, enabled: account.enabled, policies }))
}

fn read_credential(tx: &mut Tx<'_>, id: &AccessKeyId) -> Result<Option<StoredCredential>, Abort<Error>> {
    if id.is_client_key() {
        return read_client(tx, id);
    }
    let Some(access_key) = tx.access_key_by_id(id)? else { return Ok(None) };
    let Some(account) = tx.account_by_id(&access_key.account_id)? else { return Ok(None) };
    let mut enabled = access_key.enabled && account.enabled;
    let Some(user_id) = access_key.user_id else {
        let key = SignedWith::Access(access_key);
        return Ok(Some(StoredCredential { key, principal: Principal::Root, enabled, policies: Vec::new() }));
    };
    let Some(user) = tx.user_by_id(&user_id)?.filter(|u| u.account_id == access_key.account_id) else { return Ok(None) };
    enabled &= user.enabled;
    let policies = policies_of(tx, &access_key.account_id, &user_id)?;
    Ok(Some(StoredCredential { key: SignedWith::Access(access_key), principal: Principal::User(user.name), enabled, policies }))
}

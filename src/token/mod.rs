//! The token: master keys are made here, used here, and never leave.
//!
//! Owns: everything PKCS#11; the only user of cryptoki. Must not know: rows, states, policies, HTTP. Called by: keys (master keys),
//! audit (its signature), app and admin (opening, system keys).
//!
//! | file | answers |
//! |---|---|
//! | `mod.rs` | what can be asked of the token, in our words: ids in, bytes out, never handles |
//! | `link.rs` | how a call is run, judged and retried; how a lost token comes back |
//! | `epoch.rs` | what is valid between two reconnects: login, sessions, handles |
//! | `pool.rs`, `context.rs` | sessions; the library and the slot |
//! | `templates.rs` | every attribute |
//! | `create.rs` | making, proving, destroying objects |
//! | `import.rs`, `wrapping.rs` | material that comes from outside, and the pairs it is wrapped with |
//! | `material.rs` | what a master key is on the token, by its spec and usage |
//! | `suites.rs`, `signing.rs`, `asymmetric.rs`, `oaep.rs` | how bytes are encrypted, MACed, signed |
//! | `canary.rs` | which suite the token serves; whether a session still works |
//! | `errors.rs`, `status.rs` | what every return code means; what is counted |
//! | `softhsm.rs` | a throw-away SoftHSM token, for `bulla dev` and tests |
//!
//! All calls block, for as long as the module does; the wait for a session is bounded by [`TokenConfig::session_wait`]. Use of a
//! key costs one lock, one map look-up and the operation itself (Init and the one-shot call) on a session that is open already.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cryptoki::mechanism::Mechanism;
use cryptoki::session::UserType;
use zeroize::Zeroizing;

pub use self::create::Object;
pub use self::errors::TokenError;
pub use self::import::{CheckValue, Incoming, WRAPPED_LEN};
pub use self::material::Material;
pub use self::status::{Counts, TokenStatus};
pub use self::templates::ObjectKind;

use self::context::Claim;
use self::epoch::auth_pin;
use self::errors::Failure;
use self::link::Link;
use self::pool::Access;
use self::status::Operation;
use self::suites::SEED_LEN;
use self::templates::Half;
use crate::base::canonical::Canonical;
use crate::base::ids::KeyVersionId;
use crate::base::public_key::PublicKey;
use crate::base::secret::{DataKey, Pin};
use crate::base::words::Suite;

mod asymmetric;
mod canary;
mod context;
mod create;
mod epoch;
mod errors;
mod import;
#[cfg(test)]
#[path = "../../softhsm/isolated.rs"]
pub(crate) mod isolated;
mod link;
mod material;
mod oaep;
mod pool;
mod signing;
pub mod softhsm;
mod status;
mod suites;
mod templates;
#[cfg(test)]
mod tests;
mod wrapping;

/// Bytes encrypted on the token, laid out as their suite says (docs/formats.md). The suite is stored beside them.
pub type Wrapped = Vec<u8>;

/// Which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By its label; it must be the only one with it.
    Label(String),
    /// By its serial number.
    Serial(String),
}

impl Selector {
    fn fits(&self, label: &str, serial: &str) -> bool {
        match self {
            Selector::Label(wanted) => wanted == label,
            Selector::Serial(wanted) => wanted == serial,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Label(label) => write!(f, "labelled {label:?}"),
            Selector::Serial(serial) => write!(f, "with serial number {serial:?}"),
        }
    }
}

/// How to reach the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// The vendor's PKCS#11 module (a shared library).
    pub module: PathBuf,
    /// Which of its tokens.
    pub selector: Selector,
    /// Sessions for the use of keys, at most; fewer if the token has fewer. Two more are kept: one holds the login, one makes and
    /// destroys keys.
    pub sessions: usize,
    /// How long a call waits for a session to come free before it is [`TokenError::Busy`]; longer for the one that makes keys.
    pub session_wait: Duration,
    /// How long [`Token::open`] tries again when it fails, for other reasons than a refused PIN.
    pub open_wait: Duration,
}

/// A token, open and logged in. One in a process at a time; shared by all threads. Comes back by itself when it was away.
pub struct Token {
    link: Arc<Link>,
    tender: Option<JoinHandle<()>>,
}

impl Token {
    /// Loads the module, finds the token, logs in. A refused PIN is not presented again.
    ///
    /// # Errors
    /// What still fails after [`TokenConfig::open_wait`]: `Absent` if there is no such token, `Pin` if it refuses the PIN,
    /// `Unsupported` if module or token lack what is needed (the names of the missing mechanisms), `Fault` if this process has a
    /// token open already, or for what else goes wrong.
    pub fn open(config: TokenConfig, pin: Pin) -> Result<Token, TokenError> {
        let link = Arc::new(Link::open(config, pin)?);
        let tended = Arc::clone(&link);
        let tender = thread::Builder::new()
            .name("bulla-token".into())
            .spawn(move || tended.tend())
            .map_err(|e| TokenError::Fault(format!("no thread: {e}")))?;
        Ok(Token { link, tender: Some(tender) })
    }

    /// Says which [`ObjectKind::Int`] authenticates what suite S3 encrypts. Before the first use of a key under that suite; once.
    pub fn authenticate_with(&self, id: KeyVersionId) {
        // A second call names the same key: a process serves one deployment.
        let _ = self.link.integrity.set(id);
    }

    /// Initialises the first uninitialised token of a module and sets its PINs. For development and tests; a real token is
    /// initialised with its vendor's tools.
    ///
    /// # Errors
    /// `Absent` if no slot has an uninitialised token; `Fault` if this process has a token open, or for what else goes wrong.
    pub fn initialise(module: &Path, label: &str, so_pin: &Pin, pin: &Pin) -> Result<(), TokenError> {
        let claim = Claim::take(module)?;
        claim.initialize()?;
        let pkcs11 = claim.pkcs11();
        let made = (|| {
            let blank = |slot: &_| pkcs11.get_token_info(*slot).is_ok_and(|info| !info.token_initialized());
            let slot = pkcs11.get_slots_with_token()?.into_iter().find(blank);
            let slot = slot.ok_or_else(|| TokenError::Absent("no slot has an uninitialised token".into()))?;
            pkcs11.init_token(slot, &auth_pin(so_pin), label)?;
            let session = pkcs11.open_rw_session_no_drop(slot)?;
            session.login(UserType::So, Some(&auth_pin(so_pin)))?;
            session.init_pin(&auth_pin(pin))?;
            Ok::<_, Failure>(())
        })();
        claim.finalize();
        made.map_err(TokenError::from)
    }

    /// Which suite this token serves, found by trying, proved with a key that lives for the moment. It is recorded once and passed to
    /// [`Token::wrap`] from then on.
    ///
    /// # Errors
    /// `Unsupported` with the missing mechanisms; `Fault` if the token has them and they do not work.
    pub fn probe(&self) -> Result<Suite, TokenError> {
        self.link.run(Operation::Probe, Access::ReadOnly, None, |epoch, session| {
            let key = session.generate_key(&Mechanism::AesKeyGen, &templates::session_key())?;
            let suite = epoch.canary.suite();
            let proved = suites::prove(suite, &epoch.canary.keyed(session, key));
            session.destroy_object(key)?;
            proved.map(|()| suite)
        })
    }

    /// Makes a key under this id, reads its attributes back and tries it; a key that fails is destroyed again. One at a time.
    ///
    /// # Errors
    /// `Duplicate` if an object has the id, `Unsupported` if the token does not keep to an attribute, `Busy`, `Gone`, `Fault`.
    pub fn create(&self, id: &KeyVersionId, kind: ObjectKind) -> Result<(), TokenError> {
        self.link.run(Operation::Create, Access::ReadWrite, Some(id), |epoch, session| create::create(epoch, session, id, kind))
    }

    /// Proves a key as [`Token::create`] does, without making it: to finish a creation that was interrupted.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported` with the attribute that is wrong, `Fault` if it does not work.
    pub fn prove(&self, id: &KeyVersionId, kind: ObjectKind) -> Result<(), TokenError> {
        self.link.run(Operation::Inspect, Access::ReadOnly, Some(id), |epoch, session| create::prove(epoch, session, id, kind))
    }

    /// Proves by attributes and label alone that the object of this id, or the pair, is what a system key of this kind must be: the
    /// only one of its id, made here, locked in, for its one use, with the label of its role. A key of another role or of a
    /// caller's fails, whatever names it. A few calls; nothing is signed or encrypted.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported` with the attribute that is wrong; `Busy`, `Gone`, `Fault`.
    pub fn prove_system_key(&self, id: &KeyVersionId, kind: ObjectKind) -> Result<(), TokenError> {
        self.link
            .run(Operation::Inspect, Access::ReadOnly, Some(id), |epoch, session| create::identify(epoch, session, id, kind))
    }

    /// Whether any object has this id. Reads the token, not the cache.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn exists(&self, id: &KeyVersionId) -> Result<bool, TokenError> {
        self.link.run(Operation::Inspect, Access::ReadOnly, Some(id), |_, session| create::exists(session, id))
    }

    /// The ids of all objects that look like ours: by their label and an id of 16 bytes. Reads the token; costs as much as there
    /// are objects.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn ids(&self) -> Result<HashSet<KeyVersionId>, TokenError> {
        self.link.run(Operation::Inspect, Access::ReadOnly, None, |_, session| create::ids(session))
    }

    /// Every object of this id as the token describes it; empty if there is none.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn inspect(&self, id: &KeyVersionId) -> Result<Vec<Object>, TokenError> {
        self.link.run(Operation::Inspect, Access::ReadOnly, Some(id), |_, session| create::inspect(session, id))
    }

    /// Destroys the key of this id, both halves of a pair, and looks that it is gone. Done already is success.
    ///
    /// # Errors
    /// `Duplicate` if several objects claim to be it, `Busy`, `Gone`, `Fault`.
    pub fn destroy(&self, id: &KeyVersionId) -> Result<(), TokenError> {
        self.link.run(Operation::Destroy, Access::ReadWrite, Some(id), |epoch, session| create::destroy(epoch, session, id))
    }

    /// Fills `out` with random bytes: the token's XOR the operating system's.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn random(&self, out: &mut [u8]) -> Result<(), TokenError> {
        self.link.run(Operation::Random, Access::ReadOnly, None, |_, session| suites::random(session, out))
    }

    /// A new data key, and the same encrypted under `under`: two calls to the token, one for random bytes, one to encrypt.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn new_data_key(
        &self,
        suite: Suite,
        under: &KeyVersionId,
        context: &Canonical,
    ) -> Result<(DataKey, Wrapped), TokenError> {
        self.link.run(Operation::Wrap, Access::ReadOnly, Some(under), |epoch, session| {
            let key = epoch.keyed(session, suite, under)?;
            let mut drawn = Zeroizing::new([0; DataKey::LEN + SEED_LEN]);
            suites::random(session, drawn.as_mut_slice())?;
            let (mut secret, mut seed) = (Zeroizing::new([0; DataKey::LEN]), [0; SEED_LEN]);
            secret.copy_from_slice(&drawn[..DataKey::LEN]);
            seed.copy_from_slice(&drawn[DataKey::LEN..]);
            let wrapped = suites::seal(suite, &key, &seed, secret.as_slice(), context)?;
            Ok((DataKey::new(secret), wrapped))
        })
    }

    /// Encrypts bytes under `under`, bound to `context`. Callers bound their length; an empty secret is not served.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported` for no bytes or too many, `Busy`, `Gone`, `Fault`.
    pub fn wrap(&self, suite: Suite, under: &KeyVersionId, secret: &[u8], context: &Canonical) -> Result<Wrapped, TokenError> {
        if secret.is_empty() {
            return Err(TokenError::Unsupported("wrapping nothing".into()));
        }
        self.link.run(Operation::Wrap, Access::ReadOnly, Some(under), |epoch, session| {
            let key = epoch.keyed(session, suite, under)?;
            let mut seed = [0; SEED_LEN];
            suites::random(session, &mut seed)?;
            suites::seal(suite, &key, &seed, secret, context)
        })
    }

    /// Decrypts what [`Token::wrap`] made, with the suite that was stored beside it.
    ///
    /// # Errors
    /// `Tampered` if bytes, key and context do not belong together; `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn unwrap(
        &self,
        suite: Suite,
        under: &KeyVersionId,
        wrapped: &[u8],
        context: &Canonical,
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.link.run(Operation::Unwrap, Access::ReadOnly, Some(under), |epoch, session| {
            suites::open(suite, &epoch.keyed(session, suite, under)?, wrapped, context)
        })
    }

    /// Decrypts what [`Token::new_data_key`] made.
    ///
    /// # Errors
    /// As [`Token::unwrap`]; `Tampered` also if it is not as long as a data key.
    pub fn unwrap_data_key(
        &self,
        suite: Suite,
        under: &KeyVersionId,
        wrapped: &[u8],
        context: &Canonical,
    ) -> Result<DataKey, TokenError> {
        let secret = self.unwrap(suite, under, wrapped, context)?;
        let mut key = Zeroizing::new([0; DataKey::LEN]);
        if secret.len() != key.len() {
            return Err(TokenError::Tampered);
        }
        key.copy_from_slice(&secret);
        Ok(DataKey::new(key))
    }

    /// HMAC-SHA-256 under an [`ObjectKind::Int`].
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn mac(&self, under: &KeyVersionId, input: &[u8]) -> Result<[u8; 32], TokenError> {
        self.link.run(Operation::Mac, Access::ReadOnly, Some(under), |epoch, session| {
            let key = epoch.handle(session, under, Half::Secret)?;
            signing::mac(session, key, input)
        })
    }

    /// Signs under an [`ObjectKind::Aud`]: ECDSA P-256 with SHA-256, as r and s of 32 bytes each.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn sign(&self, under: &KeyVersionId, message: &[u8]) -> Result<[u8; 64], TokenError> {
        self.link.run(Operation::Sign, Access::ReadOnly, Some(under), |epoch, session| {
            let key = epoch.handle(session, under, Half::Private)?;
            signing::sign(session, key, message)
        })
    }

    /// The public half of a pair.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn public_key(&self, id: &KeyVersionId) -> Result<PublicKey, TokenError> {
        self.link.run(Operation::Inspect, Access::ReadOnly, Some(id), |epoch, session| {
            let key = epoch.handle(session, id, Half::Public)?;
            signing::public_key(session, key)
        })
    }

    /// A cheap proof that the token answers: a session and one random byte.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Pin` if the link could not be rebuilt because the PIN was refused.
    pub fn health(&self) -> Result<(), TokenError> {
        self.link.run(Operation::Health, Access::ReadOnly, None, |_, session| {
            let mut byte = [0];
            Ok(session.generate_random_slice(&mut byte)?)
        })
    }

    /// Numbers for metrics. Never waits, never calls the token.
    pub fn status(&self) -> TokenStatus {
        self.link.status()
    }
}

/// Stops the thread; the link then ends with its last owner.
impl Drop for Token {
    fn drop(&mut self) {
        self.link.stop();
        if let Some(tender) = self.tender.take()
            && tender.join().is_err()
        {
            log::error!("token: the thread that tends the link panicked");
        }
    }
}

//! What can be asked of the token, in our words: ids in, bytes out, never handles.
//!
//! Owns: [`Token`], and which session and counter each operation has. Must not know: rows, states, policies, HTTP. Called by: keys,
//! auth, app, admin.
//!
//! All calls block, for as long as the module does; the wait for a session is bounded by [`TokenConfig::session_wait`]. Use of a
//! key costs one lock, one map look-up and two calls (Init and the one-shot call) on a session that is open already.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use cryptoki::session::UserType;
use zeroize::Zeroizing;

use super::canary::CanaryKey;
use super::concessions::Concessions;
use super::config::TokenConfig;
use super::connection::Connection;
use super::create::Object;
use super::epoch::{Epoch, auth_pin};
use super::errors::{Failure, TokenError};
use super::import::{CheckValue, Incoming, aes};
use super::left_out::LeftOut;
use super::module::Claim;
use super::permission::Change;
use super::pin::Pins;
use super::pool::Access;
use super::session::Session;
use super::status::{Operation, TokenStatus};
use super::suites::SEED_LEN;
use super::templates::{Half, ObjectKind};
use super::{asymmetric, canary, create, import, reconnect, signing, suites, wrapping};
use crate::base::canonical::Canonical;
use crate::base::ids::KeyVersionId;
use crate::base::public_key::{Digest32, PublicKey};
use crate::base::secret::{DataKey, Pin};
use crate::base::words::{EncryptionAlgorithm, ImportAlgorithm, KeySpec, MacAlgorithm, SignatureAlgorithm, Suite};

/// Bytes encrypted on the token, laid out as their suite says (docs/formats.md). The suite is stored beside them.
pub type Wrapped = Vec<u8>;

/// A token, open and logged in. One in a process at a time; shared by all threads. Comes back by itself when it was away.
pub struct Token {
    pub(super) connection: Arc<Connection>,
    tender: Option<JoinHandle<()>>,
}

impl Token {
    /// Loads the module, finds the token, logs in.
    ///
    /// # Errors
    /// What still fails after [`TokenConfig::open_wait`]: `Absent` if there is no such token, `Unsupported` if module or token lack
    /// what is needed (all of the missing mechanisms), `Fault` if this process has a token open already, or for what else goes
    /// wrong. At once: `Pin`, `PinInDoubt`, `NoPin`.
    pub fn open(config: TokenConfig, pins: impl Into<Pins>) -> Result<Token, TokenError> {
        let connection = Arc::new(reconnect::open(config, pins.into())?);
        let kept = Arc::clone(&connection);
        let tender = thread::Builder::new()
            .name("bulla-token".into())
            .spawn(move || reconnect::keep(&kept))
            .map_err(|e| TokenError::Fault(format!("no thread: {e}")))?;
        Ok(Token { connection, tender: Some(tender) })
    }

    /// Says which [`ObjectKind::Int`] authenticates what suite S3 encrypts. Before the first use of a key under that suite; once.
    pub fn authenticate_with(&self, id: KeyVersionId) {
        // A second call names the same key: a process serves one deployment.
        let _ = self.connection.lasting.integrity.set(id);
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
            let blank = |slot: &_| claim.token(*slot).is_ok_and(|token| !token.initialised());
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

    /// Whether a module has a token of this label that was initialised and has a PIN of its user. For development and tests.
    ///
    /// # Errors
    /// `Fault` if this process has a token open, or for what else goes wrong.
    pub fn is_initialised(module: &Path, label: &str) -> Result<bool, TokenError> {
        let claim = Claim::take(module)?;
        claim.initialize()?;
        let is_it =
            |slot: &_| claim.token(*slot).is_ok_and(|t| t.initialised() && t.user_pin_initialised() && t.label == label);
        let found = claim.pkcs11().get_slots_with_token().map(|slots| slots.iter().any(is_it));
        claim.finalize();
        found.map_err(|e| TokenError::from(Failure::from(e)))
    }

    /// Which suite this token serves, found by trying, proved with the key of its own test. It is recorded once and passed to
    /// [`Token::wrap`] from then on.
    ///
    /// # Errors
    /// `Unsupported` with the missing mechanisms; `Fault` if the token has them and they do not work.
    pub fn probe(&self) -> Result<Suite, TokenError> {
        self.connection.run(Operation::Probe, Access::ReadOnly, None, |epoch, session| {
            let suite = epoch.canary.suite();
            suites::prove(suite, &epoch.canary.itself(session))?;
            Ok(suite)
        })
    }

    /// Makes a key under this id, reads its attributes back and tries it; a key that fails is destroyed again. One at a time.
    ///
    /// # Errors
    /// `Duplicate` if an object has the id, `Unsupported` if the token does not keep to an attribute, `MayNotMake`, `KeepsNothing`,
    /// `Full`, `Busy`, `Gone`, `Fault`.
    pub fn create(&self, id: &KeyVersionId, kind: ObjectKind) -> Result<(), TokenError> {
        let mut begun = false;
        self.connection.run(Operation::Create, Access::ReadWrite, Some(id), |epoch, session| {
            create::under_free_id(epoch, session, id, &mut begun, || create::create(epoch, session, id, kind))
        })?;
        self.connection.more_objects(kind.halves().len() as i64);
        Ok(())
    }

    /// Proves a key as [`Token::create`] does, without making it: to finish a creation that was interrupted.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported` with the attribute that is wrong, `Fault` if it does not work.
    pub fn prove(&self, id: &KeyVersionId, kind: ObjectKind) -> Result<(), TokenError> {
        self.connection
            .run(Operation::Inspect, Access::ReadOnly, Some(id), |epoch, session| create::prove_alone(epoch, session, id, kind))
    }

    /// Proves by attributes and label alone that the object of this id, or the pair, is what a system key of this kind must be: the
    /// only one of its id, made here, locked in, for its one use, with the label of its role. A key of another role or of a
    /// caller's fails, whatever names it. A few calls; nothing is signed or encrypted.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported` with the attribute that is wrong; `Busy`, `Gone`, `Fault`.
    pub fn prove_system_key(&self, id: &KeyVersionId, kind: ObjectKind) -> Result<(), TokenError> {
        let begun = Instant::now();
        let identify = || {
            let work = |epoch: &Epoch, session: &Session| create::identify(epoch, session, id, kind);
            self.connection.run(Operation::Inspect, Access::ReadOnly, Some(id), work)
        };
        loop {
            let proved = identify();
            let TokenConfig { missed_for, look_again, .. } = self.connection.config;
            // Missed, and not yet for long enough to say that there is none.
            if proved != Err(TokenError::Gone) || begun.elapsed() > missed_for + look_again {
                return proved;
            }
            thread::sleep(look_again);
        }
    }

    /// Whether any object has this id. Reads the token, not the cache.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn exists(&self, id: &KeyVersionId) -> Result<bool, TokenError> {
        self.connection.run(Operation::Inspect, Access::ReadOnly, Some(id), |_, session| create::exists(session, id))
    }

    /// The ids of all objects that look like ours: by their label and an id of 16 bytes. Reads the token; costs as much as there
    /// are objects.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn ids(&self) -> Result<HashSet<KeyVersionId>, TokenError> {
        self.connection.run(Operation::Inspect, Access::ReadOnly, None, |_, session| create::ids(session)).map(
            |(ids, objects)| {
                self.connection.counted(objects);
                ids
            },
        )
    }

    /// Every object of this id as the token describes it; empty if there is none.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn inspect(&self, id: &KeyVersionId) -> Result<Vec<Object>, TokenError> {
        self.connection.run(Operation::Inspect, Access::ReadOnly, Some(id), |_, session| create::inspect(session, id))
    }

    /// Destroys a key of this id that this process made, both halves of a pair, and looks that it is gone. Done already is success.
    ///
    /// # Errors
    /// `Duplicate` if several objects claim to be it, `MayNotDestroy`, `Busy`, `Gone`, `Fault`.
    pub fn destroy_own(&self, id: &KeyVersionId) -> Result<(), TokenError> {
        self.destroy_shown(id).map(drop)
    }

    /// The same of a key that whichever node made, before `since`. Nothing to destroy is success only on a module that was initialised
    /// after that: some show what another process made only then. So it is initialised anew for the first that is not found; whoever
    /// destroys many passes one `since` for all.
    ///
    /// # Errors
    /// As [`Token::destroy_own`].
    pub fn destroy(&self, id: &KeyVersionId, since: Instant) -> Result<(), TokenError> {
        // The second time may be too soon after another look, the third is not.
        for _ in 0..3 {
            let (destroyed, begun) = self.destroy_shown(id)?;
            if destroyed > 0 || begun > since {
                return Ok(());
            }
            if !self.connection.show_anew(format_args!("no object {id} to destroy")) {
                thread::sleep(self.connection.config.look_again);
            }
        }
        Err(TokenError::Gone)
    }

    /// How many objects of an id were shown and are destroyed, and since when all that others had made was shown.
    fn destroy_shown(&self, id: &KeyVersionId) -> Result<(usize, Instant), TokenError> {
        let (destroyed, begun) = self.connection.run(Operation::Destroy, Access::ReadWrite, Some(id), |epoch, session| {
            Ok((create::destroy(epoch, session, id)?, epoch.begun))
        })?;
        self.connection.more_objects(-(destroyed as i64));
        if destroyed > 0 {
            self.connection.lasting.concessions.permission.given(Change::Destroy);
        }
        Ok((destroyed, begun))
    }

    /// Fills `out` with random bytes: the token's XOR the operating system's.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn random(&self, out: &mut [u8]) -> Result<(), TokenError> {
        self.connection.run(Operation::Random, Access::ReadOnly, None, |_, session| suites::random(session, out))
    }

    /// A new data key, and the same encrypted under `under`: three calls to the token.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn new_data_key(
        &self,
        suite: Suite,
        under: &KeyVersionId,
        context: &Canonical,
    ) -> Result<(DataKey, Wrapped), TokenError> {
        self.connection.run(Operation::Wrap, Access::ReadOnly, Some(under), |epoch, session| {
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

    /// Random bytes, and what `secret` makes of them encrypted under `under`: for a data key in a caller's form. Three calls.
    ///
    /// # Errors
    /// As [`Token::wrap`].
    pub fn wrap_random<T: AsRef<[u8]>>(
        &self,
        suite: Suite,
        under: &KeyVersionId,
        random: usize,
        context: &Canonical,
        secret: impl Fn(&[u8]) -> T,
    ) -> Result<(T, Wrapped), TokenError> {
        self.connection.run(Operation::Wrap, Access::ReadOnly, Some(under), |epoch, session| {
            let key = epoch.keyed(session, suite, under)?;
            let mut drawn = Zeroizing::new(vec![0; random + SEED_LEN]);
            suites::random(session, &mut drawn)?;
            let (bytes, seed) = drawn.split_last_chunk::<SEED_LEN>().ok_or_else(|| TokenError::Fault("no seed".into()))?;
            let made = secret(bytes);
            let wrapped = suites::seal(suite, &key, seed, made.as_ref(), context)?;
            Ok((made, wrapped))
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
        self.connection.run(Operation::Wrap, Access::ReadOnly, Some(under), |epoch, session| {
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
        self.connection.run(Operation::Unwrap, Access::ReadOnly, Some(under), |epoch, session| {
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

    /// HMAC-SHA-256 under an [`ObjectKind::Int`] or [`ObjectKind::Row`].
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn mac(&self, under: &KeyVersionId, input: &[u8]) -> Result<[u8; 32], TokenError> {
        self.connection.run(Operation::Mac, Access::ReadOnly, Some(under), |epoch, session| {
            let key = epoch.handle(session, under, Half::Secret)?;
            signing::mac(session, key, input)
        })
    }

    /// Signs under an [`ObjectKind::Aud`]: ECDSA P-256 with SHA-256, as r and s of 32 bytes each; or RSA with PKCS #1 padding.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn sign(&self, under: &KeyVersionId, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.connection.run(Operation::Sign, Access::ReadOnly, Some(under), |epoch, session| {
            let key = epoch.handle(session, under, Half::Private)?;
            signing::sign(session, key, message)
        })
    }

    /// The public half of a pair.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Busy`, `Gone`, `Fault`.
    pub fn public_key(&self, id: &KeyVersionId) -> Result<PublicKey, TokenError> {
        self.connection.run(Operation::Inspect, Access::ReadOnly, Some(id), |epoch, session| {
            epoch.public_key(id, || signing::public_key(session, epoch.handle(session, id, Half::Public)?))
        })
    }

    /// A cheap proof that the token answers: a session and one random byte.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Pin` if the connection could not be rebuilt because the PIN was refused.
    pub fn health(&self) -> Result<(), TokenError> {
        self.connection.run(Operation::Health, Access::ReadOnly, None, |_, session| suites::random(session, &mut [0]))
    }

    /// Asks the token what is free on it, for [`Token::status`], if that was not done for a minute; for who looks at it all the time.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn look_at_room(&self) -> Result<(), TokenError> {
        if !self.connection.room_is_old() {
            return Ok(());
        }
        let work = |epoch: &Epoch, _: &Session| epoch.ask_for_room(&self.connection.claim);
        self.connection.run(Operation::Inspect, Access::ReadOnly, None, work)
    }

    /// What the token says of itself, and where the key of its test is: for people.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn description(&self) -> Result<Description, TokenError> {
        let module = self.connection.module_text()?;
        self.connection.run(Operation::Inspect, Access::ReadOnly, None, |epoch, session| {
            Ok(Description {
                module: module.clone(),
                token: epoch.token.clone(),
                objects: create::count(session)?,
                canary: epoch.canary.place(),
            })
        })
    }

    /// What the token is known to refuse to be told of new keys, recorded or met with since; and what it refuses now, found by making a
    /// deployment's own keys for the moment as if nothing were known. Where it makes no such keys, what is known is all.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn left_out(&self) -> Result<(LeftOut, LeftOut), TokenError> {
        self.connection.run(Operation::Probe, Access::ReadOnly, None, |epoch, session| {
            let known = epoch.lasting.concessions.left_out();
            if epoch.canary.place() != CanaryKey::Session {
                return Ok((known.clone(), known));
            }
            let now = Concessions::default();
            create::learn(session, &now)?;
            Ok((known, now.left_out()))
        })
    }

    /// How many keys of its test are on the token beyond those that are used: processes that logged in at the same time made one each.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn spare_test_keys(&self) -> Result<usize, TokenError> {
        self.connection.run(Operation::Inspect, Access::ReadOnly, None, |_, session| canary::spare(session))
    }

    /// Whether this user makes keys that stay and destroys them, found by doing both once. A crash in between leaves an object that
    /// `bulla check` lists.
    ///
    /// # Errors
    /// As [`Token::create`] and [`Token::destroy_own`].
    pub fn try_making(&self) -> Result<(), TokenError> {
        let id = KeyVersionId::new();
        self.create(&id, ObjectKind::Canary)?;
        self.destroy_own(&id)
    }

    /// False while the token did not let its user make a key at the last attempt, ten minutes ago at most: what needs one is better done
    /// by another node.
    pub fn makes_keys(&self) -> bool {
        self.connection.lasting.concessions.permission.refusal(Change::Make).is_none()
    }

    /// The same of destroying one.
    pub fn destroys_keys(&self) -> bool {
        self.connection.lasting.concessions.permission.refusal(Change::Destroy).is_none()
    }

    /// Numbers for metrics. Never waits, never calls the token.
    pub fn status(&self) -> TokenStatus {
        self.connection.status()
    }

    /// Signs a digest of SHA-256 with a pair that signs. ECDSA gives DER, RSA as many bytes as the modulus has.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported`, `Busy`, `Gone`, `Fault`.
    pub fn sign_digest(
        &self,
        under: &KeyVersionId,
        algorithm: SignatureAlgorithm,
        digest: &Digest32,
    ) -> Result<Vec<u8>, TokenError> {
        self.connection.run(Operation::Sign, Access::ReadOnly, Some(under), |epoch, session| {
            asymmetric::sign(session, epoch.handle(session, under, Half::Private)?, algorithm, digest)
        })
    }

    /// Decrypts with an RSA pair that decrypts.
    ///
    /// # Errors
    /// `Tampered` for whatever is wrong with the ciphertext; `NoSuchKey`, `Duplicate`, `Unsupported`, `Busy`, `Gone`, `Fault`.
    pub fn decrypt_oaep(
        &self,
        under: &KeyVersionId,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        self.connection.run(Operation::Unwrap, Access::ReadOnly, Some(under), |epoch, session| {
            asymmetric::decrypt(epoch, session, epoch.handle(session, under, Half::Private)?, algorithm, ciphertext)
        })
    }

    /// HMAC with a generic secret.
    ///
    /// # Errors
    /// `NoSuchKey`, `Duplicate`, `Unsupported`, also for a message that is too long for the token, `Busy`, `Gone`, `Fault`.
    pub fn hmac(&self, under: &KeyVersionId, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.connection.run(Operation::Mac, Access::ReadOnly, Some(under), |epoch, session| {
            asymmetric::hmac(session, epoch.handle(session, under, Half::Secret)?, algorithm, message)
        })
    }

    /// Whether the token unwraps material with this algorithm. Found by doing it, once for each login.
    ///
    /// # Errors
    /// `Busy`, `Gone`, `Fault`.
    pub fn unwraps(&self, algorithm: ImportAlgorithm) -> Result<bool, TokenError> {
        self.connection.run(Operation::Probe, Access::ReadOnly, None, |epoch, session| {
            epoch.unwraps(algorithm, || wrapping::supported(session, algorithm, &epoch.lasting.concessions))
        })
    }

    /// Makes a wrapping pair under this id. Answers its public key: SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// As [`Token::create`].
    pub fn create_wrapping_pair(&self, id: &KeyVersionId, algorithm: ImportAlgorithm) -> Result<Vec<u8>, TokenError> {
        let mut begun = false;
        self.connection.run(Operation::Create, Access::ReadWrite, Some(id), |epoch, session| {
            create::under_free_id(epoch, session, id, &mut begun, || {
                epoch.lasting.concessions.if_proved(|| wrapping::make(epoch, session, id, algorithm))
            })
        })
    }

    /// The check value of material for a key version, without keeping the material.
    ///
    /// # Errors
    /// `Tampered` if it does not decrypt, or has not the length that the spec wants; `NoSuchKey` if the pair is gone;
    /// `Unsupported` for a spec that is not AES, and with the mechanism that the token lacks; `Busy`, `Gone`, `Fault`.
    pub fn check_value(
        &self,
        material: &Incoming<'_>,
        version: &KeyVersionId,
        spec: KeySpec,
    ) -> Result<CheckValue, TokenError> {
        let (_, length) = aes(spec)?;
        // An ambiguous failure here is a failure to unwrap. What is made here lives for the moment, so no lock of creation is needed.
        self.connection.run(Operation::Unwrap, Access::ReadOnly, material.pair(), |epoch, session| {
            import::check_value_of(epoch, session, material, version, length)
        })
    }

    /// Makes material whose check value is known the key of this version, reads its attributes back and tries it; a key that fails is
    /// destroyed again.
    ///
    /// # Errors
    /// `Duplicate` if an object has the id; `NoSuchKey` if the pair is gone; `Unsupported` if the token does not keep to an
    /// attribute; `Busy`, `Gone`, `Fault`.
    pub fn import(
        &self,
        material: &Incoming<'_>,
        version: &KeyVersionId,
        spec: KeySpec,
        check: &CheckValue,
    ) -> Result<(), TokenError> {
        let (kind, _) = aes(spec)?;
        let mut begun = false;
        self.connection.run(Operation::Create, Access::ReadWrite, Some(version), |epoch, session| {
            let import = || import::import(epoch, session, material, version, kind, check);
            create::under_free_id(epoch, session, version, &mut begun, import)
        })
    }
}

/// A token, described.
#[derive(Debug, Clone)]
pub struct Description {
    /// The module: manufacturer, description and version.
    pub module: String,
    /// The token, by its own account at the login.
    pub token: bulla_pkcs11::TokenText,
    /// Objects on it, ours and others'.
    pub objects: u64,
    /// Where the key of its test is.
    pub canary: CanaryKey,
}

/// Stops the thread; the connection then ends with its last owner.
impl Drop for Token {
    fn drop(&mut self) {
        self.connection.stop();
        if let Some(tender) = self.tender.take()
            && tender.join().is_err()
        {
            log::error!("token: the thread that reconnects panicked");
        }
    }
}

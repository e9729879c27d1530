//! The bare program: the calls to the token that an operation on keys cannot leave out, in a loop, and nothing else.
//!
//! Each thread has a session of its own, opened before the clock starts. What is measured is given line by line, so that its runs can
//! take turns with those of Bulla: `CALL THREADS MILLISECONDS`; the answer is `CALLS SECONDS P50 P99`, the times in nanoseconds.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use bulla::token::softhsm;
use bulla_test_support::server::{bound_to_this_process, spawn, terminate};
use cryptoki::context::Pkcs11;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::floor::Failure;
use crate::load::{Outcome, percentile};
use crate::{programs, token};

/// What every encryption is bound to, as long as what Bulla binds one to.
const CONTEXT: [u8; 64] = [0x5a; 64];

/// What is encrypted and signed: as long as a data key and a digest.
pub const MESSAGE: [u8; 32] = [0x42; 32];

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// C_GenerateRandom for the IV; C_EncryptInit and C_Encrypt, AES-GCM.
    Encrypt,
    /// C_DecryptInit and C_Decrypt, AES-GCM.
    Decrypt,
    /// C_GenerateRandom for the key and the IV; C_EncryptInit and C_Encrypt.
    GenerateDataKey,
    /// C_SignInit and C_Sign, RSA-2048, PSS.
    Sign,
}

impl Call {
    /// All of them, by the names of Bulla's operations.
    pub const ALL: [(&str, Call); 4] = [
        ("Encrypt", Call::Encrypt),
        ("Decrypt", Call::Decrypt),
        ("GenerateDataKey", Call::GenerateDataKey),
        ("AsymmetricSign", Call::Sign),
    ];
}

/// The bare program at work.
pub struct Bare {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Bare {
    /// Starts it with a token of its own.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn start(folder: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        let conf = softhsm::prepare(folder)?;
        let mut command = bound_to_this_process(&std::env::current_exe()?);
        command.arg("bare").env(softhsm::CONF_VARIABLE, conf).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command)?;
        let input = child.stdin.take().ok_or("its input is piped")?;
        let output = BufReader::new(child.stdout.take().ok_or("its output is piped")?);
        Ok(Self { child, input, output })
    }

    /// One run.
    ///
    /// # Errors
    /// When the program has ended.
    pub fn run(&mut self, name: &str, threads: usize, time: Duration) -> Result<Outcome, Failure> {
        let before = programs::cpu(self.child.id())?;
        writeln!(self.input, "{name} {threads} {}", time.as_millis())?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let cpu = programs::cpu(self.child.id())? - before;
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [calls, seconds, p50, p99] = numbers[..] else { return Err("the bare program has ended".into()) };
        let [p50, p99] = [p50, p99].map(|ns| Duration::from_nanos(ns as u64));
        Ok(Outcome { answers: calls as usize, per_second: calls / seconds, p50, p99, cpu: cpu.div_f64(calls) })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        terminate(&mut self.child);
    }
}

/// What the threads share.
struct Token {
    pkcs11: Pkcs11,
    slot: Slot,
    aes: ObjectHandle,
    rsa: ObjectHandle,
    /// What is decrypted, and its IV.
    encrypted: Vec<u8>,
    iv: [u8; 12],
}

/// Does what its input says until it ends.
///
/// # Errors
/// What the token or the input says.
pub fn serve() -> Result<(), Failure> {
    let (token, _anchor) = Token::make()?;
    for line in io::stdin().lines() {
        let line = line?;
        let [name, threads, time] = line.split_whitespace().collect::<Vec<_>>()[..] else { return Err("three words".into()) };
        let call = Call::ALL.into_iter().find_map(|(known, call)| (known == name).then_some(call)).ok_or("no such call")?;
        let (elapsed, mut times) = token.measure(call, threads.parse()?, Duration::from_millis(time.parse()?))?;
        times.sort_unstable();
        let at = |share| percentile(&times, share).as_nanos();
        writeln!(io::stdout(), "{} {} {} {}", times.len(), elapsed.as_secs_f64(), at(50), at(99))?;
    }
    Ok(())
}

impl Token {
    /// A new token with its keys, and the session that holds the login.
    fn make() -> Result<(Self, Session), Failure> {
        let (pkcs11, slot, anchor) = token::make("bare")?;
        let on_token = [Attribute::Token(true), Attribute::Private(true), Attribute::Sensitive(true)];
        let aes = [Attribute::Encrypt(true), Attribute::Decrypt(true), Attribute::ValueLen(32.into())];
        let aes = anchor.generate_key(&Mechanism::AesKeyGen, &[&on_token[..], &aes].concat())?;
        let public = [Attribute::Token(true), Attribute::Verify(true), Attribute::ModulusBits(2048.into())];
        let private = [&on_token[..], &[Attribute::Sign(true)]].concat();
        let (_, rsa) = anchor.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private)?;
        let iv = [7; 12];
        let mut given = iv;
        let encrypted = anchor.encrypt(&gcm(&mut given)?, aes, &MESSAGE)?;
        Ok((Self { pkcs11, slot, aes, rsa, encrypted, iv }, anchor))
    }

    /// Calls until the time is over; how long that was, and how long each call took.
    fn measure(&self, call: Call, threads: usize, time: Duration) -> Result<(Duration, Vec<Duration>), Failure> {
        let sessions = (0..threads).map(|_| self.pkcs11.open_ro_session(self.slot)).collect::<Result<Vec<_>, _>>()?;
        let start = Barrier::new(threads + 1);
        std::thread::scope(|scope| {
            let start = &start;
            let worker = |session: Session| {
                scope.spawn(move || {
                    start.wait();
                    let (began, mut times) = (Instant::now(), Vec::new());
                    while began.elapsed() < time {
                        let called = Instant::now();
                        self.call(call, &session)?;
                        times.push(called.elapsed());
                    }
                    Ok::<_, Failure>(times)
                })
            };
            let workers: Vec<_> = sessions.into_iter().map(worker).collect();
            start.wait();
            let began = Instant::now();
            let mut times = Vec::new();
            for worker in workers {
                times.extend(worker.join().map_err(|_| "a thread panicked")??);
            }
            Ok((began.elapsed(), times))
        })
    }

    fn call(&self, call: Call, session: &Session) -> Result<(), Failure> {
        match call {
            Call::Encrypt => {
                let mut iv = [0; 12];
                session.generate_random_slice(&mut iv)?;
                session.encrypt(&gcm(&mut iv)?, self.aes, &MESSAGE)?;
            }
            Call::Decrypt => {
                let mut iv = self.iv;
                session.decrypt(&gcm(&mut iv)?, self.aes, &self.encrypted)?;
            }
            Call::GenerateDataKey => {
                let mut drawn = [0; 32 + 12];
                session.generate_random_slice(&mut drawn)?;
                let (key, iv) = drawn.split_at_mut(32);
                session.encrypt(&gcm(iv)?, self.aes, key)?;
            }
            Call::Sign => {
                let (hash_alg, mgf) = (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256);
                let pss = Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len: 32.into() });
                session.sign(&pss, self.rsa, &MESSAGE)?;
            }
        }
        Ok(())
    }
}

fn gcm(iv: &mut [u8]) -> Result<Mechanism<'_>, Failure> {
    Ok(Mechanism::AesGcm(GcmParams::new(iv, &CONTEXT, 128.into())?))
}

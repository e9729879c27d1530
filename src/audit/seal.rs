//! Signatures for checkpoints, made in a thread of their own: a token that is slow or hangs must not hold up lines.
//!
//! Owns: that thread. Must not know: files, the token. Called by: writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::chain::Statement;

/// Signs with AUD: ECDSA P-256 over SHA-256 of the bytes, 64 bytes r‖s, or RSA with PKCS #1 padding; or says why not.
pub type Signer = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, String> + Send + Sync>;

/// Bytes of a signature of ECDSA P-256, and of RSA of 2048 and more bits.
const LENGTHS: [usize; 4] = [64, 256, 384, 512];

/// A statement and its signature.
pub(super) type Sealed = (Statement, Result<Vec<u8>, String>);

/// The thread's two ends. At most one statement is with it.
pub(super) struct Sealer {
    statements: Sender<Statement>,
    results: Receiver<Sealed>,
    outstanding: bool,
}

impl Sealer {
    pub(super) fn start(name: &str, node: String, signer: Signer) -> std::io::Result<Self> {
        let (statements, work) = channel::<Statement>();
        let (done, results) = channel();
        // Never joined: it may hang in the token, and the process must be able to end.
        std::thread::Builder::new().name(format!("audit-seal-{name}")).spawn(move || {
            for statement in work {
                let text = statement.text(&node);
                let signature = match catch_unwind(AssertUnwindSafe(|| signer(text.as_bytes()))) {
                    Ok(Ok(bytes)) if !LENGTHS.contains(&bytes.len()) => Err(format!("a signature of {} bytes", bytes.len())),
                    Ok(result) => result,
                    Err(_) => Err("the signer panicked".to_owned()),
                };
                if done.send((statement, signature)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { statements, results, outstanding: false })
    }

    /// Whether a statement is being signed.
    pub(super) fn is_busy(&self) -> bool {
        self.outstanding
    }

    /// Gives a statement to the thread.
    pub(super) fn ask(&mut self, statement: Statement) {
        self.outstanding = self.statements.send(statement).is_ok();
    }

    /// The result, waiting no longer than this.
    pub(super) fn result(&mut self, wait: Duration) -> Option<Sealed> {
        let result = if self.outstanding { self.results.recv_timeout(wait).ok() } else { None };
        self.outstanding &= result.is_none();
        result
    }
}

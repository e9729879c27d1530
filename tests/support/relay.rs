//! A way to a server of this machine that passes messages on, late, or not any more.
//!
//! Owns: the listener, and what happens to each connection through it. Must not know: what is said, but for a word that begins what is
//! counted. A message is what one side sends at once.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A way; it ends with the process.
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Before each message is passed on, ms.
    delay: AtomicU64,
    /// Connections up to this number pass nothing on.
    stranded: AtomicU64,
    /// Connections so far.
    connections: AtomicU64,
    plan: Mutex<Plan>,
}

/// What is cut.
#[derive(Default)]
enum Plan {
    #[default]
    Nothing,
    /// The first connection on which a message holds this text is counted from there, and cut before it passes on so many.
    At(&'static str, u64),
    /// This one is counted: passed so far, and to pass.
    Counted { connection: u64, passed: u64, of: u64 },
    /// It was cut.
    Done,
}

/// What came of [`Relay::cut`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The connection was cut.
    Cut,
    /// So many messages were counted, fewer than what was to pass.
    Whole(u64),
    /// The text did not come.
    Absent,
}

impl Relay {
    /// A way to this port of loopback.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Self { port: listener.local_addr().expect("it is bound").port(), shared: Arc::default() };
        let shared = Arc::clone(&relay.shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || shared.pass(number, from, to));
                }
            }
        });
        relay
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets each message take so long more, on every connection.
    pub fn delay(&self, delay: Duration) {
        self.shared.delay.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Connections that are open now pass nothing on any more, and neither side hears of it; new ones do.
    pub fn strand(&self) {
        self.shared.stranded.store(self.shared.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The next connection on which a message holds this text is cut when it has passed on so many, that one included.
    pub fn cut(&self, text: &'static str, after: u64) {
        *self.shared.plan() = Plan::At(text, after);
    }

    /// Ends the counting; what came of it.
    pub fn counted(&self) -> Counted {
        match std::mem::take(&mut *self.shared.plan()) {
            Plan::Counted { passed, .. } => Counted::Whole(passed),
            Plan::Done => Counted::Cut,
            Plan::Nothing | Plan::At(..) => Counted::Absent,
        }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        // Each change is whole.
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, number: u64, mut from: TcpStream, mut to: TcpStream) {
        let mut message = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut message) {
            let message = &message[..count];
            let delay = self.delay.load(Ordering::SeqCst);
            if delay > 0 {
                std::thread::sleep(Duration::from_millis(delay));
            }
            if number <= self.stranded.load(Ordering::SeqCst) {
                continue;
            }
            if !self.passes(number, message) || to.write_all(message).is_err() {
                break;
            }
        }
        // A stranded end is not heard of either.
        if number > self.stranded.load(Ordering::SeqCst) {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        }
    }

    /// Whether the plan lets this message pass.
    fn passes(&self, number: u64, message: &[u8]) -> bool {
        let mut plan = self.plan();
        if let Plan::At(text, of) = *plan
            && message.windows(text.len()).any(|part| part == text.as_bytes())
        {
            *plan = Plan::Counted { connection: number, passed: 0, of };
        }
        match &mut *plan {
            Plan::Counted { connection, passed, of } if *connection == number => {
                if *passed >= *of {
                    *plan = Plan::Done;
                    return false;
                }
                *passed += 1;
                true
            }
            _ => true,
        }
    }
}

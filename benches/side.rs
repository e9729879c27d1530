//! A program with what it has stored, as one side of a comparison.
//!
//! Owns: what is asked of it, and how runs take turns. Must not know: how the report looks.

use std::time::Duration;

use bulla::output::progress::Progress;
use bulla_test_support::client::Client;

use crate::floor::Failure;
use crate::load::{self, Outcome};
use crate::programs::Program;

/// The most requests that are made beforehand for one run.
const MOST: usize = 400_000;

/// Secrets that are stored at a time, before it is told how many there are.
const PART: usize = 2_000;

/// A program with the secrets it has.
pub struct Side {
    /// The program.
    pub program: Program,
    /// Secrets in all.
    pub stored: usize,
    /// Stored to be read, numbered from 0.
    filled: usize,
    /// Names used up by creates and puts.
    named: usize,
}

/// What is asked.
#[derive(Clone, Copy)]
pub enum What<'a> {
    /// To read one of so many secrets, in an order that no cache foresees.
    Read { among: usize },
    /// To make a secret under a new name.
    Create,
    /// To store a further value of one of so many secrets, each in its turn.
    Put { among: usize },
    /// Of Bulla: the n-th request of this kind.
    Asked(&'a dyn Fn(&Client, usize) -> Vec<u8>),
}

impl Side {
    /// A program that has nothing yet.
    pub fn new(program: Program) -> Self {
        Self { program, filled: 0, named: 0, stored: 0 }
    }

    /// Stores secrets to be read until there are so many: through the API, or at once in the floor program, which has none that counts.
    ///
    /// # Errors
    /// When the program does not.
    pub fn fill(&mut self, wanted: usize) -> Result<(), Failure> {
        let client = self.program.client();
        if matches!(self.program, Program::Floor { .. }) && self.filled < wanted {
            let address = self.program.address();
            let (from, to) = (self.filled, wanted);
            let request = format!("POST /fill?from={from}&to={to} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n");
            load::run(address, 1, Duration::from_secs(3600), vec![request.into_bytes()])?;
            self.stored += to - from;
            self.filled = wanted;
        }
        let progress = Progress::new("filled", wanted.saturating_sub(self.filled));
        while self.filled < wanted {
            let part = self.filled..wanted.min(self.filled + PART);
            let requests: Vec<_> = part.clone().map(|n| self.program.create(client.as_ref(), &name(n))).collect();
            self.stored += load::run(self.program.address(), 32, Duration::from_secs(3600), requests)?.answers;
            progress.more(part.len());
            self.filled = part.end;
        }
        progress.end();
        Ok(())
    }

    /// One run: as many requests as a trial says will be needed, made beforehand.
    ///
    /// # Errors
    /// When the program does not answer all of them well.
    pub fn run(&mut self, what: What<'_>, connections: usize, time: Duration) -> Result<Outcome, Failure> {
        let trial = self.requests(what, 64 * connections);
        let trial = load::run(self.program.address(), connections, time, trial)?;
        let count = ((trial.per_second * time.as_secs_f64() * 1.5) as usize).clamp(64, MOST);
        let requests = self.requests(what, count);
        let before = self.program.cpu()?;
        let mut outcome = load::run(self.program.address(), connections, time, requests)?;
        outcome.cpu = (self.program.cpu()? - before) / u32::try_from(outcome.answers)?;
        if matches!(what, What::Create) {
            self.stored += trial.answers + outcome.answers;
        }
        Ok(outcome)
    }

    fn requests(&mut self, what: What<'_>, count: usize) -> Vec<Vec<u8>> {
        let client = self.program.client();
        let from = self.named;
        let program = &self.program;
        match what {
            What::Read { among } => (0..count).map(|n| program.read(client.as_ref(), &name(n * 7919 % among))).collect(),
            What::Create => {
                self.named += count;
                let create = |n| program.create(client.as_ref(), &format!("bench/created-{n:07}"));
                (from..from + count).map(create).collect()
            }
            What::Put { among } => {
                self.named += count;
                let put = |n: usize| program.put(client.as_ref(), &name(n * 7919 % among), &format!("v{n:07}"));
                (from..from + count).map(put).collect()
            }
            What::Asked(request) => client.iter().flat_map(|client| (0..count).map(|n| request(client, n))).collect(),
        }
    }
}

/// The name of a secret that is there to be read.
pub fn name(number: usize) -> String {
    format!("bench/secret-{number:07}")
}

/// Runs that take turns; the median of each by rate.
///
/// # Errors
/// When one fails.
pub fn compare<const N: usize>(
    mut sides: [&mut Side; N],
    what: What<'_>,
    connections: usize,
    runs: usize,
    time: Duration,
) -> Result<[Outcome; N], Failure> {
    let mut outcomes: [Vec<Outcome>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..runs {
        for (side, outcomes) in sides.iter_mut().zip(&mut outcomes) {
            outcomes.push(side.run(what, connections, time)?);
        }
    }
    Ok(outcomes.map(median))
}

/// The one in the middle by rate.
pub fn median(mut outcomes: Vec<Outcome>) -> Outcome {
    outcomes.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    outcomes[outcomes.len() / 2]
}

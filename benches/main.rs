//! `make bench`: Bulla beside a program that does only what cannot be left out, on one machine in one run.
//!
//! Both serve the same value from SQLite and SoftHSM, with the load generator on the same cores. The figure that counts is the
//! ratio: it says what signature, policy, versions, integrity and a durable audit record cost, whatever the machine. Runs of the two
//! take turns, and each figure is the median of its runs. `--quick` is for trying the benchmark itself.

mod floor;
mod load;
mod programs;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use floor::Failure;
use load::Outcome;
use programs::Program;

/// How much is done.
struct Plan {
    /// How many secrets are stored when reads and creates are measured.
    stored: [usize; 2],
    /// Of each run.
    time: Duration,
    /// Runs of which the median counts.
    runs: usize,
}

const CONNECTIONS: [usize; 3] = [1, 8, 32];

/// The most requests that are made beforehand for one run.
const MOST: usize = 400_000;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["floor", folder, mode] => floor::serve(Path::new(folder), mode == "inline"),
        ["profile", what, connections, seconds] => profile(what, connections.parse()?, Duration::from_secs(seconds.parse()?)),
        ["--quick"] => bench(&Plan { stored: [200, 1_000], time: Duration::from_millis(500), runs: 3 }),
        [] => bench(&Plan { stored: [1_000, 100_000], time: Duration::from_secs(3), runs: 3 }),
        _ => Err("usage: bulla-bench [--quick | profile read|create CONNECTIONS SECONDS]".into()),
    }
}

/// A program with the secrets it has.
struct Side {
    program: Program,
    /// Stored to be read, numbered from 0.
    filled: usize,
    /// Names used up by creates.
    named: usize,
    /// Secrets in all.
    stored: usize,
}

impl Side {
    fn new(program: Program) -> Self {
        Self { program, filled: 0, named: 0, stored: 0 }
    }

    /// Requests that make secrets under new names.
    fn creates(&mut self, count: usize) -> Vec<Vec<u8>> {
        let client = self.program.client();
        let from = self.named;
        self.named += count;
        (from..from + count).map(|n| self.program.create(client.as_ref(), &format!("bench/created-{n:07}"))).collect()
    }

    /// Requests that read secrets all over, in an order that no cache foresees.
    fn reads(&mut self, among: usize, count: usize) -> Vec<Vec<u8>> {
        let client = self.program.client();
        (0..count).map(|n| self.program.read(client.as_ref(), &name(n * 7919 % among))).collect()
    }

    /// Stores secrets to be read until there are so many.
    fn fill(&mut self, wanted: usize) -> Result<(), Failure> {
        let client = self.program.client();
        let requests: Vec<_> = (self.filled..wanted).map(|n| self.program.create(client.as_ref(), &name(n))).collect();
        self.filled = wanted;
        self.stored += load::run(self.program.address(), 32, Duration::from_secs(3600), requests)?.answers;
        Ok(())
    }

    /// One run: as many requests as a trial says will be needed, made beforehand.
    fn run(&mut self, what: What, connections: usize, time: Duration) -> Result<Outcome, Failure> {
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

    fn requests(&mut self, what: What, count: usize) -> Vec<Vec<u8>> {
        match what {
            What::Read { among } => self.reads(among, count),
            What::Create => self.creates(count),
        }
    }
}

#[derive(Clone, Copy)]
enum What {
    /// Of so many secrets.
    Read { among: usize },
    /// Under new names.
    Create,
}

fn name(number: usize) -> String {
    format!("bench/secret-{number:07}")
}

fn bench(plan: &Plan) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("bulla");
    print(&format!(
        "{}\nvalue of {} bytes; {} runs of {:?} each, medians",
        programs::machine(),
        programs::VALUE.len(),
        plan.runs,
        plan.time
    ))?;
    let mut floor = Side::new(Program::floor(&folder.path().join("floor"), false)?);
    let mut inline = Side::new(Program::floor(&folder.path().join("inline"), true)?);
    let mut bulla = Side::new(Program::bulla(&data));
    let (idle, _) = bulla.program.memory()?;
    let empty = programs::database_bytes(&data.join("bulla.db"))?;
    let mut sizes = Vec::new();

    print(
        "\nrequests a second (p50/p99 in ms, µs of processor per request)\n\
           what         stored  conns  floor                          floor inline                   Bulla                          ratio  to inline",
    )?;
    for stored in plan.stored {
        let began = Instant::now();
        for side in [&mut floor, &mut inline, &mut bulla] {
            side.fill(stored)?;
        }
        let filled = began.elapsed();
        sizes.push((bulla.stored, programs::database_bytes(&data.join("bulla.db"))?));
        for (what, word) in [(What::Read { among: stored }, "read"), (What::Create, "create")] {
            for connections in CONNECTIONS {
                let [floor, inline, bulla] = compare([&mut floor, &mut inline, &mut bulla], what, connections, plan)?;
                print(&format!(
                    "{word:<10} {stored:>8}  {connections:>5}  {}  {}  {}  {:>5.2}  {:>9.2}",
                    cell(&floor),
                    cell(&inline),
                    cell(&bulla),
                    bulla.per_second / floor.per_second,
                    bulla.per_second / inline.per_second,
                ))?;
            }
        }
        if filled > Duration::from_secs(1) {
            print(&format!("(filled to {stored} in {:.0} s)", filled.as_secs_f64()))?;
        }
    }

    let (resident, highest) = bulla.program.memory()?;
    print(&format!(
        "\nmemory of Bulla: {} MiB before the first request, {} MiB now, {} MiB at its highest",
        idle / 1024,
        resident / 1024,
        highest / 1024
    ))?;
    for (stored, bytes) in sizes {
        print(&format!("bytes per secret in the database at {stored}: {}", (bytes - empty) / stored as u64))?;
    }
    let stored = bulla.stored;
    if let Program::Bulla(server) = &mut bulla.program {
        server.stop();
    }
    let mut starts = (0..5).map(|_| programs::start_up(&data)).collect::<Result<Vec<_>, _>>()?;
    starts.sort_unstable();
    print(&format!("start of `bulla serve` to its first answer, {stored} secrets stored: {:.3} s", starts[2].as_secs_f64()))
}

/// Keeps Bulla alone busy, for a profiler to look at.
fn profile(what: &str, connections: usize, time: Duration) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut bulla = Side::new(Program::bulla(&folder.path().join("bulla")));
    bulla.fill(1_000)?;
    print(&format!("process {}", bulla.program.pid()?))?;
    let what = if what == "read" { What::Read { among: 1_000 } } else { What::Create };
    let outcome = bulla.run(what, connections, time)?;
    print(&cell(&outcome))
}

/// Runs that take turns; the median of each by rate.
fn compare<const N: usize>(
    mut sides: [&mut Side; N],
    what: What,
    connections: usize,
    plan: &Plan,
) -> Result<[Outcome; N], Failure> {
    let mut outcomes: [Vec<Outcome>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..plan.runs {
        for (side, outcomes) in sides.iter_mut().zip(&mut outcomes) {
            outcomes.push(side.run(what, connections, plan.time)?);
        }
    }
    Ok(outcomes.map(|mut outcomes| {
        outcomes.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        outcomes[outcomes.len() / 2]
    }))
}

fn cell(outcome: &Outcome) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    format!("{:>8.0} ({:>6.2}/{:>6.2}, {:>4})", outcome.per_second, ms(outcome.p50), ms(outcome.p99), outcome.cpu.as_micros())
}

fn print(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}").map_err(Into::into)
}

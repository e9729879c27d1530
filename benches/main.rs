//! `make bench`: Bulla beside a program that does only what cannot be left out, on one machine in one run.
//!
//! Both serve the same value from SQLite and SoftHSM, with the load generator on the same cores. The figure that counts is the
//! ratio: it says what signature, policy, versions, integrity and a durable audit record cost, whatever the machine. Runs of the two
//! take turns, and each figure is the median of its runs. Operations on keys stand beside the bare calls to the token that they make.
//! `--quick` is for trying the benchmark itself.

mod audit;
mod bare;
mod crypto;
mod floor;
mod latency;
mod lists;
mod load;
mod postgres;
mod programs;
mod side;
mod token;
mod vault;
mod versus;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use bare::Bare;
use floor::Failure;
use load::Outcome;
use programs::Program;
use side::{Side, What, compare};

/// How much is done.
struct Plan {
    /// How many secrets are stored when reads and creates are measured.
    stored: Vec<usize>,
    /// Of each run beside the floor program.
    time: Duration,
    /// Of each other run.
    short: Duration,
    /// Runs of which the median counts.
    runs: usize,
    /// How many keys are on the token when many are; 0: no rows but those that the number of secrets could change.
    keys: usize,
}

impl Plan {
    /// That of the documentation.
    fn full() -> Self {
        let [time, short] = [3, 1].map(Duration::from_secs);
        Self { stored: vec![1_000, 100_000], time, short, runs: 3, keys: 200 }
    }

    /// As many secrets as anybody is known to keep in one store.
    fn million() -> Self {
        Self { stored: vec![1_000_000], keys: 0, ..Self::full() }
    }

    /// Enough to see that it works, and large differences.
    fn quick() -> Self {
        let [time, short] = [500, 200].map(Duration::from_millis);
        Self { stored: vec![200, 1_000], time, short, runs: 3, keys: 20 }
    }
}

const CONNECTIONS: [usize; 3] = [1, 8, 32];

const USAGE: &str = "usage: bulla-bench [--quick | million | compare [--quick] COMMIT | latency | vault | postgres [PROGRAM] | audit RECORDS | \
                     profile read|create|put CONNECTIONS SECONDS]";

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["floor", folder, mode] => floor::serve(Path::new(folder), mode == "durable", None),
        ["floor", folder, mode, url] => floor::serve(Path::new(folder), mode == "durable", Some(url)),
        ["profile", what, connections, seconds] => profile(what, connections.parse()?, Duration::from_secs(seconds.parse()?)),
        ["bare"] => bare::serve(),
        ["audit", records] => audit::rows(records.parse()?),
        ["latency"] => latency::rows(&Plan::full()),
        ["vault"] => vault(&Plan::full()),
        ["postgres"] => postgres::rows(&Plan::full(), None),
        ["postgres", other] => postgres::rows(&Plan::full(), Some(Path::new(other))),
        ["compare", commit] => versus::rows(commit, &Plan::full()),
        ["compare", "--quick", commit] => versus::rows(commit, &Plan::quick()),
        ["million"] => bench(&Plan::million()),
        ["--quick"] => bench(&Plan::quick()),
        [] => bench(&Plan::full()),
        _ => Err(USAGE.into()),
    }
}

fn bench(plan: &Plan) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("bulla");
    print(&format!(
        "{}\nvalue of {} bytes; {} runs of {:?} each ({:?} on lists and keys), medians",
        programs::machine(),
        programs::VALUE.len(),
        plan.runs,
        plan.time,
        plan.short
    ))?;
    let mut floor = Side::new(Program::floor(&folder.path().join("floor"), false)?);
    let mut durable = Side::new(Program::floor(&folder.path().join("durable"), true)?);
    let mut bulla = Side::new(Program::bulla(&data));
    let (idle, _) = bulla.program.memory()?;
    let empty = programs::database_bytes(&data.join("bulla.db"))?;
    let mut sizes = Vec::new();

    print(
        "\nrequests a second (p50/p99 in ms, µs of processor per request)\n\
           what         stored  conns  floor                          floor, durable record          Bulla                          ratio  to durable",
    )?;
    for &stored in &plan.stored {
        let began = Instant::now();
        for side in [&mut floor, &mut durable, &mut bulla] {
            side.fill(stored)?;
        }
        let filled = began.elapsed();
        sizes.push((bulla.stored, programs::database_bytes(&data.join("bulla.db"))?));
        // Further values would make the secrets of the second size larger than those of the first.
        let put = (Some(&stored) == plan.stored.last()).then_some((What::Put { among: stored }, "put"));
        for (what, word) in [(What::Read { among: stored }, "read"), (What::Create, "create")].into_iter().chain(put) {
            for connections in CONNECTIONS {
                let [floor, durable, bulla] =
                    compare([&mut floor, &mut durable, &mut bulla], what, connections, plan.runs, plan.time)?;
                print(&format!(
                    "{word:<10} {stored:>8}  {connections:>5}  {}  {}  {}  {:>5.2}  {:>10.2}",
                    cell(&floor),
                    cell(&durable),
                    cell(&bulla),
                    bulla.per_second / floor.per_second,
                    bulla.per_second / durable.per_second,
                ))?;
            }
        }
        if filled > Duration::from_secs(1) {
            print(&format!("(filled to {stored} in {:.0} s)", filled.as_secs_f64()))?;
        }
    }

    drop((floor, durable));
    lists::rows(&mut bulla, plan)?;
    if plan.keys > 0 {
        vault::rows(&mut bulla, &folder.path().join("openbao"), plan)?;
        crypto::rows(&mut bulla, &mut Bare::start(&folder.path().join("bare"))?, plan)?;
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
    if plan.keys > 0 {
        latency::rows(plan)?;
        postgres::rows(plan, None)?;
    }
    print(&format!("start of `bulla serve` to its first answer, {stored} secrets stored: {:.3} s", starts[2].as_secs_f64()))?;
    let (time, said) = programs::verify(&data)?;
    print(&format!("`bulla verify` of them: {:.1} s ({said})", time.as_secs_f64()))
}

/// The rows of Vault's API alone.
fn vault(plan: &Plan) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut bulla = Side::new(Program::bulla(&folder.path().join("bulla")));
    bulla.fill(plan.stored[0])?;
    vault::rows(&mut bulla, &folder.path().join("openbao"), plan)
}

/// Keeps Bulla alone busy, for a profiler to look at.
fn profile(what: &str, connections: usize, time: Duration) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut bulla = Side::new(Program::bulla(&folder.path().join("bulla")));
    bulla.fill(1_000)?;
    print(&format!("process {}", bulla.program.pid()?))?;
    let what = match what {
        "read" => What::Read { among: 1_000 },
        "put" => What::Put { among: 1_000 },
        _ => What::Create,
    };
    let outcome = bulla.run(what, connections, time)?;
    print(&cell(&outcome))
}

fn cell(outcome: &Outcome) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    format!("{:>8.0} ({:>6.2}/{:>6.2}, {:>4})", outcome.per_second, ms(outcome.p50), ms(outcome.p99), outcome.cpu.as_micros())
}

fn print(line: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{line}").map_err(Into::into)
}

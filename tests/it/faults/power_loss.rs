//! The power goes while clients write: from a record of what the process wrote and synced, images of what the disk would hold at random
//! moments. Each has every write that was acknowledged by then, and an audit log whose chain holds.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bulla::app::{line_key, open_token};
use bulla::audit::{Audit, AuditConfig, Keys, log_files, verify_files};
use bulla::config::Config;
use bulla::store::deployment;
use bulla_test_support::power::{self, Recorded, Rest};
use bulla_test_support::server::Server;
use bulla_test_support::sizes::{seed, size};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Text;
use fastrand::Rng;

use crate::{BULLA, create};

/// One image in so many is served from, too.
const SERVE_EVERY: usize = 20;

/// A write that was answered: when, its secret, its request.
struct Acknowledged {
    at: u64,
    name: String,
    request: String,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Integrity {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

/// Writes by several clients for a while; what was acknowledged.
fn writes(server: &Server, time: Duration) -> Vec<Acknowledged> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let over = &over;
                scope.spawn(move || {
                    let client = server.client();
                    let mut acknowledged = Vec::new();
                    for n in 0.. {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let name = format!("w{writer}/{n}");
                        let answer = create(&client, &name, &"x".repeat(n % 3000 + 1)).ok();
                        acknowledged.push(Acknowledged {
                            at: power::now(),
                            name,
                            request: answer.text("RequestId").to_owned(),
                        });
                    }
                    acknowledged
                })
            })
            .collect();
        std::thread::sleep(time);
        over.store(true, Ordering::Relaxed);
        writers.into_iter().flat_map(|writer| writer.join().expect("all were answered")).collect()
    })
}

/// The database of an image has what was acknowledged.
fn check_database(image: &Path, acknowledged: &[&Acknowledged]) {
    let file = image.join("bulla.db");
    let mut database = SqliteConnection::establish(file.to_str().expect("UTF-8")).expect("a database");
    let checked: Integrity = sql_query("PRAGMA integrity_check").get_result(&mut database).expect("a sound file");
    assert_eq!(checked.integrity_check, "ok");
    let all = sql_query("SELECT name FROM secrets JOIN secret_versions ON secret_id = secrets.id");
    let found: HashSet<String> = all.load::<Found>(&mut database).expect("rows").into_iter().map(|row| row.name).collect();
    for write in acknowledged {
        assert!(found.contains(&write.name), "{} was acknowledged and is lost", write.name);
    }
}

/// The audit log of an image goes on and verifies, and says what was acknowledged.
fn check_audit(image: &Path, key: &[u8], acknowledged: &[&Acknowledged]) {
    let folder = image.join("audit");
    let gone_on = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", TEST])
        .env(IMAGE, image)
        .env("SOFTHSM2_CONF", image.join("softhsm2.conf"))
        .output()
        .expect("it runs");
    assert!(gone_on.status.success(), "{}", String::from_utf8_lossy(&gone_on.stdout));
    let files = log_files(&folder, "audit").expect("a folder");
    if let Err(broken) = verify_files(&files, &Keys::public(key)) {
        panic!("{broken}");
    }
    let lines: String = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
    let told = |line: &str| Some(line.split_once("\"request_id\":\"")?.1.split_once('"')?.0.to_owned());
    let outcomes: HashSet<String> =
        lines.lines().filter(|line| line.contains("\"kind\":\"outcome\"")).filter_map(told).collect();
    for write in acknowledged {
        assert!(outcomes.contains(&write.request), "{} has no outcome", write.name);
    }
}

/// Opens the log of an image as the server does, with the key of its lines from the image's token; it goes on.
fn go_on(image: &Path) {
    let config = Config::load(&image.join("bulla.toml")).expect("its configuration");
    let row = deployment::read(&config.database.location().expect("a URL")).expect("a database").expect("a deployment");
    let token = open_token(&config, &row.left_out).expect("its token");
    let folder = image.join("audit");
    let node = std::fs::read_to_string(folder.join("node-id")).expect("the node's id").trim().parse().expect("an id");
    let key = line_key(&token, &row, &node).expect("INT");
    let unsigned = Box::new(|_: &[u8]| Err("no signature here".to_owned()));
    let (audit, found) = Audit::open(AuditConfig::new(&folder, "audit"), node, key, unsigned).expect("a log that goes on");
    assert_eq!(found.set_aside, None, "what a power cut leaves is nobody's forgery");
    audit.close();
}

/// Names the image to a child of this test.
const IMAGE: &str = "BULLA_TEST_IMAGE";

/// This test, to its children.
const TEST: &str = "faults::power_loss::no_power_cut_takes_what_was_acknowledged_or_breaks_the_log";

#[test]
fn no_power_cut_takes_what_was_acknowledged_or_breaks_the_log() {
    if let Some(image) = std::env::var_os(IMAGE) {
        return go_on(Path::new(&image));
    }
    // In memory where it can be: the record says what was synced, whatever the disk is.
    let shared = Path::new("/dev/shm");
    let folder = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.expect("a temporary folder");
    let data = folder.path().join("data");
    let small_files = [("BULLA_AUDIT__MAX_FILE_BYTES", "65536")];
    let mut server = Server::dev_with(BULLA, &data, None, &small_files);
    create(&server.client(), "before", "value").ok();
    server.stop();
    let key = std::process::Command::new(BULLA)
        .args(["audit", "public-key", "--data"])
        .arg(&data)
        .env("SOFTHSM2_CONF", data.join("softhsm2.conf"))
        .output()
        .expect("the program is there");
    let before = folder.path().join("before");
    power::copy(&data, &before).expect("a copy");
    let record = folder.path().join("record");
    let environment = match power::environment(&data, &record) {
        Ok(environment) => environment,
        Err(error) => {
            eprintln!("SKIPPED: no recorder can be made here: {error}");
            return;
        }
    };
    for (name, value) in &environment {
        server.set_environment(name, Some(value));
    }
    server.restart();
    let acknowledged = writes(&server, Duration::from_secs(if size(0, 1) == 1 { 60 } else { 3 }));
    server.kill();
    for (name, _) in &environment {
        server.set_environment(name, None);
    }

    let recorded = Recorded::read(&record).expect("a record");
    let (moments, renames) = (recorded.moments(), recorded.renames());
    assert!(!renames.is_empty(), "the audit log was rotated");
    let mut random = Rng::with_seed(seed("power"));
    // Around a rotation, or anywhere; in their order, so that the record is gone through once.
    let mut cuts: Vec<u64> = (0..size(200, 10_000))
        .map(|n| match n % 4 {
            0 => renames[random.usize(..renames.len())].saturating_add_signed(random.i64(-2_000_000..2_000_000)),
            _ => moments[random.usize(..moments.len())] + random.u64(..500_000),
        })
        .collect();
    cuts.sort_unstable();
    let images = cuts.len();
    let mut replay = recorded.replay(&data, &before);
    for (n, at) in cuts.into_iter().enumerate() {
        let rest = [Rest::Lost, Rest::Prefix, Rest::Sectors, Rest::Kept][random.usize(..4)];
        replay.to(at);
        replay.image(rest, &mut random).expect("an image");
        // SoftHSM writes the flags of a token at each login and syncs nothing: what that loses is not ours to keep.
        std::fs::remove_dir_all(data.join("tokens")).expect("its tokens");
        power::copy(&before.join("tokens"), &data.join("tokens")).expect("a copy");
        // All of the last 0.4 s, and some of the older ones.
        let told: Vec<&Acknowledged> =
            acknowledged.iter().filter(|write| write.at <= at && (write.at + 400_000_000 > at || random.u8(..) < 10)).collect();
        let what = format!("image {n} at {at}, {rest:?}, {} acknowledged", told.len());
        eprintln!("{what}");
        if n % SERVE_EVERY == 0 {
            server.restart();
            for write in told.iter().take(20) {
                server.client().call("GetSecretValue", &[("SecretName", &write.name)]).ok();
            }
            server.stop();
        }
        check_database(&data, &told);
        check_audit(&data, &key.stdout, &told);
    }
    eprintln!("{images} images of {} acknowledged writes", acknowledged.len());
}

//! A random database writer: after a history of the service's own, rows and whole tables are deleted, put back as they were at any time of
//! it, and given each other's MACs. Nobody is then answered anything but the truth, an alarm, or, where nothing can be gained by it, that
//! there is no such thing; and what the secrets lost, or got back, the pass reports, and serves no more.
//!
//! Views in the place of tables answer with rows of earlier times, or now with these and now with those; triggers undo what the service
//! writes. New connections refuse both (`shape`); here they come while one is in use.
//!
//! Each tampering is a transaction of the intruder's that is rolled back, in which the service's code reads. 20,000 in all, on both
//! databases; a million with `BULLA_SOAK=1`. `BULLA_SEED` repeats a run.

mod history;

use std::time::Instant;

use fastrand::Rng;

use self::history::{Written, history};
use super::*;
use crate::store::engine::begin::{Mode, begin};
use crate::store::engine::scope::part_of;

/// The tables of who may do what, and of keys, with their keys; those of secrets; each with its digests last. Of what is in no digest (the
/// deployment, nodes, marks of requests, rows of logs, anchors) other tests tell.
const RIGHTS: &[(&str, &str)] = &[
    ("accounts", "id"),
    ("users", "id"),
    ("access_keys", "id"),
    ("policies", "account_id, name"),
    ("policy_attachments", "user_id, system, policy_name"),
    ("resource_policies", "account_id, resource"),
    ("access_points", "account_id, name"),
    ("access_policies", "account_id, name"),
    ("network_rules", "account_id, name"),
    ("client_keys", "id"),
    ("bearer_tokens", "digest"),
    ("keys", "id"),
    ("key_versions", "id"),
    ("key_rotations", "key_id"),
    ("key_materials", "key_version_id"),
    ("import_parameters", "id"),
    ("condemned", "id"),
    ("default_keys", "account_id"),
    ("aliases", "account_id, name"),
    ("scopes", "scope"),
];
const SECRETS: &[(&str, &str)] = &[
    ("secrets", "account_id, name"),
    ("secret_versions", "secret_id, version_id"),
    ("version_stages", "secret_id, stage"),
    ("tags", "resource_id, tag_key"),
    ("rotations", "secret_id"),
    ("rotation_accounts", "instance, name"),
    ("parts", "part"),
];

/// The tables that the writes under triggers change.
const UNDONE: &[&str] =
    &["users", "policy_attachments", "access_keys", "resource_policies", "scopes", "secrets", "version_stages", "parts"];

fn tables() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    RIGHTS.iter().chain(SECRETS)
}

fn handle(table: &str) -> &'static str {
    if table == "secret_versions" { "uuid" } else { "mac" }
}

fn columns_of(on: &Fixture, table: &str) -> String {
    columns(on, table).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
}

/// The rows of a table now, and those that it had: in words of SQL.
struct Rows {
    table: &'static str,
    key: &'static str,
    columns: String,
    now: Vec<String>,
    old: Vec<String>,
}

fn rows(on: &Fixture, table: &'static str, key: &'static str) -> Rows {
    let mut conn = on.intruder();
    let (column, sqlite) = (handle(table), on.is_sqlite());
    let text = |column: &str| {
        if sqlite {
            format!("'x''' || hex({column}) || ''''")
        } else {
            format!("'''\\x' || encode({column}, 'hex') || '''::bytea'")
        }
    };
    let now = lines(&mut conn, &format!("SELECT {} AS line FROM {table} ORDER BY 1", text(column)));
    let old = lines(&mut conn, &format!("SELECT DISTINCT {} AS line FROM kept_{table} ORDER BY 1", text(column)));
    let old = old.into_iter().filter(|row| !now.contains(row)).collect();
    Rows { table, key, columns: columns_of(on, table), now, old }
}

fn pick<'a, T>(random: &mut Rng, of: &'a [T]) -> Option<&'a T> {
    (!of.is_empty()).then(|| &of[random.usize(0..of.len())])
}

impl Rows {
    fn whole(&self, snapshot: i64) -> String {
        let Self { table, columns, .. } = self;
        format!(
            "DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM kept_{table} WHERE snap = {snapshot};"
        )
    }

    fn put_back(&self, row: &str) -> String {
        let Self { table, columns, key, .. } = self;
        let found = format!("FROM kept_{table} WHERE {} = {row}", handle(table));
        format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} {found}); \
             INSERT INTO {table} ({columns}) SELECT {columns} {found} LIMIT 1;"
        )
    }
}

impl Rows {
    /// A view in the place of the table: of the rows that it had at one time; or of those without one; or, where it may change its mind, of
    /// each of now or of then as it happens.
    fn view(&self, random: &mut Rng, snapshot: i64, sqlite: bool) -> String {
        let Self { table, columns, .. } = self;
        let then = format!("SELECT {columns} FROM kept_{table} WHERE snap = {snapshot}");
        let often = if sqlite { "abs(random()) % 2 = 0" } else { "random() < 0.5" };
        let rows = match (random.usize(0..3), pick(random, &self.now)) {
            (0, Some(row)) => format!("SELECT {columns} FROM hidden_{table} WHERE {} <> {row}", handle(table)),
            (1, _) if RIGHTS.iter().any(|(name, _)| name == table) => {
                format!("SELECT {columns} FROM hidden_{table} WHERE {often} UNION ALL {then} AND {often}")
            }
            _ => then,
        };
        format!("ALTER TABLE {table} RENAME TO hidden_{table}; CREATE VIEW {table} AS {rows};")
    }

    /// A trigger that puts the table back to what it was at one time, whenever it is written so.
    fn trigger(&self, event: &str, snapshot: i64, sqlite: bool) -> String {
        let (table, then) = (self.table, self.whole(snapshot));
        if sqlite {
            return format!("CREATE TRIGGER lie_{table} AFTER {event} ON {table} BEGIN {then} END;");
        }
        format!(
            "CREATE FUNCTION lie_{table}() RETURNS trigger LANGUAGE plpgsql AS $lie$ BEGIN IF pg_trigger_depth() < 2 THEN {then} END IF; \
             RETURN NULL; END $lie$; \
             CREATE TRIGGER lie_{table} AFTER {event} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION lie_{table}(); \
             ALTER TABLE {table} ENABLE ALWAYS TRIGGER lie_{table};"
        )
    }
}

/// Writes of the service's own while triggers undo what is written: they fail, or are seen, or whoever looks hears an alarm. Where one table
/// is put back any node hears it that asks; where all are, the node that wrote.
fn undo(on: &Fixture) {
    let world = history(on);
    let all: Vec<Rows> = tables().map(|(table, key)| rows(on, table, key)).collect();
    let undone: Vec<&Rows> = all.iter().filter(|rows| UNDONE.contains(&rows.table)).collect();
    let trigger = |rows: &Rows, event: &str| rows.trigger(event, world.snapshots - 1, on.is_sqlite());
    let events = ["INSERT", "UPDATE", "DELETE"];
    let mut refused = 0;
    for written in &world.writes {
        let truth = written.answer_under(on, "SELECT 1", true).unwrap();
        let mut check = |sql: &str, by_writer: bool| match written.answer_under(on, sql, by_writer) {
            Ok(said) => assert_eq!(said, truth, "{sql}"),
            Err(_) => refused += 1,
        };
        for event in events {
            let triggers: Vec<_> = undone.iter().map(|rows| trigger(rows, event)).collect();
            triggers.iter().for_each(|sql| check(sql, false));
            check(&triggers.concat(), true);
        }
        let whenever =
            |rows: &&Rows| events.map(|event| trigger(rows, event).replace("lie_", &format!("lie_{event}_"))).concat();
        check(&undone.iter().map(whenever).collect::<String>(), true);
    }
    assert!(refused >= world.writes.len(), "triggers undid nothing: {refused}");
}

impl Written {
    /// What is answered behind the write, in a transaction with these triggers that is rolled back: by a node that knows nothing yet, as the
    /// next one to ask; or by the one that wrote.
    fn answer_under(&self, on: &Fixture, sql: &str, by_writer: bool) -> Result<String, StoreError> {
        let (store, mut conn) = (on.open(on.options()).unwrap(), on.intruder());
        begin(&mut conn, Mode::Write).unwrap();
        conn.batch_execute(sql).unwrap();
        let written = {
            let mut tx = Tx::new(&mut conn, &store.seals, Mode::Write);
            (self.write)(&mut tx).and_then(|()| tx.end_of_write()).map(|()| std::mem::take(&mut tx.written))
        };
        let answer = written.and_then(|written| {
            if !by_writer {
                let other = on.open(on.options()).unwrap();
                return (self.ask)(&mut Tx::new(&mut conn, &other.seals, Mode::Snapshot));
            }
            written.root.into_iter().for_each(|seq| store.seals.known().raise_floor(seq));
            let said = (self.ask)(&mut Tx::new(&mut conn, &store.seals, Mode::Snapshot))?;
            let Some(part) = self.secret.as_ref().map(part_of) else { return Ok(said) };
            // Of secrets the pass tells, by what the write left the part as.
            let known = written.parts.iter().find(|(of, _)| *of == part).map(|(_, state)| *state);
            let found = Tx::new(&mut conn, &store.seals, Mode::Snapshot).part_check(part, known.as_ref())?;
            match found.strange.first() {
                None => Ok(said),
                Some(strange) => Err(StoreError::Corrupt { table: "parts", detail: strange.clone() }),
            }
        });
        conn.batch_execute("ROLLBACK").unwrap();
        forget_transaction(&mut conn);
        answer
    }
}

/// One to three tamperings, in SQL.
fn tampering(random: &mut Rng, all: &[Rows], snapshots: i64, sqlite: bool) -> String {
    let mut sql = String::new();
    for _ in 0..random.usize(1..=3) {
        let rows = &all[random.usize(0..all.len())];
        let column = handle(rows.table);
        sql += &match random.usize(0..7) {
            0 => pick(random, &rows.now)
                .map(|row| format!("DELETE FROM {} WHERE {column} = {row};", rows.table))
                .unwrap_or_default(),
            1 | 2 => pick(random, &rows.old).map(|row| rows.put_back(row)).unwrap_or_default(),
            3 => match (pick(random, &rows.now).cloned(), pick(random, &rows.now)) {
                (Some(one), Some(two)) => format!("UPDATE {} SET {column} = {one} WHERE {column} = {two};", rows.table),
                _ => String::new(),
            },
            4 => rows.whole(random.i64(0..snapshots)),
            5 => {
                let snapshot = random.i64(0..snapshots);
                rows.view(random, snapshot, sqlite)
            }
            _ => {
                // Everything of one kind, digests included, as it was.
                let snapshot = random.i64(0..snapshots);
                let (from, to) = if random.bool() { (0, RIGHTS.len()) } else { (RIGHTS.len(), all.len()) };
                all[from..to].iter().map(|rows| rows.whole(snapshot)).collect()
            }
        };
    }
    sql
}

#[allow(clippy::print_stdout, reason = "the seed of a failure")]
fn seed(on: &Fixture) -> u64 {
    let seed = std::env::var("BULLA_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("BULLA_SEED={seed} on {}", if on.is_sqlite() { "SQLite" } else { "PostgreSQL" });
    seed
}

fn attack(on: &Fixture, times: u64) {
    let seed = seed(on);
    let mut random = Rng::with_seed(seed);
    let world = history(on);
    let all: Vec<Rows> = tables().map(|(table, key)| rows(on, table, key)).collect();
    on.store.head().unwrap();
    let (mut conn, mut opened) = (on.intruder(), Instant::now());
    let (mut refused, mut reported) = (0_u64, 0_u64);
    for n in 0..times {
        if opened.elapsed() > Duration::from_secs(20) {
            // A connection to look at something ends after a minute.
            (conn, opened) = (on.intruder(), Instant::now());
        }
        let sql = tampering(&mut random, &all, world.snapshots, on.is_sqlite());
        begin(&mut conn, Mode::Write).unwrap();
        let done = conn.batch_execute(&sql).is_ok();
        for _ in 0..if done { 4 } else { 0 } {
            let question = pick(&mut random, &world.questions).unwrap();
            let asked = |conn: &mut Conn| (question.ask)(&mut Tx::new(conn, &on.store.seals, Mode::Snapshot));
            let answer = asked(&mut conn);
            match &answer {
                Ok(said) if *said == question.truth => continue,
                Err(StoreError::Corrupt { .. }) => {
                    refused += 1;
                    continue;
                }
                // A statement that was prepared for a table, as PostgreSQL says of one that is a view now.
                Err(_) if sql.contains(" VIEW ") => {
                    refused += 1;
                    break;
                }
                Ok(said) if said == "None" && question.absent && question.secret.is_none() => continue,
                _ => {}
            }
            // Not the truth: of a secret, the pass says so, and then it is not said again.
            let told = format!("{n} of seed {seed}: {answer:?} instead of {}\n{sql}", question.truth);
            let secret = question.secret.unwrap_or_else(|| panic!("{told}"));
            let part = part_of(&secret);
            let known = on.store.seals.known().part(part);
            let found = Tx::new(&mut conn, &on.store.seals, Mode::Snapshot).part_check(part, known.as_ref());
            let strange = !matches!(&found, Ok(found) if found.strange.is_empty());
            assert!(strange, "{told}");
            if let Ok(found) = &found {
                on.store.seals.known().set_quarantine(part, found.all(), found.secrets());
                let again = asked(&mut conn);
                let gone = matches!(&again, Ok(said) if said == "None" || said == "[]");
                assert!(gone || again.is_err(), "{told}\nstill {again:?} after {found:?}");
                on.store.seals.known().set_quarantine(part, false, &[]);
            }
            reported += 1;
        }
        conn.batch_execute("ROLLBACK").unwrap();
        forget_transaction(&mut conn);
    }
    assert!(times < 1000 || (refused > times / 20 && reported > 0), "{refused} refused, {reported} reported");
}

/// diesel counts transactions, and this one was ended behind its back, since a statement in it may have failed.
fn forget_transaction(conn: &mut Conn) {
    use diesel::connection::{AnsiTransactionManager, TransactionManager, TransactionManagerStatus};
    match conn {
        Conn::Sqlite(conn) => {
            *AnsiTransactionManager::transaction_manager_status_mut(conn) = TransactionManagerStatus::default()
        }
        Conn::Postgres(conn) => {
            *AnsiTransactionManager::transaction_manager_status_mut(conn) = TransactionManagerStatus::default()
        }
    }
}

/// How often: a transaction costs PostgreSQL many times as much.
fn times(share: u64) -> u64 {
    if std::env::var_os("BULLA_SOAK").is_some() { 100_000 * share } else { 2_000 * share }
}

#[test]
fn gains_nothing_on_sqlite() {
    attack(&Fixture::sqlite(1), times(9));
}

#[test]
fn gains_nothing_on_postgres() {
    attack(&Fixture::postgres(1), times(1));
}

#[test]
fn triggers_undo_nothing_unseen_on_sqlite() {
    undo(&Fixture::sqlite(1));
}

#[test]
fn triggers_undo_nothing_unseen_on_postgres() {
    undo(&Fixture::postgres(1));
}

//! Rows that nobody of ours wrote, more than a sweep takes at a time: none takes the turn of one that is due.

use std::collections::HashMap;

use super::tampering::fill;
use super::*;

on_both!(junk_takes_no_rows_turn, there_is_an_end_to_looking_behind_junk, marks_that_do_not_verify_stay);

const JUNK: usize = 600;

/// What a sweep takes at a time.
const BATCH: i64 = 500;

/// Puts rows like the first one of a table there, with these columns otherwise. `n` is the number of a row.
fn junk(on: &Fixture, table: &str, otherwise: &[(&str, &str)]) {
    let otherwise: HashMap<_, _> = otherwise.iter().copied().collect();
    let names: Vec<String> = columns(on, table).iter().map(|column| column.split(' ').next().unwrap().to_owned()).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).filter(|name| *name != "mac").collect();
    names.push("mac");
    let values: Vec<String> =
        names.iter().map(|name| otherwise.get(name).map_or_else(|| format!("r.{name}"), |&value| value.to_owned())).collect();
    let insert = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {JUNK}) \
         INSERT INTO {table} ({}) SELECT {} FROM (SELECT * FROM {table} LIMIT 1) AS r, n",
        names.join(", "),
        values.join(", ")
    );
    on.intruder().batch_execute(&insert).unwrap();
}

/// Bytes that differ from row to row: 16, or 32.
fn bytes(on: &Fixture, length: usize) -> &'static str {
    match (on.is_sqlite(), length) {
        (true, 16) => "randomblob(16)",
        (true, _) => "randomblob(32)",
        (false, 16) => "decode(md5(n || random()::text), 'hex')",
        (false, _) => "decode(md5(n || random()::text) || md5(n::text), 'hex')",
    }
}

/// Those that verify, beside no more others than a sweep takes at a time.
fn due<T>(on: &Fixture, sweep: impl Fn(&mut Tx<'_>) -> Result<Each<T>, StoreError>) -> usize {
    let (due, strange): (Vec<_>, Vec<_>) = on.read(sweep).into_iter().partition(Result::is_ok);
    assert!((1..=BATCH as usize).contains(&strange.len()), "{} strange ones are told", strange.len());
    due.len()
}

fn junk_takes_no_rows_turn(on: &Fixture) {
    let account = fill(on);
    let (soon, now, node) = (Timestamp(9), Timestamp(30), NodeId::new());
    let key =
        KeyRow { state: KeyState::PendingDeletion, delete_at: Some(soon), material_expires_at: Some(soon), ..key(&account) };
    let secret = SecretRow { delete_at: Some(soon), ..secret(&account, &key.id, "due") };
    let moving = KeyMaterialRow { state: MaterialState::Removing, changed_at: soon, ..material(&key) };
    let over = ImportParametersRow { expires_at: soon, ..parameters(&key.id) };
    on.write(|tx| {
        tx.key_insert(&key)?;
        tx.secret_insert(&secret)?;
        tx.key_material_insert(&moving)?;
        tx.import_parameters_insert(&over)
    });
    let (id, digest) = (bytes(on, 16), bytes(on, 32));
    // What a rotation is of must be there: a key that is enabled, a secret.
    let nth = if on.is_sqlite() { "CAST(printf('%016d', n) AS BLOB)" } else { "convert_to(lpad(n::text, 16, '0'), 'UTF8')" };
    junk(on, "keys", &[("id", nth), ("state", "'Enabled'"), ("delete_at", "0"), ("material_expires_at", "0")]);
    junk(on, "secrets", &[("id", nth), ("name", "'junk/' || n"), ("delete_at", "0")]);
    junk(on, "key_rotations", &[("key_id", nth), ("due_at", "0")]);
    junk(on, "rotations", &[("secret_id", nth), ("attempt_at", "0")]);
    // Of no key that is there: what belongs to one is believed together or not at all.
    junk(on, "condemned", &[("id", id), ("key_id", id), ("condemned_at", "0")]);
    junk(on, "key_materials", &[("key_version_id", id), ("key_id", id), ("state", "'Removing'"), ("changed_at", "0")]);
    junk(on, "import_parameters", &[("id", id), ("key_id", id), ("token_digest", digest), ("expires_at", "0")]);

    assert_eq!(due(on, |tx| tx.secrets_due(soon, BATCH)), 1);
    assert_eq!(due(on, |tx| tx.keys_due(soon, BATCH)), 1);
    assert_eq!(due(on, |tx| tx.keys_expired(soon, BATCH)), 1);
    assert_eq!(due(on, |tx| tx.key_materials_moving_before(now, BATCH)), 1);
    assert_eq!(due(on, |tx| tx.import_parameters_due(now, Timestamp(0), BATCH)), 1);
    assert_eq!(due(on, |tx| tx.condemned_until(NOW, BATCH)), 1);
    assert_eq!(due(on, |tx| tx.keys_to_rotate(NOW, BATCH)), 1);
    assert_eq!(due(on, |tx| tx.rotations_due(&node, now, BATCH)), 1);
    assert_eq!(due(on, |tx| tx.rotations_due(&node, now, 100)), 1);
}

/// Of many that are due no more are given than were asked for, and a sweep that would have to look through all of a table for them ends.
fn there_is_an_end_to_looking_behind_junk(on: &Fixture) {
    let (account, key, ..) = on.with_secret();
    let of = |number: i64| SecretRow {
        delete_at: Some(Timestamp(number)),
        ..secret(&account.id, &key.id, &format!("due/{number}"))
    };
    on.write(|tx| (1..=5).try_for_each(|number| tx.secret_insert(&of(number))));
    let names = |limit| -> Vec<String> {
        let found = on.read(|tx| tx.secrets_due(Timestamp(9), limit));
        found.into_iter().filter_map(|row| Some(row.ok()?.name.to_string())).collect()
    };
    assert_eq!(names(2), ["due/1", "due/2"]);
    assert_eq!(names(5).len(), 5);
    junk(on, "secrets", &[("id", bytes(on, 16)), ("name", "'junk/' || n"), ("delete_at", "0")]);
    assert_eq!(names(10).len(), 5, "behind 60 pages");
    assert_eq!(names(2), [""; 0], "behind 300");
}

fn marks_that_do_not_verify_stay(on: &Fixture) {
    let node = NodeId::new();
    let nonce = |number: u8, expires_at| NonceRow {
        digest: vec![number; 16],
        request_id: crate::base::ids::RequestId::new(),
        node,
        expires_at: Timestamp(expires_at),
    };
    let marks: Vec<_> = (1..=5).map(|number| nonce(number, i64::from(number) * 10)).collect();
    on.write(|tx| marks.iter().try_for_each(|mark| tx.nonce_insert(mark)));
    // Somebody wants one of a request to be forgotten before its time, and puts more there than a sweep takes.
    let early = format!("UPDATE nonces SET expires_at = 1 WHERE digest = {}", blob(on, &[5; 16]));
    on.intruder().batch_execute(&early).unwrap();
    junk(on, "nonces", &[("digest", bytes(on, 16)), ("request_id", bytes(on, 16)), ("expires_at", "1")]);
    assert_eq!(on.write(|tx| tx.nonces_sweep(&node, Timestamp(30), 10)), 2, "behind 60 pages of those that do not verify");
    assert_eq!(on.write(|tx| tx.nonces_sweep(&node, Timestamp(40), BATCH)), 1);
    assert_eq!(on.write(|tx| tx.nonces_sweep(&node, Timestamp(40), BATCH)), 0);
    assert!(on.read(|tx| tx.nonce_of_request(&marks[3].request_id, &node, Timestamp(0))), "not its time");
    let told = on.store.read_rows("test", |tx| tx.nonce_of_request(&marks[4].request_id, &node, Timestamp(0)));
    assert!(matches!(told, Err(StoreError::Corrupt { table: "nonces", .. })), "{told:?}");
}

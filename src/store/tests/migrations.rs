//! The two lists of migrations, and the schemas they make.

use diesel::migration::MigrationSource;
use diesel_migrations::MigrationHarness;

use super::*;

on_both!(the_schema_is_the_one_in_the_code, up_down_up, an_unknown_version_is_refused);

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |folder: &str| -> Vec<String> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
        let mut names: Vec<String> =
            std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
    let embedded = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&migrate::SQLITE).unwrap();
    assert_eq!(embedded.len(), names("sqlite").len(), "all of them are in the program");
}

/// Tables and columns of schema.rs, as [`columns`] tells them.
fn declared() -> Vec<(String, Vec<String>)> {
    let mut tables: Vec<(String, Vec<String>)> = Vec::new();
    for line in include_str!("../engine/schema.rs").lines().map(str::trim) {
        if let Some((name, kind)) = line.strip_suffix(',').and_then(|column| column.split_once(" -> ")) {
            let (kind, null) = match kind.strip_prefix("Nullable<") {
                Some(kind) => (kind.trim_end_matches('>'), " null"),
                None => (kind, ""),
            };
            let kind = match kind {
                "Binary" => "blob",
                "Text" => "text",
                "Bool" => "bool",
                "BigInt" | "SmallInt" => "int",
                other => panic!("{other}"),
            };
            tables.last_mut().unwrap().1.push(format!("{name} {kind}{null}"));
        } else if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            tables.push((name.to_owned(), Vec::new()));
        }
    }
    tables
}

fn the_schema_is_the_one_in_the_code(on: &Fixture) {
    let declared = declared();
    assert_eq!(declared.len(), 29);
    let query = if on.is_sqlite() {
        "SELECT name AS line FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY name"
    } else {
        "SELECT table_name::text AS line FROM information_schema.tables WHERE table_schema = 'public' \
         AND table_name NOT LIKE '\\_\\_%' ORDER BY table_name COLLATE \"C\""
    };
    let mut names: Vec<&String> = declared.iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(lines(&mut on.intruder(), query).iter().collect::<Vec<_>>(), names);
    for (table, expected) in &declared {
        assert_eq!(&columns(on, table), expected, "{table}");
    }
}

fn up_down_up(on: &Fixture) {
    assert_eq!(migrate::pending(&on.url), Ok(Vec::new()));
    match &mut on.intruder() {
        Conn::Sqlite(conn) => conn.revert_all_migrations(migrate::SQLITE).map(drop),
        Conn::Postgres(conn) => conn.revert_all_migrations(migrate::POSTGRES).map(drop),
    }
    .unwrap();
    assert_eq!(migrate::pending(&on.url).unwrap().first().map(String::as_str), Some("0001_init"));
    let refused = Store::open(options(&on.url), row_key());
    assert!(matches!(refused.map(drop), Err(StoreError::Fault(_))), "an older schema is refused");
    let raced: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| migrate::run(&on.url).unwrap().len())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).max().unwrap()
    });
    assert_eq!(raced, 1, "one of them ran all, the others waited");
    on.with_secret();
}

fn an_unknown_version_is_refused(on: &Fixture) {
    on.intruder().batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')").unwrap();
    let newer = |result: Result<(), StoreError>| matches!(result, Err(StoreError::Fault(text)) if text.contains("newer"));
    assert!(newer(Store::open(options(&on.url), row_key()).map(drop)));
    assert!(newer(migrate::pending(&on.url).map(drop)));
    assert!(newer(migrate::run(&on.url).map(drop)));
    assert!(newer(deployment::read(&on.url).map(drop)));
}

#[test]
fn a_file_is_made_for_its_owner_only_and_only_when_asked() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let url = path.to_str().unwrap();
    assert!(matches!(Store::open(options(url), row_key()).map(drop), Err(StoreError::Unavailable(_))));
    assert_eq!(migrate::pending(url).unwrap().len(), migrate::run(url).unwrap().len());
    let store = Store::open(options(url), row_key()).unwrap();
    store.write("test", |tx| Ok::<_, Abort<StoreError>>(tx.identity_revision_bump()?)).unwrap();
    let files = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap());
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

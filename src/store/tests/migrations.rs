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
    let embedded = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&engine::migrations::SQLITE).unwrap();
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
    let query = if on.is_sqlite() {
        "SELECT name AS line FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY name"
    } else {
        "SELECT table_name::text AS line FROM information_schema.tables WHERE table_schema = 'public' \
         AND table_name NOT LIKE '\\_\\_%' ORDER BY table_name COLLATE \"C\""
    };
    let mut names: Vec<&String> = declared.iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(lines(&mut on.intruder(), query).iter().collect::<Vec<_>>(), names);
    for (table, mut expected) in declared {
        // What the next level adds.
        if table == "secrets" && on.deployment.level > Level(1) {
            expected.push("note text".to_owned());
        }
        assert_eq!(columns(on, &table), expected, "{table}");
    }
}

fn up_down_up(on: &Fixture) {
    assert_eq!(migrate::pending(&on.url), Ok(Vec::new()));
    let levels = on.options().levels;
    match &mut on.intruder() {
        Conn::Sqlite(conn) => {
            conn.revert_all_migrations(engine::migrations::Known(engine::migrations::SQLITE, levels)).map(drop)
        }
        Conn::Postgres(conn) => {
            conn.revert_all_migrations(engine::migrations::Known(engine::migrations::POSTGRES, levels)).map(drop)
        }
    }
    .unwrap();
    assert_eq!(migrate::pending(&on.url).unwrap().first().map(String::as_str), Some("0001_init"));
    let refused = on.open(on.options()).map(drop);
    assert!(
        matches!(refused, Err(StoreError::Fault(why)) if why.contains("run `bulla migrate`")),
        "an older schema is refused"
    );
    let raced: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| migrate::run_at(&on.url, levels).unwrap().len())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).max().unwrap()
    });
    assert_eq!(raced, usize::from(levels.highest.0), "one of them ran all, the others waited");
    // One of its own again, as the row went with the table.
    let deployment = Fixture { deployment: initialise(&on.url, levels, levels.highest), ..Fixture::sqlite(1) };
    assert!(deployment.deployment.ready);
}

fn an_unknown_version_is_refused(on: &Fixture) {
    let newer = |result: Result<(), StoreError>| matches!(result, Err(StoreError::Fault(text)) if text.contains("newer"));
    let next = on.deployment.level.0 + 1;
    let told = |level: u8| {
        format!("DELETE FROM schema_levels WHERE version = '9998'; INSERT INTO schema_levels VALUES ('9998', {level})")
    };
    on.intruder().batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('9998')").unwrap();
    let opened = |on: &Fixture| on.open(on.options()).map(drop);
    assert!(newer(opened(on)), "it does not say its level");
    on.intruder().batch_execute(&told(next + 1)).unwrap();
    assert!(newer(opened(on)), "two levels ahead");
    assert!(newer(migrate::run_at(&on.url, on.options().levels).map(drop)));
    assert!(newer(migrate::pending(&on.url).map(drop)));
    assert!(newer(deployment::read(&on.url).map(drop)));
    on.intruder().batch_execute(&told(next - 1)).unwrap();
    assert!(newer(opened(on)), "of a level that this program should know");
    on.intruder().batch_execute(&told(next)).unwrap();
    assert_eq!(opened(on), Ok(()), "one level ahead");
    assert_eq!(migrate::run_at(&on.url, on.options().levels), Ok(Vec::new()));
    // A deployment that was raised meanwhile.
    on.intruder().batch_execute(&format!("UPDATE deployment SET level = {next}")).unwrap();
    let refused = opened(on);
    assert!(
        matches!(&refused, Err(StoreError::Fault(text)) if text.contains(&format!("a program that serves level {next}"))),
        "{refused:?}"
    );
}

#[test]
fn a_file_is_made_for_its_owner_only_and_only_when_asked() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    let url = &format!("sqlite:{}", path.display());
    let row = deployment(Level(1));
    assert!(matches!(Store::open(options(url), &row, row_key()).map(drop), Err(StoreError::Unavailable(_))));
    assert_eq!(migrate::pending(url).unwrap().len(), migrate::run(url).unwrap().len());
    let row = initialise(url, up_to(1), Level(1));
    let store = Store::open(options(url), &row, row_key()).unwrap();
    store.write_rows("test", change).unwrap();
    let files = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap());
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

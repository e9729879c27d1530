//! Wrapped data keys and values that were changed where no MAC stands over them: `bulla verify --open-data-keys` names each.

use std::process::Command;

use diesel::RunQueryDsl;
use diesel::sql_query;
use serde_json::Value;

use crate::api::import;
use crate::{BULLA, create, database, on_sqlite};

/// Changed bytes of a version are found by opening it, and by that alone; an old value under its own old data key too.
#[test]
fn each_value_that_does_not_open_is_named() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    // More than are read at a time.
    const SECRETS: usize = 300;
    (0..SECRETS).for_each(|n| drop(create(&client, &format!("app/{n:03}"), "the value").ok()));
    client.call("PutSecretValue", &[("SecretName", "app/000"), ("SecretData", "another"), ("VersionId", "second")]).ok();
    let verify = |open: bool| -> Value {
        let mut command = Command::new(BULLA);
        command.args(["verify", "--json", "--data"]).arg(server.data()).args(open.then_some("--open-data-keys"));
        let output = command.output().expect("it runs");
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(output.status.success(), found["FlawCount"] == 0, "{found}");
        found
    };
    let whole = verify(true);
    assert_eq!((&whole["OpenedValues"], &whole["FlawCount"]), (&(SECRETS + 1).into(), &0.into()), "{whole}");

    let mut conn = database(&server);
    let of = |name: &str| format!("secret_id = (SELECT id FROM secrets WHERE name = '{name}')");
    for (name, column) in [("app/001", "wrapped"), ("app/002", "ciphertext"), ("app/299", "commitment"), ("app/150", "nonce")] {
        let statement = format!("UPDATE secret_versions SET {column} = randomblob(length({column})) WHERE {}", of(name));
        assert_eq!(sql_query(statement).execute(&mut conn).expect("one row"), 1);
    }
    // All of one version's encryption in another's place.
    let moved = ["wrapped", "commitment", "nonce", "ciphertext"].map(|column| {
        format!("{column} = (SELECT {column} FROM secret_versions WHERE {} AND version_id <> 'second')", of("app/000"))
    });
    let statement =
        format!("UPDATE secret_versions SET {} WHERE {} AND version_id = 'second'", moved.join(", "), of("app/000"));
    assert_eq!(sql_query(statement).execute(&mut conn).expect("one row"), 1);

    assert_eq!(verify(false)["FlawCount"], 0, "rows alone do not show it");
    let found = verify(true);
    assert_eq!((&found["OpenedValues"], &found["FlawCount"]), (&(SECRETS - 4).into(), &5.into()), "{found}");
    let flaws = found["Flaws"].to_string();
    for name in ["app/000", "app/001", "app/002", "app/150", "app/299"] {
        assert!(flaws.contains(&format!("of secret {name} ")), "{name}: {found}");
    }
    assert!(flaws.contains("version second of secret app/000") && !flaws.contains("another"), "{found}");
}

/// Without the material of an imported key its values are counted, and are no flaw.
#[test]
fn values_without_material_are_counted() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let key = import::key(&client);
    import::import(&client, &key, import::ALGORITHMS[0], &[7; 32], "0").ok();
    import::secret_under(&client, &key, "app/own").ok();
    create(&client, "app/other", "v").ok();
    let opened = server.admin(&["verify", "--open-data-keys"]);
    assert_eq!((&opened["OpenedValues"], &opened["ValuesWithoutMaterial"]), (&2.into(), &0.into()), "{opened}");
    client.call("DeleteKeyMaterial", &[("KeyId", &key)]).ok();
    let opened = server.admin(&["verify", "--open-data-keys"]);
    assert_eq!((&opened["OpenedValues"], &opened["ValuesWithoutMaterial"]), (&1.into(), &1.into()), "{opened}");
}

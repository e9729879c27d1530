//! Who answers queries gives a valid row as the answer to another question. No row is forged or old, no MAC is touched.

use std::time::Duration;

use bulla_test_support::client::Client;
use bulla_test_support::server::Server;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

use crate::{create, database, on_postgres, on_sqlite, until};

const SECRETS: &str =
    "secret_type, description, key_id, user_key, created_at, updated_at, delete_at, kms_instance, content, mac";

/// An account beside the first, with a secret of its own.
fn another(server: &Server) -> (Client, String) {
    let made = server.admin(&["account", "create", "mallory"]);
    let text = |name: &str| made[name].as_str().expect("shown").to_owned();
    let client = Client::new(&server.ready.endpoint, &text("AccessKeyId"), &text("AccessKeySecret"));
    create(&client, "mine", "what mallory has").ok();
    (client, text("AccountId"))
}

/// Lies, asks and tells the truth again until a lie was found: the service may see first that the schema is another, and then
/// serves nothing until that is over.
fn finds(server: &Server, client: &Client, lie: &str, truth: &str, mut runs: impl FnMut(&str)) {
    let mine = || client.call("GetSecretValue", &[("SecretName", "mine")]);
    let found = (0..50).any(|_| {
        runs(lie);
        let found = is_found(server, client);
        runs(truth);
        // By reads: what /readyz says may be of a moment before the lie.
        until(Duration::from_secs(60), "it is believed again", || mine().status == 200);
        found
    });
    assert!(found, "the lie was never told: {}", server.log());
    let is_back = || mine().json["SecretData"] == "what mallory has";
    until(Duration::from_secs(60), "the database is believed", is_back);
}

/// Asks for `mine` again and again: what comes is never the victim's. Whether the lie was found before nothing was served.
fn is_found(server: &Server, client: &Client) -> bool {
    for n in 0..400 {
        let read = client.call("GetSecretValue", &[("SecretName", "mine")]);
        let value = read.json.get("SecretData").and_then(|value| value.as_str()).unwrap_or_default();
        assert_ne!(value, "THE VICTIM'S VALUE", "at the {n}th request");
        if read.status >= 500 {
            if server.log().contains("the database gave it as the answer to another question") {
                return true;
            }
            if client.page("/readyz").status != 200 {
                return false;
            }
        }
    }
    panic!("the lie was never told: {}", server.log());
}

#[test]
fn a_view_that_lies_at_random_on_sqlite() {
    let (_folder, server) = on_sqlite();
    create(&server.client(), "victim", "THE VICTIM'S VALUE").ok();
    let (client, mallory) = another(&server);
    client.call("GetSecretValue", &[("SecretName", "mine")]).ok();
    // The row of the victim says in the first look that it is mallory's, and in the second what it is.
    let lie = |column: &str, said: &str| {
        format!("CASE WHEN name = 'victim' AND random() % 2 = 0 THEN '{said}' ELSE {column} END AS {column}")
    };
    let view = format!(
        "CREATE TABLE kept AS SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL; \
         PRAGMA legacy_alter_table = ON; ALTER TABLE secrets RENAME TO secrets_; CREATE VIEW secrets AS SELECT {}, {}, id, {SECRETS} \
         FROM secrets_ WHERE name <> 'mine'",
        lie("account_id", &mallory),
        lie("name", "mine")
    );
    // The texts of the schema too: while one is another nothing is served.
    let back = "PRAGMA legacy_alter_table = ON; DROP VIEW secrets; ALTER TABLE secrets_ RENAME TO secrets; PRAGMA writable_schema = ON; \
                UPDATE sqlite_schema SET sql = kept.sql FROM kept WHERE kept.name = sqlite_schema.name; \
                PRAGMA writable_schema = RESET; DROP TABLE kept";
    finds(&server, &client, &view, back, |sql| database(&server).batch_execute(sql).expect("a statement"));
}

/// A function that says a lie in the first look of a statement and the truth in the second.
const LIE: &str = "CREATE FUNCTION lie(tag text, a text, b text) RETURNS text LANGUAGE plpgsql STABLE AS $$
    DECLARE k text := 'x.' || tag; t text := to_char(statement_timestamp(), 'US SSSS') || pg_backend_pid();
    BEGIN
        IF coalesce(current_setting(k, true), '') <> t THEN PERFORM set_config(k, t, false); RETURN a; END IF;
        RETURN b;
    END $$;";

#[test]
fn a_function_that_lies_once_on_postgres() {
    let (_folder, server) = on_postgres();
    create(&server.client(), "victim", "THE VICTIM'S VALUE").ok();
    let (client, mallory) = another(&server);
    client.call("GetSecretValue", &[("SecretName", "mine")]).ok();
    let config = std::fs::read_to_string(server.data().join("bulla.toml")).expect("written by dev");
    let url = config.split('"').find(|part| part.starts_with("postgres")).expect("a URL").to_owned();
    let mut conn = PgConnection::establish(&url).expect("a connection");
    let view = format!(
        "{LIE} ALTER TABLE secrets RENAME TO secrets_; CREATE VIEW secrets AS SELECT lie('a', '{mallory}', account_id) AS account_id, \
         lie('n', 'mine', name) AS name, id, {SECRETS} FROM secrets_ WHERE name <> 'mine'"
    );
    let back = "DROP VIEW secrets; DROP FUNCTION lie; ALTER TABLE secrets_ RENAME TO secrets";
    finds(&server, &client, &view, back, |sql| conn.batch_execute(sql).expect("a statement"));
}

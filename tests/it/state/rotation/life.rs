//! What callers see of a managed secret.

use bulla_test_support::mariadb::MariaDb;
use bulla_test_support::server::Server;

use super::*;

#[test]
fn one_account_is_changed_in_place() {
    let managed = Managed::start();
    let server = managed.service(None);
    let client = server.client();
    let by_itself = [("EnableAutomaticRotation", "true"), ("RotationInterval", "7d")];
    let created = create(&client, "db", "pg-1", &["a"], &by_itself).ok();
    assert_eq!((created.text("SecretType"), created.text("AutomaticRotation")), ("Rds", "Enabled"));
    assert_eq!((created.text("RotationInterval"), created.text("ExtendedConfig")), ("604800s", &*config("SingleUser", "pg-1")));
    assert!(!created.text("NextRotationDate").is_empty());

    let first = read(&client, "db");
    assert_eq!(first.text("SecretData"), r#"{"AccountName":"a","AccountPassword":"first of a"}"#);
    assert_eq!((first.text("LastRotationDate"), first.text("NextRotationDate")), ("", created.text("NextRotationDate")));
    let plain = client.call("GetSecretValue", &[("SecretName", "db")]).ok();
    assert_eq!((plain.text("ExtendedConfig"), plain.text("AutomaticRotation")), ("", "Enabled"));

    let rotated = rotate(&client, "db", "v2").ok();
    assert_eq!((rotated.text("SecretName"), rotated.text("VersionId")), ("db", "v2"));
    assert_eq!(rotated.text("Arn"), created.text("Arn"));
    let second = read(&client, "db");
    assert_eq!((second.text("VersionId"), account(&second).0.as_str()), ("v2", "a"));
    assert!(managed.logs_in(&second) && !managed.logs_in(&first));
    assert_ne!(second.text("LastRotationDate"), "");
    // Again is not a second time, for the current and for an earlier version.
    rotate(&client, "db", "v2").ok();
    rotate(&client, "db", "v1").ok();
    assert_eq!(read(&client, "db").text("SecretData"), second.text("SecretData"));

    // The version asked for is ignored; the stage is not.
    let by_id = client.call("GetSecretValue", &[("SecretName", "db"), ("VersionId", "v1")]).ok();
    assert_eq!(by_id.text("VersionId"), "v2");
    let previous = client.call("GetSecretValue", &[("SecretName", "db"), ("VersionStage", "ACSPrevious")]).ok();
    assert_eq!(previous.text("SecretData"), first.text("SecretData"));

    let policy = |on: &str, interval: &[(&str, &str)]| {
        let mut parameters = vec![("SecretName", "db"), ("EnableAutomaticRotation", on)];
        parameters.extend(interval);
        client.call("UpdateSecretRotationPolicy", &parameters)
    };
    assert_eq!(policy("true", &[]).code(), "MissingParameter");
    for wrong in ["5h", "8761h", "1w", "six hours"] {
        assert_eq!(policy("true", &[("RotationInterval", wrong)]).code(), "InvalidParameter", "{wrong}");
    }
    policy("true", &[("RotationInterval", "6h")]).ok();
    let described = client.call("DescribeSecret", &[("SecretName", "db")]).ok();
    assert_eq!((described.text("AutomaticRotation"), described.text("RotationInterval")), ("Enabled", "21600s"));
    let date = |field: &str| -> jiff::Timestamp { described.text(field).parse().expect("a time") };
    assert_eq!(date("NextRotationDate").as_second() - date("LastRotationDate").as_second(), 21_600);
    policy("false", &[("RotationInterval", "ignored")]).ok();
    let described = client.call("DescribeSecret", &[("SecretName", "db")]).ok();
    assert_eq!((described.text("AutomaticRotation"), described.text("NextRotationDate")), ("Disabled", ""));

    for (action, more) in [
        ("PutSecretValue", [("VersionId", "v9"), ("SecretData", "x")]),
        ("UpdateSecretVersionStage", [("VersionStage", "ACSCurrent"), ("MoveToVersion", "v1")]),
    ] {
        let refused = client.call(action, &[&[("SecretName", "db")], more.as_slice()].concat());
        assert_eq!(refused.code(), "UnsupportedOperation", "{action}");
    }
    // Nothing rotates in the deletion window; what is gone frees its account.
    client.call("DeleteSecret", &[("SecretName", "db")]).ok();
    assert_eq!(rotate(&client, "db", "v3").code(), "Rejected.ResourceInDeleteWindow");
    client.call("RestoreSecret", &[("SecretName", "db")]).ok();
    rotate(&client, "db", "v3").ok();
    assert!(managed.logs_in(&read(&client, "db")));
    client.call("DeleteSecret", &[("SecretName", "db"), ("ForceDeleteWithoutRecovery", "true")]).ok();
    managed.cluster.sql("postgres", "ALTER ROLE a PASSWORD 'first of a'");
    create(&client, "db-again", "pg-1", &["a"], &[]).ok();
}

#[test]
fn what_is_not_a_managed_secret_is_refused() {
    let managed = Managed::start();
    let server = managed.service(None);
    let client = server.client();
    let refused = |accounts: &[&str], parameters: &[(&str, &str)]| {
        let data = given(accounts);
        let mut all = vec![("SecretName", "x"), ("VersionId", "v1")];
        if parameters.iter().all(|(name, _)| *name != "SecretData") {
            all.push(("SecretData", &data));
        }
        all.extend(parameters);
        let answer = client.call("CreateSecret", &all);
        (answer.code().to_owned(), answer.text("Message").to_owned())
    };
    let single = config("SingleUser", "pg-1");
    let double = config("DoubleUsers", "pg-1");
    let nowhere = config("SingleUser", "pg-2");
    for cloud in ["Redis", "PolarDB", "RAMCredentials", "ECS"] {
        let (code, message) = refused(&["a"], &[("SecretType", cloud)]);
        assert_eq!(code, "UnsupportedOperation");
        assert!(message.contains("Only Generic and Rds"), "{message}");
    }
    fn rds(config: &str) -> [(&str, &str); 2] {
        [("SecretType", "Rds"), ("ExtendedConfig", config)]
    }
    let names = |(code, message): (String, String), name: &str| {
        assert_eq!(code, "InvalidParameter");
        assert!(message.starts_with(&format!("The specified parameter \"{name}\" is not valid.")), "{message}");
    };
    assert_eq!(refused(&["a"], &[("SecretType", "Rds")]).0, "MissingParameter");
    names(refused(&["a"], &rds("{}")), "ExtendedConfig");
    names(refused(&["a"], &rds(&nowhere)), "ExtendedConfig.DBInstanceId");
    names(refused(&["a", "b"], &rds(&single)), "SecretData");
    names(refused(&["a"], &rds(&double)), "SecretData");
    names(refused(&["a", "a"], &rds(&double)), "SecretData");
    names(refused(&["nobody"], &rds(&single)), "SecretData");
    let wrong = r#"{"Accounts":[{"AccountName":"a","AccountPassword":"guessed"}]}"#;
    names(refused(&[], &[rds(&single).as_slice(), &[("SecretData", wrong)]].concat()), "SecretData");
    names(refused(&["a"], &[rds(&single).as_slice(), &[("SecretDataType", "binary")]].concat()), "SecretDataType");
    assert_eq!(
        refused(&["a"], &[rds(&single).as_slice(), &[("EnableAutomaticRotation", "true")]].concat()).0,
        "MissingParameter"
    );

    create(&client, "two", "pg-1", &["a", "b"], &[]).ok();
    let taken = create(&client, "one", "pg-1", &["b"], &[]);
    assert_eq!((taken.status, taken.code()), (409, "Rejected.ResourceExist"), "an account belongs to one secret");
    crate::create(&client, "generic", "value").ok();
    assert_eq!(rotate(&client, "generic", "v2").code(), "UnsupportedOperation");
    let policy = [("SecretName", "generic"), ("EnableAutomaticRotation", "false")];
    assert_eq!(client.call("UpdateSecretRotationPolicy", &policy).code(), "UnsupportedOperation");
    assert_eq!(client.call("DescribeSecret", &[("SecretName", "generic")]).ok().text("AutomaticRotation"), "");
    assert_eq!(rotate(&client, "none", "v2").code(), "Forbidden.ResourceNotFound");
    let check = || {
        let (name, value) = managed.setting();
        let mut command = std::process::Command::new(BULLA);
        command.args(["check", "--data"]).arg(server.data()).env(name, value);
        let output = command.output().expect("the program is there");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(check().0, "{}", check().1);
    managed.cluster.halt();
    let (fit, why) = check();
    assert!(!fit && why.contains("rotation.instance pg-1: unreachable"), "{why}");
    let away = create(&client, "three", "pg-1", &["c"], &[]);
    assert_eq!((away.status, away.code()), (503, "ServiceUnavailableTemporary"));
}

#[test]
fn mariadb_accounts_take_turns() {
    let database = MariaDb::start(
        "CREATE USER bulla_rotation@'%' IDENTIFIED BY 'admin';\nGRANT CREATE USER ON *.* TO bulla_rotation@'%';\n\
         CREATE USER a@'%' IDENTIFIED BY 'first of a';\nCREATE USER b@'%' IDENTIFIED BY 'first of b';\n",
    )
    .expect("MariaDB (apt-get install mariadb-server-core mariadb-client-core)");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "admin").expect("writable");
    let instance = format!(
        r#"[{{id="maria",engine="mariadb",host="127.0.0.1",port={},administrator="bulla_rotation",password_file="{}",tls=false}}]"#,
        database.port(),
        file.display()
    );
    let server = Server::dev_with(BULLA, folder.path().join("data"), None, &[("BULLA_ROTATION__INSTANCE", &instance)]);
    let client = server.client();
    create(&client, "db", "maria", &["a", "b"], &[]).ok();
    let logs_in = |served: &Answer| {
        let (user, password) = account(served);
        let options =
            mysql::OptsBuilder::new().ip_or_hostname(Some("127.0.0.1")).tcp_port(database.port()).prefer_socket(false);
        mysql::Conn::new(options.user(Some(user)).pass(Some(password))).is_ok()
    };
    let mut before = read(&client, "db");
    for (version, name) in [("v2", "b"), ("v3", "a"), ("v4", "b")] {
        rotate(&client, "db", version).ok();
        let served = read(&client, "db");
        assert_eq!(account(&served).0, name);
        assert!(logs_in(&served) && logs_in(&before), "what was read before the last rotation is still good");
        before = served;
    }
}

#[test]
fn callers_of_an_account_rotate_fifty_times_an_hour() {
    let managed = Managed::start();
    let server = managed.service(None);
    let client = server.client();
    create(&client, "one", "pg-1", &["a"], &[]).ok();
    create(&client, "other", "pg-1", &["b"], &[("EnableAutomaticRotation", "true"), ("RotationInterval", "6h")]).ok();
    for n in 0..50 {
        rotate(&client, "one", &format!("r{n}")).ok();
    }
    for name in ["one", "other"] {
        let refused = rotate(&client, name, "r50");
        assert_eq!((refused.status, refused.code()), (429, "Rejected.Throttling"), "{name}");
        assert!(managed.logs_in(&read(&client, name)));
    }
    // What begins no rotation is not counted, so a call whose answer was lost can be repeated.
    rotate(&client, "one", "r49").ok();
    assert_eq!(read(&client, "one").text("VersionId"), "r49");
    assert_eq!(read(&client, "other").text("AutomaticRotation"), "Enabled");
}

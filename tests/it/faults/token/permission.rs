//! A token whose user may not make keys: callers are told, everything else is served, and what one node does for all another does.

use std::time::Duration;

use bulla_test_support::chaos::Function;
use bulla_test_support::node::Node;

use super::Rig;
use crate::{BULLA, create, until};

/// Whatever the token calls it, a caller is told so, and nobody loses the connection; `bulla check` says it.
#[test]
fn all_but_new_keys_is_served_to_a_user_who_may_not_make_them() {
    let mut rig = Rig::new("", vec![]);
    let client = rig.server.client();
    create(&client, "a", "value").ok();
    let chaos = rig.chaos();
    let logins = chaos.calls(Function::C_Login);
    for code in
        ["CKR_FUNCTION_REJECTED", "CKR_USER_NOT_LOGGED_IN", "CKR_SESSION_READ_ONLY", "CKR_TOKEN_WRITE_PROTECTED", "0x80000001"]
    {
        chaos.tell(&format!("refuse value CKA_TOKEN 01 {code}"));
        for spec in ["Aliyun_AES_256", "Aliyun_AES_128", "EC_P256", "RSA_2048", "HMAC_SHA_256"] {
            let usage = match spec {
                "EC_P256" | "RSA_2048" => "SIGN/VERIFY",
                "HMAC_SHA_256" => "GENERATE/VERIFY_MAC",
                _ => "ENCRYPT/DECRYPT",
            };
            let refused = client.call("CreateKey", &[("KeySpec", spec), ("KeyUsage", usage)]);
            assert_eq!((refused.status, refused.code()), (400, "UnsupportedOperation"), "{code}, {spec}: {refused:?}");
            let said = format!("{refused:?}");
            assert!(said.contains("the token's user may not make keys"), "{code}, {spec}: {said}");
        }
        create(&client, &format!("under/{code}"), "value").ok();
        assert_eq!(client.call("GetSecretValue", &[("SecretName", "a")]).ok().text("SecretData"), "value");
        chaos.tell("refuse none");
        client.call("CreateKey", &[]).ok();
    }
    assert_eq!(client.figure("bulla_token_epochs_total"), 1.0, "{}", rig.server.log());
    assert_eq!(chaos.calls(Function::C_Login), logins);
    assert_eq!(rig.server.admin(&["check"])["TokenMakesKeys"], true);
    rig.server.set_environment("BULLA_CHAOS_START", Some("refuse value CKA_TOKEN 01 CKR_FUNCTION_REJECTED"));
    let report = rig.server.admin(&["check"]);
    assert_eq!(report["TokenMakesKeys"], false);
    let checks = report["Checks"].as_array().expect("findings");
    let found = checks.iter().find(|check| check["Check"] == "making keys").expect("this one");
    assert_eq!(found["Verdict"], "warn", "{found}");
    assert!(found["Found"].as_str().is_some_and(|said| said.contains("CKR_FUNCTION_REJECTED")), "{found}");
    assert!(found["Hint"].as_str().is_some_and(|hint| hint.contains("the token's user")), "{found}");
}

/// The lease of the rotations goes to the node whose user may make keys, and comes to no other while it runs.
#[test]
fn rotation_is_left_to_a_node_that_makes_keys() {
    use diesel::prelude::*;
    #[derive(QueryableByName)]
    struct Lease {
        #[diesel(sql_type = diesel::sql_types::Text)]
        holder: String,
    }
    let rig = Rig::new("", vec![]);
    let client = rig.server.client();
    let holder = || {
        let query = "SELECT hex(holder) AS holder FROM leases WHERE name = 'rotation'";
        diesel::sql_query(query).load::<Lease>(&mut crate::database(&rig.server)).expect("rows").pop().map(|lease| lease.holder)
    };
    until(Duration::from_secs(30), "a first holder", || holder().is_some());
    let first = holder();
    let node = Node::start(BULLA, &rig.server, "2");
    rig.chaos().tell("refuse value CKA_TOKEN 01 CKR_FUNCTION_REJECTED");
    assert_eq!(client.call("CreateKey", &[]).code(), "UnsupportedOperation");
    assert_eq!(client.figure("bulla_token_makes_keys"), 0.0);
    until(Duration::from_secs(70), "the other node's turn", || holder() != first);
    let second = holder();
    for _ in 0..22 {
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(holder(), second);
    }
    assert_eq!(node.client().figure("bulla_token_makes_keys"), 1.0);
}

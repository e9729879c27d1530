//! Nodes on one database and one token.

use std::process::Command;
use std::time::Duration;

use bulla_test_support::client::Client;
use bulla_test_support::node::Node;
use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;
use bulla_test_support::sizes::size;

use crate::{BULLA, create, on_postgres, on_sqlite};

#[test]
fn nodes_share_everything_and_make_one_default_key() {
    let (_folder, server) = on_postgres();
    let node = Node::start(BULLA, &server, "2");
    let second = node.client();
    let first = server.client();
    std::thread::scope(|scope| {
        for n in 0..50 {
            let node = if n % 2 == 0 { &first } else { &second };
            scope.spawn(move || create(node, &format!("race/{n}"), &format!("value {n}")).ok());
        }
    });
    let keys = first.call("ListKeys", &[]).ok();
    assert_eq!(keys.json["TotalCount"], 1);
    for n in 0..50 {
        let other = if n % 2 == 0 { &second } else { &first };
        let read = other.call("GetSecretValue", &[("SecretName", &format!("race/{n}"))]).ok();
        assert_eq!(read.text("SecretData"), format!("value {n}"));
    }
    // A revocation works on the other node within a second.
    server.admin(&["user", "create", "leaver"]);
    server.admin(&["policy", "attach", "AliyunKMSSecretAdminAccess", "--user", "leaver"]);
    let key = server.admin(&["access-key", "create", "--user", "leaver"]);
    let text = |name: &str| key[name].as_str().expect("shown").to_owned();
    let leaver = Client::new(&node.endpoint(), &text("AccessKeyId"), &text("AccessKeySecret"));
    leaver.call("ListSecrets", &[]).ok();
    server.admin(&["access-key", "disable", &text("AccessKeyId")]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(leaver.call("ListSecrets", &[]).code(), "Forbidden.AccessKey");
    // So does the first policy that a secret gets; what it says later works at once.
    let set = |effect: &str| {
        let principal = format!("acs:ram::{}:*", server.ready.account_id);
        let policy = format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"{effect}","Principal":{{"RAM":"{principal}"}},"Action":"kms:*","Resource":"*"}}]}}"#
        );
        first.call("SetSecretPolicy", &[("SecretName", "race/0"), ("Policy", &policy)]).ok();
    };
    let read = || second.call("GetSecretValue", &[("SecretName", "race/0")]).code().to_owned();
    set("Deny");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(read(), "Forbidden.NoPermission");
    set("Allow");
    assert_eq!(read(), "");
    set("Deny");
    assert_eq!(read(), "Forbidden.NoPermission");
}

/// A machine that was cloned: its node would write as the one that it is a copy of, and neither could go on.
#[test]
fn a_node_on_a_copy_of_anothers_audit_folder_does_not_start_and_hurts_nobody() {
    let (_folder, mut server) = on_sqlite();
    create(&server.client(), "s", "value").ok();
    // The database hears of its log, and of where that is.
    std::thread::sleep(Duration::from_millis(2500));
    let folder = server.data().join("audit");
    let copied =
        Command::new("cp").arg("-a").arg(&folder).arg(server.data().join("audit-clone")).status().expect("cp is there");
    assert!(copied.success());
    let (status, said) = Node::start_with(BULLA, &server, "clone", "").ended();
    assert_eq!(status.code(), Some(5), "{said}");
    assert!(said.contains("this folder is a copy of that") && said.contains("name an empty folder"), "{said}");
    create(&server.client(), "t", "value").ok();
    std::thread::sleep(Duration::from_millis(1500));
    server.client().call("GetSecretValue", &[("SecretName", "t")]).ok();
    assert!(!server.log().contains("ALARM"), "{}", server.log());
    // The first one stops: its folder may be used elsewhere.
    server.stop();
    let moved = Command::new("rm").arg("-rf").arg(server.data().join("audit-clone")).status().expect("rm is there");
    assert!(moved.success());
    std::fs::rename(&folder, server.data().join("audit-clone")).expect("moved");
    let node = Node::start(BULLA, &server, "clone");
    node.client().call("GetSecretValue", &[("SecretName", "t")]).ok();
    assert!(!node.log().contains("ALARM"), "{}", node.log());
}

/// The logs say whose they are, to whoever restores them alone.
#[test]
fn a_node_whose_id_is_lost_has_it_from_its_logs() {
    let (_folder, mut server) = on_sqlite();
    create(&server.client(), "s", "value").ok();
    server.admin(&["user", "create", "u"]);
    server.stop();
    let file = server.data().join("audit/node-id");
    let id = std::fs::read(&file).expect("an id");
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(server.admin(&["verify"])["FlawCount"], 0);
    server.restart();
    assert_eq!(std::fs::read(&file).expect("an id"), id);
    server.client().call("GetSecretValue", &[("SecretName", "s")]).ok();
    assert!(!server.log().contains("ALARM"), "{}", server.log());
}

/// Nodes that start together on one token, each of which SoftHSM may refuse while another one logs in.
#[test]
fn nodes_start_side_by_side() {
    let (_folder, server) = on_postgres();
    create(&server.client(), "a", "value").ok();
    let mut tried_again = 0;
    for _ in 0..size(10, 500) {
        let nodes: Vec<_> = (0..4).map(|n| Node::start_with(BULLA, &server, &n.to_string(), "")).collect();
        for node in nodes {
            let node = node.answering();
            assert_eq!(node.client().call("GetSecretValue", &[("SecretName", "a")]).ok().text("SecretData"), "value");
            tried_again += usize::from(node.log().contains("trying again"));
            node.stop();
        }
    }
    eprintln!("{tried_again} starts tried their token again");
}

/// Data keys in memory are no way around what is admitted: of a key that one node disables the other refuses the secrets at once, and its data
/// keys are gone from there within a second.
#[test]
fn what_a_node_has_in_memory_ends_with_the_key_s_state_on_another() {
    const CACHE: (&str, &str) = ("BULLA_KEYS__DATA_KEY_CACHE_ENTRIES", "100");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = PostgresCluster::shared().database();
    let server = Server::dev_with(BULLA, folder.path().join("data"), Some(&url), &[CACHE]);
    let node = Node::start_in(BULLA, &server, "2", "", &[CACHE]).answering();
    let (first, second) = (server.client(), node.client());
    let key = first.call("CreateKey", &[]).ok();
    let key = key.json["KeyMetadata"]["KeyId"].as_str().expect("an id").to_owned();
    let under = [("SecretName", "a"), ("VersionId", "v1"), ("SecretData", "value"), ("EncryptionKeyId", &key)];
    first.call("CreateSecret", &under).ok();
    let read = || first.call("GetSecretValue", &[("SecretName", "a")]);
    let hits = || first.figure("bulla_data_key_cache_hits_total");
    read().ok();
    let before = hits();
    read().ok();
    assert_eq!(hits(), before + 1.0, "from memory");
    // Whoever may not read is refused, whatever is in memory.
    server.admin(&["user", "create", "stranger"]);
    let made = server.admin(&["access-key", "create", "--user", "stranger"]);
    let part = |name: &str| made[name].as_str().expect("shown once").to_owned();
    let stranger = server.client_as(&part("AccessKeyId"), &part("AccessKeySecret"));
    assert_eq!(stranger.call("GetSecretValue", &[("SecretName", "a")]).code(), "Forbidden.NoPermission");
    second.call("DisableKey", &[("KeyId", &key)]).ok();
    let refused = read();
    assert_eq!((refused.code(), refused.text("SecretData")), ("Rejected.Disabled", ""), "at once");
    std::thread::sleep(Duration::from_secs(1));
    second.call("EnableKey", &[("KeyId", &key)]).ok();
    let before = hits();
    assert_eq!(read().ok().text("SecretData"), "value");
    assert_eq!(hits(), before, "asked of the token again");
    read().ok();
    assert_eq!(hits(), before + 1.0);
}

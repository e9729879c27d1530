//! The main flow on tokens that encrypt in other ways.

use super::{Function, Rig, never};
use crate::create;

/// From the first start to a restart: everything that is encrypted on the token is made, read, and read again.
fn main_flow(start: &str, iv_of_gcm: bool) {
    let mut rig = Rig::new(start, vec![]);
    let client = rig.server.client();
    create(&client, "app/db", "s3cret").ok();
    let key = client.call("CreateKey", &[("KeySpec", "Aliyun_AES_128")]).ok();
    let id = key.json["KeyMetadata"]["KeyId"].as_str().expect("a key id").to_owned();
    let under = [("SecretName", "own"), ("VersionId", "v1"), ("SecretData", "own value"), ("EncryptionKeyId", &id)];
    client.call("CreateSecret", &under).ok();
    rig.server.admin(&["user", "create", "reader"]);
    rig.server.admin(&["policy", "attach", "AliyunKMSFullAccess", "--user", "reader"]);
    let key = rig.server.admin(&["access-key", "create", "--user", "reader"]);
    let reads = |rig: &Rig| {
        let part = |name: &str| key[name].as_str().expect("shown once").to_owned();
        let reader = rig.server.client_as(&part("AccessKeyId"), &part("AccessKeySecret"));
        for (name, value) in [("app/db", "s3cret"), ("own", "own value")] {
            let read = reader.call("GetSecretValue", &[("SecretName", name)]).ok();
            assert_eq!(read.text("SecretData"), value);
        }
    };
    reads(&rig);
    let chaos = rig.chaos();
    never(&chaos);
    assert_eq!(chaos.ivs().0 > 0, iv_of_gcm, "IVs of AES-GCM");
    assert_eq!(rig.server.stop().code(), Some(0));
    rig.server.restart();
    reads(&rig);
    assert_eq!(rig.chaos().calls(Function::C_Login), 1);
}

#[test]
fn the_token_writes_its_iv_into_the_parameter() {
    main_flow("gcm in-place", true);
}

#[test]
fn the_token_appends_its_iv() {
    main_flow("gcm appended", true);
}

#[test]
fn the_token_appends_a_long_iv() {
    main_flow("gcm appended 16", true);
}

#[test]
fn the_token_has_no_gcm() {
    main_flow("mechanism absent CKM_AES_GCM", false);
}

//! A token whose user may not make keys: callers are told, everything else is served.

use bulla_test_support::chaos::Function;

use super::Rig;
use crate::create;

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

//! Key pairs and MAC keys: which operation and which algorithm fits which key, and what every misfit is answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::client::{Answer, Client};

use crate::api::ciphertext_blobs::refused_since;
use crate::on_sqlite;

/// A new key's id and its version's.
fn new_key(client: &Client, spec: &str, usage: &str) -> (String, String) {
    let made = client.call("CreateKey", &[("KeySpec", spec), ("KeyUsage", usage)]).ok();
    let text = |field: &str| made.json["KeyMetadata"][field].as_str().expect("in the metadata").to_owned();
    assert_eq!(text("KeySpec"), spec);
    let key = text("KeyId");
    (key.clone(), client.key_version(&key))
}

fn code(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}

#[test]
fn what_does_not_fit_a_key_is_refused_before_the_token_is_asked() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let aes = new_key(&client, "Aliyun_AES_256", "ENCRYPT/DECRYPT");
    let ec = new_key(&client, "EC_P256", "SIGN/VERIFY");
    let rsa = new_key(&client, "RSA_2048", "ENCRYPT/DECRYPT");
    let hmac = new_key(&client, "HMAC_SHA_256", "GENERATE/VERIFY_MAC");
    let digest = STANDARD.encode([7; 32]);
    let at = |key: &(String, String), action: &str, more: &[(&str, &str)]| {
        let both = [&[("KeyId", key.0.as_str()), ("KeyVersionId", key.1.as_str())], more].concat();
        client.call(action, &both)
    };
    let signing = |algorithm| [("Algorithm", algorithm), ("Digest", digest.as_str())];
    let sealing = |algorithm| [("Algorithm", algorithm), ("Plaintext", "QQ==")];
    let macing = |algorithm| [("Algorithm", algorithm), ("Message", "QQ==")];

    let unfit = (400, "UnsupportedOperation");
    for key in [&ec, &rsa, &hmac] {
        assert_eq!(code(&at(key, "Encrypt", &[("Plaintext", "QQ==")])), unfit);
        assert_eq!(code(&at(key, "GenerateDataKey", &[])), unfit);
        let secret = [("SecretName", "x"), ("VersionId", "v"), ("SecretData", "x"), ("EncryptionKeyId", key.0.as_str())];
        assert_eq!(code(&client.call("CreateSecret", &secret)), unfit, "a secret needs a symmetric key");
    }
    for key in [&aes, &rsa, &hmac] {
        assert_eq!(code(&at(key, "AsymmetricSign", &signing("ECDSA_SHA_256"))), unfit);
    }
    for key in [&aes, &ec, &hmac] {
        assert_eq!(code(&at(key, "AsymmetricEncrypt", &sealing("RSAES_OAEP_SHA_256"))), unfit);
    }
    for key in [&aes, &hmac] {
        assert_eq!(code(&at(key, "GetPublicKey", &[])), unfit);
    }
    for key in [&aes, &ec, &rsa] {
        assert_eq!(code(&at(key, "GenerateMac", &macing("HMAC_SHA_256"))), unfit);
    }

    let invalid = (400, "InvalidParameter");
    assert_eq!(code(&at(&ec, "AsymmetricSign", &signing("RSA_PSS_SHA_256"))), invalid);
    assert_eq!(code(&at(&hmac, "GenerateMac", &macing("HMAC_SHA_512"))), invalid);
    let short = STANDARD.encode([7; 31]);
    assert_eq!(code(&at(&ec, "AsymmetricSign", &[("Algorithm", "ECDSA_SHA_256"), ("Digest", &short)])), invalid);
    let long = STANDARD.encode([7; 191]);
    let long = [("Algorithm", "RSAES_OAEP_SHA_256"), ("Plaintext", long.as_str())];
    assert_eq!(code(&at(&rsa, "AsymmetricEncrypt", &long)), invalid);

    let version_of_another = (ec.0.clone(), rsa.1.clone());
    let answer = at(&version_of_another, "GetPublicKey", &[]);
    assert_eq!(code(&answer), (404, "Forbidden.KeyVersionNotFound"));

    for (key, action, parameters, lacking) in [
        (&ec, "AsymmetricSign", signing("SM2DSA"), "CKM_SM2"),
        (&rsa, "AsymmetricEncrypt", sealing("SM2PKE"), "CKM_SM2"),
        (&hmac, "GenerateMac", macing("HMAC_SM3"), "CKM_SM3_HMAC"),
    ] {
        let answer = at(key, action, &parameters);
        assert!(code(&answer) == unfit && answer.text("Message").contains(lacking), "{answer:?}");
    }
}

#[test]
fn keys_that_the_token_cannot_make_are_refused_by_name() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    for (spec, lacking) in [
        ("Aliyun_SM4", "CKM_SM4_GCM"),
        ("EC_SM2", "CKM_SM2_KEY_PAIR_GEN"),
        ("HMAC_SM3", "CKM_SM3_HMAC"),
        ("Aliyun_DES3_192", "3DES"),
    ] {
        let answer = client.call("CreateKey", &[("KeySpec", spec)]);
        assert_eq!(code(&answer), (400, "UnsupportedOperation"), "{spec}");
        assert!(answer.text("Message").contains(lacking), "{spec}: {answer:?}");
    }
    for (spec, usage) in
        [("Aliyun_AES_256", "SIGN/VERIFY"), ("EC_P256", "ENCRYPT/DECRYPT"), ("RSA_2048", "GENERATE/VERIFY_MAC")]
    {
        let answer = client.call("CreateKey", &[("KeySpec", spec), ("KeyUsage", usage)]);
        assert_eq!(code(&answer), (400, "InvalidParameter"), "{spec} {usage}");
    }
    for spec in ["Aliyun_SM4", "RSA_2048", "HMAC_SHA_256"] {
        let answer = client.call("CreateKey", &[("KeySpec", spec), ("Origin", "EXTERNAL")]);
        assert_eq!(code(&answer), (400, "UnsupportedOperation"), "{spec} from outside");
    }
    assert_eq!(client.call("ListKeys", &[]).ok().json["TotalCount"], 0, "nothing is left of them");
}

#[test]
fn a_wrong_signature_or_mac_is_no_error() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let digest = STANDARD.encode([7; 32]);
    for (spec, algorithm) in [("EC_P256", "ECDSA_SHA_256"), ("EC_P256K", "ECDSA_SHA_256"), ("RSA_2048", "RSA_PSS_SHA_256")] {
        let (key, version) = new_key(&client, spec, "SIGN/VERIFY");
        let named = [("KeyId", key.as_str()), ("KeyVersionId", &version), ("Algorithm", algorithm)];
        let signed = client.call("AsymmetricSign", &[&named[..], &[("Digest", &digest)]].concat()).ok();
        let verified = |digest: &str, value: &str| {
            let parameters = [&named[..], &[("Digest", digest), ("Value", value)]].concat();
            client.call("AsymmetricVerify", &parameters).ok().json["Value"].as_bool().expect("a boolean")
        };
        assert!(verified(&digest, signed.text("Value")), "{spec}");
        assert!(!verified(&STANDARD.encode([8; 32]), signed.text("Value")), "{spec}");
        assert!(!verified(&digest, "QQ=="), "{spec}");
    }
    let (key, _) = new_key(&client, "HMAC_SHA_384", "GENERATE/VERIFY_MAC");
    let named = [("KeyId", key.as_str()), ("Algorithm", "HMAC_SHA_384"), ("Message", "QQ==")];
    let made = client.call("GenerateMac", &named).ok();
    for (mac, right) in [(made.text("Mac"), true), ("QQ==", false)] {
        let verified = client.call("VerifyMac", &[&named[..], &[("Mac", mac)]].concat()).ok();
        assert_eq!(verified.json["Value"], right);
    }
}

#[test]
fn a_ciphertext_that_does_not_decrypt_has_one_answer() {
    let (_folder, server) = on_sqlite();
    let client = server.client();
    let (key, version) = new_key(&client, "RSA_2048", "ENCRYPT/DECRYPT");
    for (algorithm, other) in [("RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"), ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")] {
        let named = [("KeyId", key.as_str()), ("KeyVersionId", &version)];
        let sealing = [("Algorithm", algorithm), ("Plaintext", "QQ==")];
        let sealed = client.call("AsymmetricEncrypt", &[&named[..], &sealing].concat()).ok();
        let sealed = STANDARD.decode(sealed.text("CiphertextBlob")).expect("Base64");
        let opened = |algorithm: &str, blob: &[u8]| {
            let blob = STANDARD.encode(blob);
            let more = [("Algorithm", algorithm), ("CiphertextBlob", blob.as_str())];
            client.call("AsymmetricDecrypt", &[&named[..], &more].concat())
        };
        assert_eq!(opened(algorithm, &sealed).ok().text("Plaintext"), "QQ==");
        let mut wrong: Vec<Vec<u8>> = (0..256).step_by(17).map(|at| changed(&sealed, at)).collect();
        wrong.extend([vec![0; 256], vec![0xff; 256], sealed[..255].to_vec(), [&sealed[..], &[0]].concat()]);
        let mut answers: Vec<Answer> = wrong.iter().map(|blob| opened(algorithm, blob)).collect();
        answers.push(opened(other, &sealed));
        for answer in &answers {
            refused_since(answer, "a ciphertext of this key version and algorithm, unchanged", algorithm);
        }
    }
    let text = server.log();
    assert!(!text.contains("ALARM") && !text.contains("epoch 1 ends"), "{text}");
}

#[test]
fn policies_can_name_the_algorithm() {
    let (_folder, server) = on_sqlite();
    let root = server.client();
    let (key, version) = new_key(&root, "RSA_2048", "ENCRYPT/DECRYPT");
    let aes = new_key(&root, "Aliyun_AES_256", "ENCRYPT/DECRYPT").0;
    let only = |name: &str, algorithm: &str| {
        let statement = format!(
            r#"{{"Effect":"Allow","Action":"kms:*","Resource":"*",
                "Condition":{{"StringEquals":{{"kms:EncryptionAlgorithm":"{algorithm}"}}}}}}"#
        );
        crate::api::ciphertext_blobs::user(&server, name, &statement)
    };
    let (sha256, symmetric) = (only("sha256", "RSAES_OAEP_SHA_256"), only("symmetric", "SYMMETRIC_DEFAULT"));
    for (client, algorithm, allowed) in
        [(&sha256, "RSAES_OAEP_SHA_256", true), (&sha256, "RSAES_OAEP_SHA_1", false), (&symmetric, "RSAES_OAEP_SHA_256", false)]
    {
        let named = [("KeyId", key.as_str()), ("KeyVersionId", &version), ("Algorithm", algorithm)];
        let sealed = client.call("AsymmetricEncrypt", &[&named[..], &[("Plaintext", "QQ==")]].concat());
        assert_eq!(sealed.status == 200, allowed, "{algorithm}");
        let sealed = root.call("AsymmetricEncrypt", &[&named[..], &[("Plaintext", "QQ==")]].concat()).ok();
        let blob = ("CiphertextBlob", sealed.text("CiphertextBlob"));
        let opened = client.call("AsymmetricDecrypt", &[&named[..], &[blob]].concat());
        assert_eq!(opened.status == 200, allowed, "{algorithm}");
        let source =
            [("SourceKeyId", key.as_str()), ("SourceKeyVersionId", &version), ("SourceEncryptionAlgorithm", algorithm)];
        let moved = client.call("ReEncrypt", &[&source[..], &[blob, ("DestinationKeyId", &aes)]].concat());
        assert_eq!(code(&moved), (403, "Forbidden.NoPermission"), "each end needs its own algorithm");
    }
    for (client, allowed) in [(&sha256, false), (&symmetric, true)] {
        assert_eq!(client.call("Encrypt", &[("KeyId", &aes), ("Plaintext", "QQ==")]).status == 200, allowed);
        assert_eq!(client.call("GenerateDataKey", &[("KeyId", &aes)]).status == 200, allowed);
    }
}

fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= 0x40;
    changed
}

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use proptest::prelude::*;

use super::*;

const S1: Suite = Suite::AesGcmCallerIv;

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn associated_data(context: &EncryptionContext) -> Canonical {
    Identity {
        deployment: &DeploymentId::from_bytes([1; 16]),
        account: &"1000000000000001".parse().expect("account"),
        region: &"cn-hangzhou".parse().expect("region"),
        key: &KeyId::from_bytes([4; 16]),
        key_version: &KeyVersionId::from_bytes([5; 16]),
        suite: S1,
        context,
    }
    .associated_data()
}

/// The token's part, done here with the token's key in the clear.
fn cipher() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[6; 32]).expect("32 bytes"))
}

/// The vectors are made by golden/make.py, which shares nothing with this program.
#[test]
fn golden() {
    let bound = associated_data(&context(&[("用途", "备份"), ("a", ""), ("", "b")]));
    assert_eq!(hex::encode(bound.as_bytes()), include_str!("golden/associated_data.hex").trim());

    let mut sealed = b"AAECAwQ=".to_vec();
    let nonce = Nonce::assume_unique_for_key([8; 12]);
    cipher().seal_in_place_append_tag(nonce, Aad::from(bound.as_bytes()), &mut sealed).expect("short");
    let blob = Blob { suite: S1, key_version: KeyVersionId::from_bytes([5; 16]), sealed: [vec![8; 12], sealed].concat() };
    let bytes = hex::decode(include_str!("golden/blob.hex").trim()).expect("hex");
    assert_eq!(hex::encode(blob.to_bytes()), hex::encode(&bytes));
    assert_eq!(Blob::parse(&bytes), Some(blob));
}

#[test]
fn other_forms_are_no_blobs() {
    let good = Blob { suite: S1, key_version: KeyVersionId::from_bytes([5; 16]), sealed: vec![] }.to_bytes();
    assert!(Blob::parse(&good).is_some());
    assert_eq!(Blob::parse(&good[..17]), None, "shorter than its head");
    for (at, byte) in [(0, 0), (0, 2), (1, 0), (1, 255)] {
        let mut other = good.clone();
        other[at] = byte;
        assert_eq!(Blob::parse(&other), None, "byte {at} = {byte}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Any bytes are read without a panic, and what is read is written back as it was.
    #[test]
    fn reading_is_total(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|tail| [vec![FORMAT, 1], tail].concat()),
    ]) {
        if let Some(blob) = Blob::parse(&bytes) {
            prop_assert_eq!(blob.to_bytes(), bytes);
        }
    }

    /// Two contexts share their associated data only if they are equal.
    #[test]
    fn contexts_are_told_apart(
        a in prop::collection::btree_map("[a=&]{0,2}", "[a=&]{0,2}", 0..3),
        b in prop::collection::btree_map("[a=&]{0,2}", "[a=&]{0,2}", 0..3),
    ) {
        prop_assert_eq!(a == b, associated_data(&a) == associated_data(&b));
    }
}

use super::*;

/// A fixed identity and data key, the ones of docs/formats.md.
struct Fixture {
    deployment: DeploymentId,
    account: AccountId,
    region: Region,
    secret: SecretId,
    name: SecretName,
    version_uuid: SecretVersionUuid,
    version: VersionId,
    key: KeyId,
    key_version: KeyVersionId,
}

impl Fixture {
    fn new() -> Self {
        Self {
            deployment: DeploymentId::from_bytes([1; 16]),
            account: "1000000000000001".parse().expect("account"),
            region: "cn-hangzhou".parse().expect("region"),
            secret: SecretId::from_bytes([2; 16]),
            name: "app/db-1".parse().expect("name"),
            version_uuid: SecretVersionUuid::from_bytes([3; 16]),
            version: "v1".parse().expect("version"),
            key: KeyId::from_bytes([4; 16]),
            key_version: KeyVersionId::from_bytes([5; 16]),
        }
    }

    fn identity(&self) -> Identity<'_> {
        Identity {
            deployment: &self.deployment,
            account: &self.account,
            region: &self.region,
            secret: &self.secret,
            name: &self.name,
            version_uuid: &self.version_uuid,
            version: &self.version,
            data_type: DataType::Text,
            created_at: Timestamp(1_767_323_045_000),
            key: &self.key,
            key_version: &self.key_version,
            suite: Suite::AesGcmCallerIv,
        }
    }
}

fn key() -> DataKey {
    DataKey::new(Zeroizing::new([6; 32]))
}

fn value() -> Plaintext {
    Plaintext::new(b"{\"user\":\"root\"}".to_vec())
}

const WRAPPED: [u8; 60] = [7; 60];

fn golden() -> Sealed {
    seal_with_nonce(&Fixture::new().identity(), key(), &WRAPPED, &value(), [8; 12])
}

/// The bytes of docs/formats.md: whatever is stored today opens for ever.
#[test]
fn golden_vector() {
    let fixture = Fixture::new();
    let context = fixture.identity().data_key_context();
    assert_eq!(hex::encode(context.as_bytes()), include_str!("golden/context.hex").trim());
    let sealed = golden();
    assert_eq!(hex::encode(&sealed.commitment), include_str!("golden/commitment.hex").trim());
    assert_eq!(hex::encode(&sealed.ciphertext), include_str!("golden/ciphertext.hex").trim());
    let opened = open(&fixture.identity(), key(), &WRAPPED, sealed).expect("opens");
    assert_eq!(opened.expose(), value().expose());
}

#[test]
fn every_stored_bit_counts() {
    let fixture = Fixture::new();
    let refuses = |sealed: Sealed, wrapped: &[u8]| {
        assert_eq!(open(&fixture.identity(), key(), wrapped, sealed).err(), Some(Tampered));
    };
    let parts: [fn(&mut Sealed) -> &mut Vec<u8>; 3] = [|s| &mut s.commitment, |s| &mut s.nonce, |s| &mut s.ciphertext];
    for part in parts {
        for bit in 0..part(&mut golden()).len() * 8 {
            let mut sealed = golden();
            part(&mut sealed)[bit / 8] ^= 1 << (bit % 8);
            refuses(sealed, &WRAPPED);
        }
        let mut short = golden();
        part(&mut short).pop();
        refuses(short, &WRAPPED);
        let mut empty = golden();
        part(&mut empty).clear();
        refuses(empty, &WRAPPED);
    }
    let mut wrapped = WRAPPED;
    wrapped[59] ^= 1;
    refuses(golden(), &wrapped);
}

#[test]
fn every_field_of_the_identity_counts() {
    let fixture = Fixture::new();
    let deployment = DeploymentId::new();
    let account = "1000000000000002".parse().expect("account");
    let region = "cn-beijing".parse().expect("region");
    let secret = SecretId::new();
    let name = "app/db-2".parse().expect("name");
    let version_uuid = SecretVersionUuid::new();
    let version = "v2".parse().expect("version");
    let key_id = KeyId::new();
    let key_version = KeyVersionId::new();
    let same = || fixture.identity();
    let others = [
        Identity { deployment: &deployment, ..same() },
        Identity { account: &account, ..same() },
        Identity { region: &region, ..same() },
        Identity { secret: &secret, ..same() },
        Identity { name: &name, ..same() },
        Identity { version_uuid: &version_uuid, ..same() },
        Identity { version: &version, ..same() },
        Identity { data_type: DataType::Binary, ..same() },
        Identity { created_at: Timestamp(1_767_323_045_001), ..same() },
        Identity { key: &key_id, ..same() },
        Identity { key_version: &key_version, ..same() },
    ];
    for (index, other) in others.iter().enumerate() {
        assert_eq!(open(other, key(), &WRAPPED, golden()).err(), Some(Tampered), "field {index}");
        assert_ne!(other.data_key_context(), same().data_key_context(), "field {index}");
    }
    assert_eq!(open(&same(), DataKey::new(Zeroizing::new([9; 32])), &WRAPPED, golden()).err(), Some(Tampered));
}

#[test]
fn nonces_differ() {
    let fixture = Fixture::new();
    let [a, b] = [(); 2].map(|()| seal(&fixture.identity(), key(), &WRAPPED, &value()));
    assert_ne!(a.nonce, b.nonce);
    assert_eq!(a.commitment, b.commitment);
}

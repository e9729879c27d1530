//! Every attribute that Bulla sets or demands, in one place.
//!
//! Owns: what an object of each kind looks like on the token. Must not know: sessions, when objects are made.
//! Called by: `create`, `epoch`.
//!
//! What a template asks for is what `create` reads back, plus the three attributes that only the token sets: LOCAL,
//! ALWAYS_SENSITIVE, NEVER_EXTRACTABLE. DESTROYABLE stays at its default: a key that cannot be destroyed cannot be deleted.
//! Nothing is changed after birth; MODIFIABLE=false also stops others from turning WRAP on.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};

use super::material::{Curve, Material, Pair};
use crate::base::ids::KeyVersionId;

/// What an object on the token is for; decides its type and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// One version of a master key.
    Cmk(Material),
    /// AES-256, encrypts and decrypts what the service itself must keep.
    Sys,
    /// Generic secret of 256 bits, HMAC-SHA-256: the root of row MACs.
    Int,
    /// EC P-256 pair: signs audit checkpoints.
    Aud,
}

/// Which object of those that share a CKA_ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Half {
    /// A secret key: the only object of its id.
    Secret,
    /// The private half of a pair.
    Private,
    /// The public half of a pair.
    Public,
}

impl Half {
    /// Every class that an object of ours can have.
    pub(super) const ALL: [Half; 3] = [Half::Secret, Half::Private, Half::Public];

    /// CKA_CLASS.
    pub(super) fn class(self) -> ObjectClass {
        match self {
            Half::Secret => ObjectClass::SECRET_KEY,
            Half::Private => ObjectClass::PRIVATE_KEY,
            Half::Public => ObjectClass::PUBLIC_KEY,
        }
    }
}

/// How every label of ours begins.
pub(super) const LABEL_PREFIX: &str = "bulla ";

impl Curve {
    /// CKA_EC_PARAMS: the curve's object identifier in DER.
    pub(super) fn parameters(self) -> &'static [u8] {
        match self {
            // 1.2.840.10045.3.1.7
            Curve::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            // 1.3.132.0.10
            Curve::P256k => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a],
        }
    }
}

impl ObjectKind {
    /// The objects of this kind, by class.
    pub(super) fn halves(self) -> &'static [Half] {
        match self {
            ObjectKind::Cmk(Material::Aes(_) | Material::Hmac(..)) | ObjectKind::Sys | ObjectKind::Int => &[Half::Secret],
            ObjectKind::Cmk(Material::Rsa(..) | Material::Ec(_)) | ObjectKind::Aud => &[Half::Private, Half::Public],
        }
    }

    /// CKA_LABEL, for people only: nothing is looked up by it.
    fn label(self, id: &KeyVersionId) -> String {
        match self {
            ObjectKind::Cmk(_) => format!("{LABEL_PREFIX}cmk {id}"),
            ObjectKind::Sys => format!("{LABEL_PREFIX}sys {id}"),
            ObjectKind::Int => format!("{LABEL_PREFIX}int {id}"),
            ObjectKind::Aud => format!("{LABEL_PREFIX}aud {id}"),
        }
    }

    /// The template that makes one of the objects of this kind.
    pub(super) fn template(self, half: Half, id: &KeyVersionId) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Class(half.class()),
            Attribute::Token(true),
            Attribute::Modifiable(false),
            Attribute::Copyable(false),
            Attribute::Derive(false),
            Attribute::Id(id.as_bytes().to_vec()),
            Attribute::Label(self.label(id).into_bytes()),
        ];
        template.extend(match (self, half) {
            (ObjectKind::Cmk(Material::Aes(bytes)), _) => aes(bytes),
            (ObjectKind::Sys, _) => aes(32),
            (ObjectKind::Cmk(Material::Hmac(_, bytes)), _) => hmac(bytes),
            (ObjectKind::Int, _) => hmac(32),
            (ObjectKind::Cmk(Material::Rsa(bits, pair)), Half::Public) => {
                let numbers = [Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(vec![1, 0, 1])];
                public(KeyType::RSA, pair, &numbers)
            }
            (ObjectKind::Cmk(Material::Rsa(_, pair)), Half::Private | Half::Secret) => private(KeyType::RSA, pair),
            (ObjectKind::Cmk(Material::Ec(curve)), Half::Public) => ec_public(curve),
            (ObjectKind::Aud, Half::Public) => ec_public(Curve::P256),
            (ObjectKind::Cmk(Material::Ec(_)) | ObjectKind::Aud, Half::Private | Half::Secret) => {
                private(KeyType::EC, Pair::Signs)
            }
        });
        template
    }

    /// What the finished object must say of itself: its template, and what the token adds.
    pub(super) fn expected(self, half: Half, id: &KeyVersionId) -> Vec<Attribute> {
        let mut expected = self.template(half, id);
        expected.push(Attribute::Local(true));
        if half != Half::Public {
            expected.push(Attribute::AlwaysSensitive(true));
            expected.push(Attribute::NeverExtractable(true));
        }
        expected
    }
}

/// Key material that never leaves.
fn locked_in() -> [Attribute; 3] {
    [Attribute::Private(true), Attribute::Sensitive(true), Attribute::Extractable(false)]
}

/// What a secret key may do; wrapping is never among it.
fn secret(key_type: KeyType, bytes: u64, encrypts: bool, signs: bool) -> Vec<Attribute> {
    let mut template = Vec::from(locked_in());
    template.extend([
        Attribute::KeyType(key_type),
        Attribute::ValueLen(bytes.into()),
        Attribute::Encrypt(encrypts),
        Attribute::Decrypt(encrypts),
        Attribute::Sign(signs),
        Attribute::Verify(signs),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
    ]);
    template
}

fn aes(bytes: u64) -> Vec<Attribute> {
    secret(KeyType::AES, bytes, true, false)
}

fn hmac(bytes: u64) -> Vec<Attribute> {
    secret(KeyType::GENERIC_SECRET, bytes, false, true)
}

/// The half of a pair that works.
fn private(key_type: KeyType, pair: Pair) -> Vec<Attribute> {
    let mut template = Vec::from(locked_in());
    template.extend([
        Attribute::KeyType(key_type),
        Attribute::Sign(pair == Pair::Signs),
        Attribute::SignRecover(false),
        Attribute::Decrypt(pair == Pair::Decrypts),
        Attribute::Unwrap(false),
    ]);
    template
}

/// The half of a pair that everybody may see; `numbers` are what the key is made by.
fn public(key_type: KeyType, pair: Pair, numbers: &[Attribute]) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Private(false),
        Attribute::KeyType(key_type),
        Attribute::Verify(pair == Pair::Signs),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(pair == Pair::Decrypts),
        Attribute::Wrap(false),
    ];
    template.extend_from_slice(numbers);
    template
}

fn ec_public(curve: Curve) -> Vec<Attribute> {
    public(KeyType::EC, Pair::Signs, &[Attribute::EcParams(curve.parameters().to_vec())])
}

/// A key that lives as long as its session, for canary and probe.
pub(super) fn session_key() -> Vec<Attribute> {
    of_session(aes(32))
}

/// The same for HMAC.
pub(super) fn session_mac_key() -> Vec<Attribute> {
    of_session(hmac(32))
}

fn of_session(key: Vec<Attribute>) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(false), Attribute::Derive(false)];
    template.extend(key);
    template
}

/// What finds the objects of an id.
pub(super) fn search(half: Half, id: &KeyVersionId) -> [Attribute; 3] {
    [Attribute::Class(half.class()), Attribute::Token(true), Attribute::Id(id.as_bytes().to_vec())]
}

/// What an inspection reads of an object. Never CKA_VALUE.
pub(super) const INSPECTED: [AttributeType; 30] = [
    AttributeType::Class,
    AttributeType::KeyType,
    AttributeType::ValueLen,
    AttributeType::Id,
    AttributeType::Label,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::AlwaysSensitive,
    AttributeType::Extractable,
    AttributeType::NeverExtractable,
    AttributeType::Local,
    AttributeType::Modifiable,
    AttributeType::Copyable,
    AttributeType::Destroyable,
    AttributeType::Encrypt,
    AttributeType::Decrypt,
    AttributeType::Sign,
    AttributeType::SignRecover,
    AttributeType::Verify,
    AttributeType::VerifyRecover,
    AttributeType::Wrap,
    AttributeType::Unwrap,
    AttributeType::Derive,
    AttributeType::WrapWithTrusted,
    AttributeType::KeyGenMechanism,
    AttributeType::EcParams,
    AttributeType::EcPoint,
    AttributeType::ModulusBits,
    AttributeType::PublicExponent,
];

/// The text of an attribute's value, for people and tests.
pub(super) fn text_of(attribute: &Attribute) -> String {
    use Attribute as A;
    match attribute {
        A::Token(b)
        | A::Private(b)
        | A::Sensitive(b)
        | A::AlwaysSensitive(b)
        | A::Extractable(b)
        | A::NeverExtractable(b)
        | A::Local(b)
        | A::Modifiable(b)
        | A::Copyable(b)
        | A::Destroyable(b)
        | A::Encrypt(b)
        | A::Decrypt(b)
        | A::Sign(b)
        | A::SignRecover(b)
        | A::Verify(b)
        | A::VerifyRecover(b)
        | A::Wrap(b)
        | A::Unwrap(b)
        | A::Derive(b)
        | A::WrapWithTrusted(b) => b.to_string(),
        A::Class(class) => class.to_string(),
        A::KeyType(key_type) => key_type.to_string(),
        A::KeyGenMechanism(mechanism) => mechanism.to_string(),
        A::ValueLen(length) | A::ModulusBits(length) => length.to_string(),
        A::Label(text) => String::from_utf8_lossy(text).into_owned(),
        A::Id(bytes) | A::EcParams(bytes) | A::EcPoint(bytes) | A::PublicExponent(bytes) => hex::encode(bytes),
        other => format!("{:?}", other.attribute_type()),
    }
}

/// The mechanism that makes an object of this kind, for the probe.
pub(super) const MAKERS: [(MechanismType, &str); 3] = [
    (MechanismType::AES_KEY_GEN, "CKM_AES_KEY_GEN"),
    (MechanismType::GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN"),
    (MechanismType::ECC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN"),
];

//! Every attribute that Bulla sets or demands, in one place.
//!
//! Owns: what an object of each kind looks like on the token. Must not know: sessions, when objects are made.
//! Called by: `create`, `epoch`.
//!
//! What a template asks for is what `readback` demands, plus the three attributes that only the token sets: LOCAL,
//! ALWAYS_SENSITIVE, NEVER_EXTRACTABLE. DESTROYABLE stays at its default: a key that cannot be destroyed cannot be deleted.
//! Nothing is changed after birth; MODIFIABLE=false also stops others from turning WRAP on. What a token refuses to be told is left
//! out (`concessions`), and then read back all the same.

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};

use super::material::{Curve, Material, Pair};
use crate::base::ids::KeyVersionId;
use crate::base::words::MacAlgorithm;

/// What an object on the token is for; decides its type and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// One version of a master key.
    Cmk(Material),
    /// AES-256, encrypts and decrypts what the service itself must keep.
    Sys,
    /// HMAC-SHA-256 of 256 bits, or AES-256 on a token without HMAC: the root of the keys of audit lines, and the tags of suite S3.
    Int,
    /// Made as INT is: the root of row MACs, which `bulla rekey` replaces.
    Row,
    /// A pair that signs audit checkpoints: EC P-256, or RSA on a token without it.
    Aud,
    /// AES-256 that is made anew every hour and used for nothing: its being there says that a database that names it is no old copy.
    Head,
    /// AES-256 that tells whether a session works, on tokens that keep no key for a session only.
    Canary,
    /// The same for HMAC.
    CanaryMac,
}

/// What an object, or a pair, of one kind is made of. Some kinds may be of several: the first that the token takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// AES of this many bytes.
    Aes(u64),
    /// A secret of this many bytes for HMAC.
    Hmac(MacAlgorithm, u64, HmacType),
    /// An RSA pair of this many bits.
    Rsa(u64, Pair),
    /// An EC pair.
    Ec(Curve),
}

/// How tokens type secrets for HMAC, the most usual first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HmacType {
    /// CKK_GENERIC_SECRET, by CKM_GENERIC_SECRET_KEY_GEN.
    Generic,
    /// CKK_SHA256_HMAC and its like, by CKM_SHA256_KEY_GEN (PKCS#11 3.0).
    Typed,
    /// CKK_SHA256_HMAC and its like, by CKM_GENERIC_SECRET_KEY_GEN.
    TypedByGeneric,
}

impl Shape {
    /// The mechanism that makes it.
    pub(super) fn maker(self) -> Mechanism<'static> {
        match self {
            Shape::Aes(_) => Mechanism::AesKeyGen,
            Shape::Hmac(_, _, HmacType::Generic | HmacType::TypedByGeneric) => Mechanism::GenericSecretKeyGen,
            Shape::Hmac(MacAlgorithm::HmacSha224, ..) => Mechanism::Sha224KeyGen,
            Shape::Hmac(MacAlgorithm::HmacSha256 | MacAlgorithm::HmacSm3, ..) => Mechanism::Sha256KeyGen,
            Shape::Hmac(MacAlgorithm::HmacSha384, ..) => Mechanism::Sha384KeyGen,
            Shape::Hmac(MacAlgorithm::HmacSha512, ..) => Mechanism::Sha512KeyGen,
            Shape::Rsa(..) => Mechanism::RsaPkcsKeyPairGen,
            Shape::Ec(_) => Mechanism::EccKeyPairGen,
        }
    }

    /// The objects that it has, by class.
    pub(super) fn halves(self) -> &'static [Half] {
        match self {
            Shape::Aes(_) | Shape::Hmac(..) => &[Half::Secret],
            Shape::Rsa(..) | Shape::Ec(_) => &[Half::Private, Half::Public],
        }
    }

    /// CKA_KEY_TYPE. cryptoki knows one of the typed HMACs by its number and takes the others for it.
    pub(super) fn key_type(self) -> KeyType {
        match self {
            Shape::Aes(_) => KeyType::AES,
            Shape::Hmac(_, _, HmacType::Generic) => KeyType::GENERIC_SECRET,
            Shape::Hmac(_, _, HmacType::Typed | HmacType::TypedByGeneric) => KeyType::SHA256_HMAC,
            Shape::Rsa(..) => KeyType::RSA,
            Shape::Ec(_) => KeyType::EC,
        }
    }

    fn key_type_attribute(self) -> Attribute {
        /// CKK_SHA384_HMAC, CKK_SHA512_HMAC, CKK_SHA224_HMAC.
        const NUMBERS: [(MacAlgorithm, u64); 3] =
            [(MacAlgorithm::HmacSha384, 0x2c), (MacAlgorithm::HmacSha512, 0x2d), (MacAlgorithm::HmacSha224, 0x2e)];
        if let Shape::Hmac(algorithm, _, HmacType::Typed | HmacType::TypedByGeneric) = self
            && let Some((_, number)) = NUMBERS.iter().find(|(of, _)| *of == algorithm)
        {
            return Attribute::VendorDefined((AttributeType::KeyType, number.to_ne_bytes().to_vec()));
        }
        Attribute::KeyType(self.key_type())
    }

    /// What it may do, and what it is made by.
    fn uses(self, half: Half) -> Vec<Attribute> {
        let mut uses = match self {
            Shape::Aes(bytes) => secret(bytes, true, false),
            Shape::Hmac(_, bytes, _) => secret(bytes, false, true),
            Shape::Rsa(bits, pair) if half == Half::Public => {
                public(pair, &[Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(vec![1, 0, 1])])
            }
            Shape::Ec(curve) if half == Half::Public => {
                public(Pair::Signs, &[Attribute::EcParams(curve.parameters().to_vec())])
            }
            Shape::Rsa(_, pair) => private(pair),
            Shape::Ec(_) => private(Pair::Signs),
        };
        uses.push(self.key_type_attribute());
        uses
    }
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

    /// Which half an object of this class is, if it can be one of ours.
    pub(super) fn of(class: ObjectClass) -> Option<Half> {
        Half::ALL.into_iter().find(|half| half.class() == class)
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
    /// What it may be made of, in the order in which it is tried.
    pub(super) fn shapes(self) -> Vec<Shape> {
        let hmac = |algorithm, bytes| {
            [HmacType::Generic, HmacType::Typed, HmacType::TypedByGeneric].map(|of| Shape::Hmac(algorithm, bytes, of)).to_vec()
        };
        match self {
            ObjectKind::Cmk(Material::Aes(bytes)) => vec![Shape::Aes(bytes)],
            ObjectKind::Cmk(Material::Hmac(algorithm, bytes)) => hmac(algorithm, bytes),
            ObjectKind::Cmk(Material::Rsa(bits, pair)) => vec![Shape::Rsa(bits, pair)],
            ObjectKind::Cmk(Material::Ec(curve)) => vec![Shape::Ec(curve)],
            ObjectKind::Sys | ObjectKind::Head | ObjectKind::Canary => vec![Shape::Aes(32)],
            ObjectKind::CanaryMac => hmac(MacAlgorithm::HmacSha256, 32),
            // Without HMAC, AES makes the root: see `signing::mac`.
            ObjectKind::Int | ObjectKind::Row => [hmac(MacAlgorithm::HmacSha256, 32), vec![Shape::Aes(32)]].concat(),
            ObjectKind::Aud => vec![Shape::Ec(Curve::P256), Shape::Rsa(2048, Pair::Signs)],
        }
    }

    /// How many objects a key of this kind is.
    pub fn objects(self) -> usize {
        self.halves().len()
    }

    /// The objects of this kind, by class.
    pub(super) fn halves(self) -> &'static [Half] {
        match self {
            ObjectKind::Cmk(Material::Rsa(..) | Material::Ec(_)) | ObjectKind::Aud => &[Half::Private, Half::Public],
            ObjectKind::Cmk(Material::Aes(_) | Material::Hmac(..))
            | ObjectKind::Sys
            | ObjectKind::Int
            | ObjectKind::Row
            | ObjectKind::Head
            | ObjectKind::Canary
            | ObjectKind::CanaryMac => &[Half::Secret],
        }
    }

    /// What CKA_LABEL says of its role, the id following.
    pub(super) fn role(self) -> &'static str {
        match self {
            ObjectKind::Cmk(_) => "bulla cmk",
            ObjectKind::Sys => "bulla sys",
            ObjectKind::Int => "bulla int",
            ObjectKind::Row => "bulla row",
            ObjectKind::Aud => "bulla aud",
            ObjectKind::Head => "bulla head",
            ObjectKind::Canary | ObjectKind::CanaryMac => "bulla canary",
        }
    }

    /// The template that makes one of the objects of this kind.
    pub(super) fn template(self, shape: Shape, half: Half, id: &KeyVersionId) -> Vec<Attribute> {
        let mut template = vec![
            Attribute::Class(half.class()),
            Attribute::Token(true),
            Attribute::Modifiable(false),
            Attribute::Copyable(false),
            Attribute::Derive(false),
            Attribute::Id(id.as_bytes().to_vec()),
            Attribute::Label(format!("{} {id}", self.role()).into_bytes()),
        ];
        template.extend(shape.uses(half));
        template
    }

    /// What the finished object must say of itself: its template, and what the token adds.
    pub(super) fn expected(self, shape: Shape, half: Half, id: &KeyVersionId) -> Vec<Attribute> {
        let mut expected = self.template(shape, half, id);
        expected.retain(|attribute| attribute.attribute_type() != AttributeType::KeyType);
        expected.push(Attribute::KeyType(shape.key_type()));
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
fn secret(bytes: u64, encrypts: bool, signs: bool) -> Vec<Attribute> {
    let mut template = Vec::from(locked_in());
    template.extend([
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

/// The half of a pair that works.
fn private(pair: Pair) -> Vec<Attribute> {
    let mut template = Vec::from(locked_in());
    template.extend([
        Attribute::Sign(pair == Pair::Signs),
        Attribute::SignRecover(false),
        Attribute::Decrypt(pair == Pair::Decrypts),
        Attribute::Unwrap(false),
    ]);
    template
}

/// The half of a pair that everybody may see; `numbers` are what the key is made by.
fn public(pair: Pair, numbers: &[Attribute]) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Private(false),
        Attribute::Verify(pair == Pair::Signs),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(pair == Pair::Decrypts),
        Attribute::Wrap(false),
    ];
    template.extend_from_slice(numbers);
    template
}

/// The templates of what lives as long as its session: canary, probe, trials. One for each half.
pub(super) fn of_session(shape: Shape) -> Vec<(Half, Vec<Attribute>)> {
    let of = |half: &Half| {
        let mut template = vec![Attribute::Class(half.class()), Attribute::Token(false), Attribute::Derive(false)];
        template.extend(shape.uses(*half));
        (*half, template)
    };
    shape.halves().iter().map(of).collect()
}

/// The template of a master key of material from outside. Its length is the material's own. MODIFIABLE stands last: SoftHSM 2.6.1 refuses
/// every attribute after it.
pub(super) fn imported(kind: Material, version: &KeyVersionId) -> Vec<Attribute> {
    let kind = ObjectKind::Cmk(kind);
    let shape = kind.shapes().first().copied().unwrap_or(Shape::Aes(32));
    let mut template = kind.template(shape, Half::Secret, version);
    template.retain(|a| !matches!(a, Attribute::ValueLen(_) | Attribute::Modifiable(_)));
    template.push(Attribute::Modifiable(false));
    template
}

/// What finds the objects of an id and a class.
pub(super) fn search(half: Half, id: &KeyVersionId) -> [Attribute; 3] {
    [Attribute::Class(half.class()), Attribute::Token(true), Attribute::Id(id.as_bytes().to_vec())]
}

/// What finds all objects of an id.
pub(super) fn search_all(id: &KeyVersionId) -> [Attribute; 2] {
    [Attribute::Token(true), Attribute::Id(id.as_bytes().to_vec())]
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

//! Conditions: one operator, one key of the request, the values it is compared with.
//!
//! Owns: the operators, the keys that are served and their types, and the comparison. Called by: parse, policy.
//!
//! The values of one condition are alternatives: a positive operator holds when one of the request's values matches one of them,
//! its negative when none does. So a key that the request does not have fails the positive and passes the negative, and so does a
//! value of the request that cannot be read as the operator's type.

use std::cmp::Ordering;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::error::PolicyError;
use super::json::Json;
use super::pattern::Pattern;
use crate::base::clock::Timestamp;

/// The values of a request that conditions may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// `acs:SourceIp`: the client's address.
    pub source_ip: IpAddr,
    /// `acs:CurrentTime`: when the request was received; conditions see whole seconds.
    pub current_time: Timestamp,
    /// `acs:SecureTransport`: whether it came over TLS.
    pub secure_transport: bool,
    /// Further keys and their values, e.g. `kms:tag/Project`. A key that stands here several times has several values.
    pub extra: &'a [(String, String)],
}

/// The key of a condition on how a key is used to encrypt.
pub const ENCRYPTION_ALGORITHM: &str = "kms:EncryptionAlgorithm";

/// How the keys of conditions on tags begin.
const TAG: &str = "kms:tag/";

/// The keys that requests have; `kms:tag/` and a tag's.
pub(super) const KEYS: [&str; 5] = ["acs:SourceIp", "acs:CurrentTime", "acs:SecureTransport", ENCRYPTION_ALGORITHM, TAG];

/// One line of a Condition block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    key: Key,
    /// Whether it is a Not… operator.
    negative: bool,
    test: Test,
}

/// What a request's value is compared with, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
enum Test {
    Text(Vec<Box<str>>),
    /// In lower case.
    TextIgnoringCase(Vec<Box<str>>),
    Like(Vec<Pattern>),
    Number(Relation, Vec<f64>),
    /// Seconds since the Unix epoch.
    Date(Relation, Vec<i64>),
    Bool(Vec<bool>),
    Net(Vec<IpNet>),
}

/// How a request's value must stand to a value of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Relation::Equal => order.is_eq(),
            Relation::Less => order.is_lt(),
            Relation::LessOrEqual => order.is_le(),
            Relation::Greater => order.is_gt(),
            Relation::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A condition key. Names are compared without regard to case; what follows a `/` (the tag's key in `kms:tag/Project`) with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    SourceIp,
    CurrentTime,
    SecureTransport,
    Other(Box<str>),
}

impl Key {
    fn new(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "acs:sourceip" => Key::SourceIp,
            "acs:currenttime" => Key::CurrentTime,
            "acs:securetransport" => Key::SecureTransport,
            _ => Key::Other(name.into()),
        }
    }

    /// The key's type allows only the operators of that type: a comparison that could never match is a mistake.
    fn check(&self, test: &Test) -> Result<(), PolicyError> {
        let (fits, operators) = match self {
            Key::SourceIp => (matches!(test, Test::Net(_)), "IpAddress or NotIpAddress"),
            Key::CurrentTime => (matches!(test, Test::Date(..)), "a Date operator"),
            Key::SecureTransport => (matches!(test, Test::Bool(_)), "Bool"),
            Key::Other(_) => (true, ""),
        };
        if fits { Ok(()) } else { Err(PolicyError::new(format!("this key needs {operators}"))) }
    }
}

fn same_key(known: &str, given: &str) -> bool {
    let split = |name: &str| name.find('/').unwrap_or(name.len());
    let ((a, a_tail), (b, b_tail)) = (known.split_at(split(known)), given.split_at(split(given)));
    a.eq_ignore_ascii_case(b) && a_tail == b_tail
}

impl Condition {
    pub(super) fn new(operator: &str, key: &str, values: &[Json]) -> Result<Self, PolicyError> {
        use Relation::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let (negative, test) = match operator {
            "StringEquals" => (false, Test::Text(all(values, text)?)),
            "StringNotEquals" => (true, Test::Text(all(values, text)?)),
            "StringEqualsIgnoreCase" => (false, Test::TextIgnoringCase(all(values, text_in_lower_case)?)),
            "StringNotEqualsIgnoreCase" => (true, Test::TextIgnoringCase(all(values, text_in_lower_case)?)),
            "StringLike" => (false, Test::Like(all(values, like)?)),
            "StringNotLike" => (true, Test::Like(all(values, like)?)),
            "NumericEquals" => (false, Test::Number(Equal, all(values, number)?)),
            "NumericNotEquals" => (true, Test::Number(Equal, all(values, number)?)),
            "NumericLessThan" => (false, Test::Number(Less, all(values, number)?)),
            "NumericLessThanEquals" => (false, Test::Number(LessOrEqual, all(values, number)?)),
            "NumericGreaterThan" => (false, Test::Number(Greater, all(values, number)?)),
            "NumericGreaterThanEquals" => (false, Test::Number(GreaterOrEqual, all(values, number)?)),
            "DateEquals" => (false, Test::Date(Equal, all(values, date)?)),
            "DateNotEquals" => (true, Test::Date(Equal, all(values, date)?)),
            "DateLessThan" => (false, Test::Date(Less, all(values, date)?)),
            "DateLessThanEquals" => (false, Test::Date(LessOrEqual, all(values, date)?)),
            "DateGreaterThan" => (false, Test::Date(Greater, all(values, date)?)),
            "DateGreaterThanEquals" => (false, Test::Date(GreaterOrEqual, all(values, date)?)),
            "Bool" => (false, Test::Bool(all(values, boolean)?)),
            "IpAddress" => (false, Test::Net(all(values, net)?)),
            "NotIpAddress" => (true, Test::Net(all(values, net)?)),
            _ => return Err(PolicyError::new("unknown condition operator")),
        };
        let key = Key::new(key);
        key.check(&test)?;
        Ok(Self { key, negative, test })
    }

    /// Whether it asks for a tag of the resource, `kms:tag/<key>`.
    pub(super) fn reads_tags(&self) -> bool {
        matches!(&self.key, Key::Other(name) if name.get(..TAG.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(TAG)))
    }

    /// Its key where no request has that one.
    pub(super) fn unknown_key(&self) -> Option<&str> {
        match &self.key {
            Key::Other(name) if !self.reads_tags() && !name.eq_ignore_ascii_case(ENCRYPTION_ALGORITHM) => Some(name),
            _ => None,
        }
    }

    pub(super) fn holds(&self, request: &Conditions<'_>) -> bool {
        self.matches(request) != self.negative
    }

    /// Whether one of the request's values of this key matches one of the policy's.
    fn matches(&self, request: &Conditions<'_>) -> bool {
        match (&self.key, &self.test) {
            (Key::SourceIp, Test::Net(nets)) => inside(nets, request.source_ip),
            (Key::CurrentTime, Test::Date(relation, dates)) => {
                let now = request.current_time.0.div_euclid(1000);
                dates.iter().any(|d| relation.accepts(now.cmp(d)))
            }
            (Key::SecureTransport, Test::Bool(values)) => values.contains(&request.secure_transport),
            (Key::Other(key), test) => request.extra.iter().any(|(k, value)| same_key(key, k) && test.accepts(value)),
            // `Key::check` refused every other pair.
            _ => false,
        }
    }
}

impl Test {
    /// Whether a value of the request, given as text, matches one of the policy's.
    fn accepts(&self, given: &str) -> bool {
        match self {
            Test::Text(texts) => texts.iter().any(|t| **t == *given),
            Test::TextIgnoringCase(texts) => texts.iter().any(|t| lower_case(given).eq(t.chars())),
            Test::Like(patterns) => patterns.iter().any(|p| p.matches(given)),
            Test::Number(relation, numbers) => parse_number(given)
                .is_some_and(|g| numbers.iter().any(|n| g.partial_cmp(n).is_some_and(|order| relation.accepts(order)))),
            Test::Date(relation, dates) => parse_date(given).is_some_and(|g| dates.iter().any(|d| relation.accepts(g.cmp(d)))),
            Test::Bool(values) => given.parse().is_ok_and(|g| values.contains(&g)),
            Test::Net(nets) => given.parse().is_ok_and(|g| inside(nets, g)),
        }
    }
}

/// An IPv4 client of a socket that also takes IPv6 has a mapped address, `::ffff:192.0.2.1`; it is the IPv4 address.
fn inside(nets: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    nets.iter().any(|net| net.contains(&address))
}

fn all<T>(values: &[Json], one: fn(&Json) -> Option<T>) -> Result<Vec<T>, PolicyError> {
    let unfit = |value: &Json| {
        PolicyError::new(match value {
            Json::Text(text) => format!("{text:?} is no value for this operator"),
            other => format!("{} is no value for this operator", other.kind()),
        })
    };
    values.iter().map(|value| one(value).ok_or_else(|| unfit(value))).collect()
}

/// Bare booleans and whole numbers stand for their text; other numbers have no one text.
fn text(value: &Json) -> Option<Box<str>> {
    match value {
        Json::Text(text) => Some(text.as_str().into()),
        Json::Bool(value) => Some(value.to_string().into()),
        Json::Integer(value) => Some(value.to_string().into()),
        _ => None,
    }
}

fn text_in_lower_case(value: &Json) -> Option<Box<str>> {
    text(value).map(|text| lower_case(&text).collect())
}

fn lower_case(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn like(value: &Json) -> Option<Pattern> {
    text(value).map(|pattern| Pattern::new(&pattern))
}

fn number(value: &Json) -> Option<f64> {
    match value {
        Json::Integer(value) => Some(*value as f64),
        Json::Float(value) => Some(*value),
        Json::Text(text) => parse_number(text),
        _ => None,
    }
}

/// A decimal number. Compared with the precision of a double.
fn parse_number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

fn date(value: &Json) -> Option<i64> {
    match value {
        Json::Text(text) => parse_date(text),
        _ => None,
    }
}

/// ISO 8601 with `Z` or an offset, to seconds since the Unix epoch; a fraction of a second is dropped.
fn parse_date(text: &str) -> Option<i64> {
    if text.contains('[') {
        return None; // jiff would read, and ignore, the name of a time zone
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_millisecond().div_euclid(1000))
}

fn boolean(value: &Json) -> Option<bool> {
    match value {
        Json::Bool(value) => Some(*value),
        Json::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// An address or a CIDR block; IPv4 written as mapped IPv6 is IPv4.
fn net(value: &Json) -> Option<IpNet> {
    let Json::Text(text) = value else { return None };
    let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    let IpNet::V6(v6) = net else { return Some(net) };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(v4), Some(prefix)) => Ipv4Net::new(v4, prefix).ok().map(IpNet::V4),
        _ => Some(net),
    }
}

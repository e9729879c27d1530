//! The rules by which labels move, as tables.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::base::clock::Timestamp;

fn stage(name: &str) -> Stage {
    name.parse().unwrap()
}

fn place(version: &str) -> Place {
    let number = i64::from(version.as_bytes()[1] - b'0');
    Place {
        version: version.parse().unwrap(),
        uuid: SecretVersionUuid::from_bytes([version.as_bytes()[1]; 16]),
        number,
        withheld: false,
    }
}

/// `label@version label@version`, by label.
fn shown(labels: &Labels) -> String {
    let shown: Vec<_> = labels.0.iter().map(|(stage, place)| format!("{stage}@{}", place.version)).collect();
    shown.join(" ")
}

fn labels(of: &str) -> Labels {
    let pairs = of.split_whitespace().map(|pair| pair.split_once('@').unwrap());
    Labels(pairs.map(|(label, version)| (stage(label), place(version))).collect())
}

#[test]
fn labels_move() {
    // What stands, what is put on which version, what stands then.
    let table = [
        ("", "ACSCurrent", "v1", "ACSCurrent@v1"),
        ("ACSCurrent@v1", "ACSCurrent", "v2", "ACSCurrent@v2 ACSPrevious@v1"),
        ("ACSCurrent@v2 ACSPrevious@v1", "ACSCurrent", "v3", "ACSCurrent@v3 ACSPrevious@v2"),
        ("ACSCurrent@v2 ACSPrevious@v1", "ACSCurrent", "v1", "ACSCurrent@v1 ACSPrevious@v2"),
        ("ACSCurrent@v2 ACSPrevious@v1", "ACSCurrent", "v2", "ACSCurrent@v2 ACSPrevious@v1"),
        ("ACSCurrent@v2 ACSPrevious@v1", "ACSPrevious", "v2", "ACSCurrent@v2 ACSPrevious@v2"),
        ("ACSCurrent@v1 blue@v1", "blue", "v2", "ACSCurrent@v1 blue@v2"),
        ("ACSCurrent@v1", "blue green", "v2", "ACSCurrent@v1 blue@v2 green@v2"),
        ("ACSCurrent@v1", "blue ACSCurrent", "v2", "ACSCurrent@v2 ACSPrevious@v1 blue@v2"),
        ("ACSCurrent@v1", "ACSPrevious ACSCurrent", "v2", "ACSCurrent@v2 ACSPrevious@v2"),
    ];
    for (before, put, on, after) in table {
        let mut changed = labels(before);
        let stages: Vec<_> = put.split_whitespace().map(stage).collect();
        changed.put_all(&stages, &place(on));
        assert_eq!(shown(&changed), after, "{put} on {on} where {before}");
    }
}

#[test]
fn eight_labels_are_enough() {
    let mut full = labels("ACSCurrent@v1 ACSPrevious@v2 a@v1 b@v1 c@v1 d@v1 e@v1 f@v1");
    assert_eq!(full.check(), Ok(()));
    full.put(&stage("a"), &place("v2"));
    assert_eq!(full.check(), Ok(()), "a label that moves is none more");
    full.put(&stage("g"), &place("v2"));
    assert!(matches!(full.check(), Err(Error::LimitExceeded { most: 8, .. })));
    full.take(&stage("b"));
    assert_eq!(full.check(), Ok(()));
    assert_eq!(full.on(&"v2".parse().unwrap()), [stage("ACSPrevious"), stage("a"), stage("g")]);
}

#[test]
fn the_oldest_bare_version_goes() {
    let secret_id = SecretId::new();
    let head = |n: u8| {
        let at = place(&format!("v{}", char::from(b'0' + n)));
        VersionHead {
            secret_id,
            version_id: at.version,
            uuid: at.uuid,
            number: at.number,
            deleted_at: None,
            destroyed: false,
            created_at: Timestamp(n.into()),
        }
    };
    let versions: Vec<_> = (0..=10).map(head).collect();
    let gone = |labels: &Labels, versions: &[VersionHead]| -> Vec<String> {
        labels.surplus(versions).map(|head| head.version_id.to_string()).collect()
    };
    let standing = labels("ACSCurrent@v0 a@v1 b@v3");
    assert_eq!(gone(&standing, &versions), ["v2"]);
    assert_eq!(gone(&standing, &versions[..10]), [""; 0]);
    assert_eq!(gone(&labels("ACSCurrent@v0 a@v1 b@v2 c@v3 d@v4 e@v5 f@v6 g@v7"), &versions), ["v8"]);
}

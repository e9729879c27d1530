//! Nothing is served that is not shown: every operation has its transcript and its row in the documentation.

use std::collections::BTreeSet;

/// Operations that every caller may use. BatchGetSecretValue is refused entry by entry, which its transcript shows.
pub const NEEDS_NO_PERMISSION: &[&str] = &["BatchGetSecretValue", "DescribeRegions", "GetCallerIdentity"];

/// Operations whose success no transcript can show: a week must pass first; the service is always open; there is no such resource.
const NO_SUCCESS: &[&str] = &[
    "ConnectKmsInstance",
    "CreateKeyVersion",
    "GetChallenge",
    "GetDefaultKmsInstance",
    "GetKmsInstance",
    "GetKmsInstanceQuotaInfos",
    "GetManagedDataKey",
    "ListManagedDataKeyVersions",
    "OpenKmsService",
    "ReleaseKmsInstance",
    "UpdateKmsInstanceBindVpc",
];

/// Operations that no request of their own can make fail.
const NO_ERROR: &[&str] = &["DescribeRegions", "GetCallerIdentity"];

#[test]
fn every_operation_has_a_transcript_with_a_success_and_an_error() {
    let served: BTreeSet<String> = bulla::api::table::names().map(str::to_owned).collect();
    let shown: BTreeSet<String> = super::files().iter().map(|path| super::name_of(path)).collect();
    assert_eq!(served, shown, "operations, and files in tests/golden");
    for path in super::files() {
        let transcript = super::read(&path);
        let cases: Vec<_> = transcript.blocks.iter().filter(|block| block.is_case).collect();
        assert!(cases.iter().all(|case| case.answers.iter().all(Option::is_some)), "{}: not recorded", path.display());
        let name = super::name_of(&path);
        let among = |list: &[&str]| list.contains(&name.as_str());
        let first = cases.iter().find(|case| case.succeeds());
        assert_eq!(first.is_none(), among(NO_SUCCESS), "{}: no success", path.display());
        assert_eq!(cases.iter().all(|case| case.succeeds()), among(NO_ERROR), "{}: no error", path.display());
        assert!(
            first.is_none_or(|first| !first.by_stranger),
            "{}: the first success is what a stranger is refused",
            path.display()
        );
    }
}

#[test]
fn every_operation_has_one_row_in_the_documentation() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).expect("the page");
    for name in bulla::api::table::names() {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| {name} |"))).count();
        assert_eq!(rows, 1, "rows of {name} in docs/api.md");
    }
}

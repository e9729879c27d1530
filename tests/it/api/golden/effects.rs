//! An error answer means that nothing has changed, or its code says that it may have: for every operation, in both forms of answer and
//! under both signatures, with parameters that are right, left out, unreadable, or not to be written in the form asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bulla::token::softhsm;
use bulla_test_support::client::{Answer, Client, Scheme};
use bulla_test_support::server::Server;

use super::run::Maker;
use super::text::{Names, field_of};
use super::transcript::Block;
use crate::BULLA;
use crate::api::watch::Watch;
use crate::isolated::isolated;

/// Codes that say that what was asked for may have happened all the same.
const MAY_HAVE_HAPPENED: [&str; 2] = ["ServiceUnavailableTemporary", "InternalFailure"];

/// What is counted of refusals, so that they end some time: material that does not decrypt, in the row of the import token.
const COUNTED: (&str, &str) = ("InvalidKeyMaterial", "import_parameters");

/// The ways to ask: how it is signed, and whether the answer shall be XML. ACS3 is always answered in JSON.
const WAYS: [(Scheme, bool); 3] = [(Scheme::RpcV1, false), (Scheme::RpcV1, true), (Scheme::Acs3, false)];

/// A request as it stands in the transcript, and with each parameter left out, unreadable, and beyond what XML can hold.
fn variants(block: &Block, names: &Names) -> Vec<Vec<(String, String)>> {
    let right: Vec<(String, String)> = block.parameters.iter().map(|(name, value)| (name.clone(), names.fill(value))).collect();
    let mut all = Vec::new();
    for i in 0..right.len() {
        let with = |value: String| {
            let mut changed = right.clone();
            changed[i].1 = value;
            changed
        };
        all.push(with(format!("{}\u{1}", right[i].1)));
        all.push(with("\u{fffe}".to_owned()));
        all.push(right.iter().enumerate().filter(|(n, _)| *n != i).map(|(_, pair)| pair.clone()).collect());
    }
    // A part that no transcript gives.
    let described = right.iter().cloned().chain([("Description".to_owned(), "not\u{1}in XML".to_owned())]);
    all.push(described.collect());
    all.push(right);
    all
}

fn send(client: &Client, action: &str, parameters: &[(String, String)], (scheme, xml): (Scheme, bool)) -> Answer {
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let request = client.request(action, &parameters).in_body(&["SecretData"]).scheme(scheme);
    let request = if xml { request.xml() } else { request };
    request.send().unwrap_or_else(|e| panic!("no answer to {action}: {e}"))
}

fn code_of(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    field_of(&text, "Code").unwrap_or_default().to_owned()
}

/// What was asked of an operation.
#[derive(Debug, Default)]
struct Asked {
    /// In which of [`WAYS`].
    ways: BTreeSet<usize>,
    /// Whether it was done once.
    done: bool,
    /// Whether something changed when it was.
    changed: bool,
}

/// Goes through a transcript; what an error answer left behind.
fn left_behind(
    watch: &mut Watch,
    client: &Client,
    names: &mut Names,
    path: &Path,
    all: &mut BTreeMap<String, Asked>,
) -> Vec<String> {
    let mut problems = Vec::new();
    // The account's default key is made when it is first needed, by the service, whatever becomes of the request.
    crate::create(client, "first", "value").ok();
    client.call("DeleteSecret", &[("SecretName", "first"), ("ForceDeleteWithoutRecovery", "true")]).ok();
    for (n, block) in super::read(path).blocks.iter().enumerate() {
        let asked = variants(block, names);
        // What a transcript needs before its cases happens once, as it stands there.
        let asked = if block.is_case { &asked[..] } else { &asked[asked.len() - 1..] };
        // Where there is nothing to vary, the same is asked in each way.
        let times = if block.is_case && block.parameters.is_empty() { WAYS.len() } else { 1 };
        for (i, parameters) in asked.iter().flat_map(|parameters| std::iter::repeat_n(parameters, times)).enumerate() {
            let way = if block.is_case { (n + i) % WAYS.len() } else { 0 };
            // What XML cannot hold is asked for in XML.
            let unwritable = parameters.iter().any(|(_, value)| value.contains(['\u{1}', '\u{fffe}']));
            let way = if unwritable { 1 } else { way };
            watch.changes();
            let answer = send(client, &block.action, parameters, WAYS[way]);
            let code = code_of(&answer);
            if MAY_HAVE_HAPPENED.contains(&code.as_str()) {
                // A machine that is busy enough: nobody waits any more, and the work goes on.
                let is_done =
                    || String::from_utf8_lossy(&client.page("/metrics").body).contains("bulla_requests_in_flight 0\n");
                crate::until(Duration::from_secs(60), "the work is done", is_done);
            }
            let mut changes = watch.changes();
            if code == COUNTED.0 {
                changes.retain(|row| !row[1..].starts_with(COUNTED.1));
            }
            let asked = all.entry(block.action.clone()).or_default();
            asked.ways.insert(way);
            asked.done |= answer.status == 200;
            asked.changed |= answer.status == 200 && !changes.is_empty();
            if answer.status != 200 && !changes.is_empty() && !MAY_HAVE_HAPPENED.contains(&code.as_str()) {
                problems.push(format!("{} {parameters:?}: {} {code}, and {changes:#?}", block.action, answer.status));
            }
            let body = String::from_utf8_lossy(&answer.body);
            for (name, field) in &block.kept {
                if let Some(value) = field_of(&body, field) {
                    names.set(name, value);
                }
            }
        }
    }
    problems
}

#[test]
fn an_error_answer_leaves_everything_as_it_was() {
    isolated(
        |home| softhsm::prepare(&super::data(home)),
        |home| {
            let server = Server::dev(BULLA, super::data(home), None);
            let maker = Maker::new(&server);
            let accounts = super::files().into_iter().map(|path| (maker.account(&super::name_of(&path)), path));
            let accounts: Vec<_> = accounts.collect();
            drop(maker);
            let mut watch = Watch::new(&server);
            let mut problems = Vec::new();
            let mut all = BTreeMap::new();
            for (account, path) in accounts {
                let (client, mut names) = account.into_parts();
                problems.extend(left_behind(&mut watch, &client, &mut names, &path, &mut all));
            }
            assert!(problems.is_empty(), "{}", problems.join("\n"));
            let served: BTreeSet<&str> = bulla::api::table::names().collect();
            let one_sided = all.iter().filter(|(_, asked)| asked.ways.len() < WAYS.len());
            assert_eq!(
                one_sided.map(|(name, _)| name).collect::<Vec<_>>(),
                [""; 0],
                "operations that were not asked in each way"
            );
            let missing: Vec<_> = served.into_iter().filter(|name| !all.contains_key(*name)).collect();
            assert!(missing.is_empty(), "operations that were not asked: {missing:?}");
            // A watch that sees nothing would find nothing: what a write does is seen.
            let writes = crate::api::watch::written(&server);
            assert!(writes.len() > 40, "writes in the audit log: {writes:?}");
            let unseen = all.iter().filter(|(name, asked)| writes.contains(*name) && asked.done && !asked.changed);
            assert_eq!(unseen.map(|(name, _)| name).collect::<Vec<_>>(), [""; 0], "writes that were done and changed nothing");
        },
    );
}

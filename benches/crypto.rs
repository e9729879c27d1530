//! Operations on keys beside the bare calls to the token, and Encrypt with many keys on the token beside Encrypt with one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulla_test_support::client::Client;

use crate::bare::{Bare, MESSAGE};
use crate::floor::Failure;
use crate::load::Outcome;
use crate::side::{Side, What, median};
use crate::{Plan, cell, print};

const CONNECTIONS: [usize; 2] = [1, 8];

/// Prints how fast the operations are, and how fast the calls that they cannot do without.
///
/// # Errors
/// When one of the two fails.
pub fn rows(bulla: &mut Side, bare: &mut Bare, plan: &Plan) -> Result<(), Failure> {
    let client = bulla.program.client().ok_or("Bulla has a client")?;
    let key = |parameters: &[(&str, &str)]| client.call("CreateKey", parameters).ok().json["KeyMetadata"].clone();
    let text = |json: &serde_json::Value| json.as_str().unwrap_or_default().to_owned();
    let mut keys = vec![text(&key(&[])["KeyId"])];
    let pair = text(&key(&[("KeySpec", "RSA_2048"), ("KeyUsage", "SIGN/VERIFY")])["KeyId"]);
    let version = client.key_version(&pair);
    let message = STANDARD.encode(MESSAGE);
    let blob = text(&client.call("Encrypt", &[("KeyId", &keys[0]), ("Plaintext", &message)]).ok().json["CiphertextBlob"]);

    let decrypt = |client: &Client, _| client.request("Decrypt", &[("CiphertextBlob", &blob)]).bytes();
    let data_key = |client: &Client, _| client.request("GenerateDataKey", &[("KeyId", &keys[0])]).bytes();
    let signing = [("KeyId", &*pair), ("KeyVersionId", &version), ("Algorithm", "RSA_PSS_SHA_256"), ("Digest", &message)];
    let sign = |client: &Client, _| client.request("AsymmetricSign", &signing).bytes();
    print(
        "\non keys, beside the same PKCS#11 calls alone\nwhat               keys  conns  PKCS#11                        Bulla                          ratio",
    )?;
    let one = encrypt(&keys, bulla, bare, plan)?;
    let rest = [
        ("Decrypt", What::Asked(&decrypt)),
        ("GenerateDataKey", What::Asked(&data_key)),
        ("AsymmetricSign", What::Asked(&sign)),
    ];
    for (name, what) in rest {
        for connections in CONNECTIONS {
            row(name, 1, connections, what, bulla, bare, plan)?;
        }
    }
    while keys.len() < plan.keys {
        keys.push(text(&key(&[])["KeyId"]));
    }
    let many = encrypt(&keys, bulla, bare, plan)?;
    let ratio = |i: usize| many[i].per_second / one[i].per_second;
    print(&format!("Encrypt under {} keys in turn to Encrypt under one: {:.2}, {:.2}", keys.len(), ratio(0), ratio(1)))
}

/// Encrypt under each of these keys in its turn.
fn encrypt(keys: &[String], bulla: &mut Side, bare: &mut Bare, plan: &Plan) -> Result<Vec<Outcome>, Failure> {
    let message = STANDARD.encode(MESSAGE);
    let request = |client: &Client, n: usize| {
        client.request("Encrypt", &[("KeyId", &keys[n % keys.len()]), ("Plaintext", &message)]).bytes()
    };
    let row = |connections| row("Encrypt", keys.len(), connections, What::Asked(&request), bulla, bare, plan);
    CONNECTIONS.into_iter().map(row).collect()
}

/// One row of the report; how fast Bulla was.
fn row(
    name: &str,
    keys: usize,
    connections: usize,
    what: What<'_>,
    bulla: &mut Side,
    bare: &mut Bare,
    plan: &Plan,
) -> Result<Outcome, Failure> {
    let (mut alone, mut served) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        alone.push(bare.run(name, connections, plan.short)?);
        served.push(bulla.run(what, connections, plan.short)?);
    }
    let (alone, served) = (median(alone), median(served));
    let ratio = served.per_second / alone.per_second;
    print(&format!("{name:<15} {keys:>7}  {connections:>5}  {}  {}  {ratio:>5.2}", cell(&alone), cell(&served)))?;
    Ok(served)
}

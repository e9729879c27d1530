//! Reads through Vault's API: Bulla's beside its own through the other door, and beside those of an OpenBao server.
//!
//! Owns: the requests of that API, starting OpenBao, these rows. OpenBao has integrated storage and one audit file, everything else as it is
//! by default; it is left out where there is none: $BAO, or what `make test` has installed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bulla_test_support::client::Client;
use bulla_test_support::server::{bound_to_this_process, spawn};
use serde_json::{Value, json};

use crate::floor::Failure;
use crate::programs::{self, Program};
use crate::side::{Side, What, median, name};
use crate::{CONNECTIONS, Plan, cell, print};

/// How long OpenBao is waited for: it elects itself, and upgrades a new mount.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request of Vault's API.
pub fn request(address: &str, token: &str, method: &str, path: &str, body: &str) -> Vec<u8> {
    let shown = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
    let length = body.len();
    format!("{method} /v1/{path} HTTP/1.1\r\nHost: {address}\r\n{shown}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The request that reads a secret.
pub fn read(address: &str, token: &str, name: &str) -> Vec<u8> {
    request(address, token, "GET", &format!("secret/data/{name}"), "")
}

/// Prints the rows.
///
/// # Errors
/// When a server does not answer well.
pub fn rows(bulla: &mut Side, folder: &Path, plan: &Plan) -> Result<(), Failure> {
    let among = plan.stored[0];
    let client = bulla.program.client().ok_or("Bulla has a client")?;
    let credentials = json!({ "role_id": client.access_key_id, "secret_id": client.access_key_secret });
    let login = ask(&client, "", "POST", "auth/approle/login", &credentials)?;
    let token = login["auth"]["client_token"].as_str().ok_or("no token")?.to_owned();
    let shown = |client: &Client, n: usize| read(&client.endpoint, &token, &name(n * 7919 % among));
    let (signed, shown) = (What::Read { among }, What::Asked(&shown));
    let mut openbao = program().map(|program| start(&program, folder)).transpose()?.map(Side::new);
    if let Some(openbao) = &mut openbao {
        openbao.fill(among)?;
    }
    print(
        "\nreads through Vault's API\nconns  Bulla, signed                  Bulla, with a token            ratio  OpenBao                        ratio",
    )?;
    for connections in CONNECTIONS {
        let [mut by_signature, mut by_token, mut theirs] = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..plan.runs {
            by_signature.push(bulla.run(signed, connections, plan.time)?);
            by_token.push(bulla.run(shown, connections, plan.time)?);
            if let Some(openbao) = &mut openbao {
                theirs.push(openbao.run(signed, connections, plan.time)?);
            }
        }
        let (by_signature, by_token) = (median(by_signature), median(by_token));
        let beside = match theirs.is_empty() {
            true => "(none: $BAO names none, and `make test` installed none)".to_owned(),
            false => {
                let theirs = median(theirs);
                format!("{}  {:>5.2}", cell(&theirs), by_token.per_second / theirs.per_second)
            }
        };
        let ratio = by_token.per_second / by_signature.per_second;
        print(&format!("{connections:>5}  {}  {}  {ratio:>5.2}  {beside}", cell(&by_signature), cell(&by_token)))?;
    }
    Ok(())
}

/// The OpenBao program of this machine.
fn program() -> Option<PathBuf> {
    let installed = || programs::bulla().ancestors().nth(2).map(|target| target.join("sdk/venv/bin/bao"));
    std::env::var_os("BAO").map(PathBuf::from).or_else(installed).filter(|program| program.exists())
}

/// Starts OpenBao, initialises and unseals it, and mounts a KV store.
fn start(program: &Path, folder: &Path) -> Result<Program, Failure> {
    let data = folder.join("raft");
    std::fs::create_dir_all(&data)?;
    let [address, cluster] = [programs::free_address()?, programs::free_address()?];
    let config = json!({
        "storage": { "raft": { "path": data, "node_id": "bench" } },
        "listener": { "tcp": { "address": address, "tls_disable": true } },
        "audit": [{ "type": "file", "path": "bench", "options": { "file_path": folder.join("audit.log") } }],
        "api_addr": format!("http://{address}"),
        "cluster_addr": format!("https://{cluster}"),
    });
    let path = folder.join("openbao.json");
    std::fs::write(&path, config.to_string())?;
    let mut command = bound_to_this_process(program);
    let log = File::create(folder.join("openbao.log"))?;
    command.arg("server").arg("-config").arg(&path).stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
    let mut openbao = Program::OpenBao { child: spawn(command)?, address, token: String::new() };
    let client = Client::new(openbao.address(), "", "");
    let made = ask(&client, "", "PUT", "sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 }))?;
    let root = made["root_token"].as_str().ok_or("no root token")?.to_owned();
    ask(&client, "", "PUT", "sys/unseal", &json!({ "key": made["keys"][0] }))?;
    ask(&client, &root, "POST", "sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }))?;
    ask(&client, &root, "POST", "secret/data/first", &json!({ "data": { "a": "b" } }))?;
    if let Program::OpenBao { token, .. } = &mut openbao {
        *token = root;
    }
    Ok(openbao)
}

/// Asks until the answer is a success.
fn ask(client: &Client, token: &str, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
    let bytes = request(&client.endpoint, token, method, path, &body.to_string());
    let until = Instant::now() + PATIENCE;
    loop {
        match client.send_raw(&bytes) {
            Ok(answer) if answer.status < 300 => return Ok(answer.json),
            answer if Instant::now() > until => return Err(format!("{method} {path}: {answer:?}").into()),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

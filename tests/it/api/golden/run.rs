//! Runs a transcript against the server: once with answers in JSON, once in XML, each in an account of its own.
//!
//! Beside the answers it looks at what a stranger gets, a user of the account without any policy: for the first request that
//! succeeds, the refusal, and byte for byte the same refusal where nothing of that name exists.

use bulla::app::Base;
use bulla::base::clock::Clock;
use bulla::base::ids::{AccountId, UserId};
use bulla::base::secret::AccessKeySecret;
use bulla::config::Config;
use bulla::store::{Abort, AccessKeyRow, AccountRow, StoreError, UserRow};
use bulla_test_support::client::{Answer, Client};
use bulla_test_support::server::Server;

use super::coverage::NEEDS_NO_PERMISSION;
use super::layout;
use super::text::{Names, field_of};
use super::transcript::{Block, Format, Recorded, Transcript};

/// What a run found.
pub struct Outcome {
    /// The transcript with the answers of this run.
    pub transcript: Transcript,
    /// What is wrong beside the answers.
    pub problems: Vec<String>,
}

/// An account for one transcript in one format, with a user without any policy.
pub struct Account {
    root: Client,
    stranger: Client,
    names: Names,
}

/// Makes accounts, by the same steps as the administrator's commands but in this process: there are hundreds to make.
pub struct Maker<'s> {
    server: &'s Server,
    base: Base,
}

impl<'s> Maker<'s> {
    /// Opens the server's token and database. SoftHSM bears no second process that logs in while a key is made, so this must be
    /// dropped before requests are sent.
    pub fn new(server: &'s Server) -> Self {
        let config = Config::load(&server.data().join("bulla.toml")).expect("written by dev");
        Self { server, base: Base::open(&config).expect("it serves") }
    }

    /// Makes an account.
    pub fn account(&self, name: &str) -> Account {
        let now = Clock::System.now();
        let account = AccountRow { id: AccountId::random(), name: name.to_owned(), enabled: true, created_at: now };
        let user = UserRow {
            id: UserId::new(),
            account_id: account.id.clone(),
            name: "stranger".parse().expect("a name"),
            enabled: true,
            created_at: now,
        };
        let issue =
            |user| bulla::auth::access_key::issue(&self.base.sys(), &account.id, user, now).expect("the token is there");
        let (root, stranger) = (issue(None), issue(Some(user.id)));
        let stored = self.base.store.write("account", |tx| {
            tx.account_insert(&account)?;
            tx.user_insert(&user)?;
            tx.access_key_insert(&root.0)?;
            Ok::<_, Abort<StoreError>>(tx.access_key_insert(&stranger.0)?)
        });
        stored.expect("the database is there");
        let client = |(key, secret): &(AccessKeyRow, AccessKeySecret)| {
            self.server.client_as(key.id.as_str(), &String::from_utf8_lossy(secret.expose()))
        };
        let mut names = Names::default();
        names.set("account", account.id.as_str());
        Account { root: client(&root), stranger: client(&stranger), names }
    }
}

impl Account {
    /// Its root, and what its transcript may name.
    pub fn into_parts(self) -> (Client, Names) {
        (self.root, self.names)
    }

    /// Its root, and a user without any policy.
    pub fn into_clients(self) -> (Client, Client) {
        (self.root, self.stranger)
    }

    /// Its id.
    pub fn id(&self) -> String {
        self.names.fill("{account}")
    }

    /// Sends a request and keeps what is to be kept of its answer.
    fn ask(&mut self, block: &Block, format: Format) -> Result<(u16, String), String> {
        let client = if block.by_stranger { &self.stranger } else { &self.root };
        let answer = send(client, &self.names, block, format);
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        for (name, field) in &block.kept {
            let value = field_of(&body, field).ok_or(format!("{}: no {field} in {body}", block.title()))?;
            self.names.set(name, value);
        }
        Ok((answer.status, body))
    }
}

/// Runs all of it, in JSON in the first account, in XML in the second; in `nowhere` there is nothing.
pub fn run(accounts: &mut [Account; 2], nowhere: &Account, mut transcript: Transcript) -> Outcome {
    let mut problems = Vec::new();
    for (format, account) in [Format::Json, Format::Xml].into_iter().zip(accounts) {
        problems.extend(in_format(account, nowhere, &mut transcript, format).err());
    }
    Outcome { transcript, problems }
}

fn in_format(account: &mut Account, nowhere: &Account, transcript: &mut Transcript, format: Format) -> Result<(), String> {
    let mut refusal_seen = format == Format::Xml;
    let mut first_refusal = None;
    for block in &mut transcript.blocks {
        if !block.is_case {
            let (status, body) = account.ask(block, Format::Json)?;
            if status != 200 {
                return Err(format!("{}: {status} {body}", block.title()));
            }
            continue;
        }
        // The refusal is asked for before the request itself, which may end what it is about.
        let refusal = if refusal_seen { None } else { Some(refused(account, nowhere, block)) };
        let (status, body) = account.ask(block, format)?;
        match refusal {
            Some(refusal) if status == 200 => {
                refusal?;
                refusal_seen = true;
            }
            Some(refusal) => {
                first_refusal.get_or_insert(refusal);
            }
            None => {}
        }
        let body = account.names.hide(&body, &transcript.random);
        let body = if format == Format::Json { layout::json(&body) } else { layout::xml(&body) };
        block.answers[format as usize] = Some(Recorded { status, body });
    }
    // Of an operation that never succeeds, the first case.
    if refusal_seen { Ok(()) } else { first_refusal.unwrap_or(Ok(())) }
}

/// Whether the operation refuses a stranger, and does not say whether what it is about exists.
fn refused(account: &Account, nowhere: &Account, block: &Block) -> Result<(), String> {
    if NEEDS_NO_PERMISSION.contains(&block.action.as_str()) {
        return Ok(());
    }
    let here = send(&account.stranger, &account.names, block, Format::Json);
    let elsewhere = send(&nowhere.stranger, &account.names, block, Format::Json);
    // But for the request and whose stranger it is.
    let seen = |answer: &Answer, account: &Account| {
        let body = String::from_utf8_lossy(&answer.body).replace(answer.text("RequestId"), "");
        (answer.status, body.replace(&account.id(), ""))
    };
    if (here.status, here.code()) != (403, "Forbidden.NoPermission") {
        return Err(format!("{}: a stranger gets {} {:?}", block.title(), here.status, here.json));
    }
    if seen(&here, account) != seen(&elsewhere, nowhere) {
        return Err(format!("{}: a stranger learns what exists: {:?}", block.title(), (here.json, elsewhere.json)));
    }
    Ok(())
}

fn send(client: &Client, names: &Names, block: &Block, format: Format) -> Answer {
    let parameters: Vec<_> = block.parameters.iter().map(|(name, value)| (name.as_str(), names.fill(value))).collect();
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // A request's line holds 65,000 bytes; a value goes into the body, as the SDKs send it.
    let request = client.request(&block.action, &parameters).in_body(&["SecretData"]);
    let request = if format == Format::Xml { request.xml() } else { request };
    request.send().unwrap_or_else(|e| panic!("no answer to {}: {e}", block.action))
}

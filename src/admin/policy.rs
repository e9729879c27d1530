//! `bulla policy`: policies, and who has them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::admin::{Session, present, unless_taken, user};
use crate::api::table;
use crate::app::Failure;
use crate::auth::policy::{self, MAX_DOCUMENT_BYTES, SYSTEM_POLICIES};
use crate::base::ids::{AccountId, PolicyName, UserName};
use crate::base::text;
use crate::cli::{Policy, Scope};
use crate::output::{Output, Row};
use crate::store::{Abort, AttachmentRow, PolicyRow, Tx};

/// Runs the command.
pub fn run(session: &Session, scope: &Scope, action: Policy) -> Result<Output, Failure> {
    let account = session.account(scope)?.id;
    match action {
        Policy::Create { name, document } => create(session, &account, name, &document),
        Policy::Show { name } => show(session, &account, &name),
        Policy::Update { name, document } => update(session, &account, &name, &document),
        Policy::List { user: None } => list(session, &account),
        Policy::List { user: Some(user) } => session.read(|tx| {
            let user = user::find(tx, &account, &user)?;
            Ok(Output::List(user::policies(tx, &user)?.iter().map(|(name, kind)| shown(name, kind)).collect()))
        }),
        Policy::Delete { name } => delete(session, &account, &name),
        Policy::Attach { name, user } => attach(session, &account, &name, &user),
        Policy::Detach { name, user } => detach(session, &account, &name, &user),
    }
}

/// The document of a file, and what of it deserves a warning.
fn read(file: &Path) -> Result<(String, Vec<String>), Failure> {
    let named = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let mut bytes = Vec::new();
    // A pipe is good enough, and may have no end.
    let longest = text::MARK.len() + MAX_DOCUMENT_BYTES;
    let read = File::open(file).and_then(|file| file.take(longest as u64 + 1).read_to_end(&mut bytes));
    read.map_err(Failure::of_file(file))?;
    if bytes.len() > longest {
        return Err(Failure::local(named(&format!("the document is longer than {MAX_DOCUMENT_BYTES} bytes"))));
    }
    let document = String::from_utf8(bytes).map_err(|_| Failure::local(named(&"it is not UTF-8")))?;
    let document = text::without_mark(&document).to_owned();
    let hint = "a document is {\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"kms:GetSecretValue\",\
                \"Resource\":\"acs:kms:*:*:secret/app/*\"}]}";
    let policy = policy::Policy::parse(&document).map_err(|e| Failure::local(named(&e)).hint(hint))?;
    let asked: Vec<(&str, &str)> = table::permissions().collect();
    Ok((document, policy.unmatched(&asked)))
}

fn own(name: &PolicyName) -> Result<(), Failure> {
    if policy::system_policy(name.as_str()).is_some() {
        let failure = Failure::conflict(format!("{name} is a system policy, which is part of the program"));
        return Err(failure.hint("give yours another name"));
    }
    Ok(())
}

fn create(session: &Session, account: &AccountId, name: PolicyName, file: &Path) -> Result<Output, Failure> {
    own(&name)?;
    let (document, warnings) = read(file)?;
    let row = PolicyRow { account_id: account.clone(), name, document, created_at: session.now() };
    session.change("CreatePolicy", row.name.as_str(), |tx| {
        let hint = "`bulla policy update` puts another document in its place";
        unless_taken(tx.policy_insert(&row), "a policy of this name", hint)
    })?;
    Ok(written(&row.name, warnings))
}

fn update(session: &Session, account: &AccountId, name: &PolicyName, file: &Path) -> Result<Output, Failure> {
    own(name)?;
    let (document, warnings) = read(file)?;
    session.change("UpdatePolicy", name.as_str(), |tx| {
        let old = tx.policy_by_name(account, name)?;
        let old = present(old, "policy", name, "bulla policy list")?;
        let new = PolicyRow { document: document.clone(), ..old.clone() };
        tx.policy_update(&old, &new)?;
        Ok(())
    })?;
    Ok(written(name, warnings))
}

fn written(name: &PolicyName, warnings: Vec<String>) -> Output {
    let mut row = shown(name.as_str(), "Custom");
    row.push(("Warnings", warnings.into()));
    Output::One(row)
}

fn show(session: &Session, account: &AccountId, name: &PolicyName) -> Result<Output, Failure> {
    session.read(|tx| {
        let system = SYSTEM_POLICIES.iter().find(|(known, _)| *known == name.as_str());
        let (kind, document, created) = match system {
            Some((_, document)) => ("System", (*document).to_owned(), None),
            None => {
                let row = tx.policy_by_name(account, name)?;
                let row = present(row, "policy", name, "bulla policy list")?;
                ("Custom", row.document, Some(row.created_at.to_string()))
            }
        };
        let mut users = Vec::new();
        for attachment in tx.attachments_of_policy(account, name, system.is_some())? {
            users.extend(tx.user_by_id(&attachment.user_id)?.map(|user| user.name.to_string()));
        }
        users.sort();
        let mut row = shown(name.as_str(), kind);
        row.extend(Output::row([
            ("CreateTime", created.into()),
            ("Users", users.into()),
            // In one line, so that it can be copied from a table too: between the members of JSON a line's end is a blank.
            ("Document", document.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().into()),
        ]));
        Ok(Output::One(row))
    })
}

fn list(session: &Session, account: &AccountId) -> Result<Output, Failure> {
    session.read(|tx| {
        let own = tx.policies_of(account)?;
        let own = own.iter().map(|p| shown(p.name.as_str(), "Custom"));
        Ok(Output::List(own.chain(SYSTEM_POLICIES.iter().map(|(name, _)| shown(name, "System"))).collect()))
    })
}

fn delete(session: &Session, account: &AccountId, name: &PolicyName) -> Result<Output, Failure> {
    own(name)?;
    session.change("DeletePolicy", name.as_str(), |tx| {
        let attachments = tx.attachments_of_policy(account, name, false)?;
        if !attachments.is_empty() {
            let reason = format!("policy \"{name}\" is attached to {} users", attachments.len());
            let hint = format!("`bulla policy show {name}` says to whom; `bulla policy update` changes it in place");
            return Err(Abort::App(Failure::conflict(reason).hint(hint)));
        }
        let deleted = tx.policy_delete(account, name)?;
        present(deleted.then_some(()), "policy", name, "bulla policy list")?;
        Ok(Output::One(shown(name.as_str(), "Custom")))
    })
}

fn attach(session: &Session, account: &AccountId, name: &PolicyName, user: &UserName) -> Result<Output, Failure> {
    session.change("AttachPolicy", &format!("{name} to {user}"), |tx| {
        let attachment = attachment(tx, account, name, user)?;
        if !attachment.system {
            let row = tx.policy_by_name(account, name)?;
            present(row, "policy", name, "bulla policy list")?;
        }
        let hint = "`bulla user show USER` says which policies a user has";
        unless_taken(tx.attachment_insert(&attachment), "this attachment", hint)?;
        Ok(Output::One(attached(name, user)))
    })
}

fn detach(session: &Session, account: &AccountId, name: &PolicyName, user: &UserName) -> Result<Output, Failure> {
    session.change("DetachPolicy", &format!("{name} from {user}"), |tx| {
        let attachment = attachment(tx, account, name, user)?;
        let deleted = tx.attachment_delete(&attachment)?;
        present(deleted.then_some(()), "attachment of policy", name, "bulla user show USER")?;
        Ok(Output::One(attached(name, user)))
    })
}

fn attachment(
    tx: &mut Tx<'_>,
    account: &AccountId,
    name: &PolicyName,
    user: &UserName,
) -> Result<AttachmentRow, Abort<Failure>> {
    Ok(AttachmentRow {
        user_id: user::find(tx, account, user)?.id,
        system: policy::system_policy(name.as_str()).is_some(),
        policy_name: name.clone(),
        account_id: account.clone(),
    })
}

fn shown(name: &str, kind: &str) -> Row {
    Output::row([("PolicyName", name.into()), ("PolicyType", kind.into())])
}

fn attached(name: &PolicyName, user: &UserName) -> Row {
    Output::row([("PolicyName", name.to_string().into()), ("UserName", user.to_string().into())])
}

//! `bulla access`: who may do what.
//!
//! The decision is the service's own: the caller is built as a signed request would build it, and asked the same question.

use crate::admin::{Session, present};
use crate::api::table;
use crate::app::Failure;
use crate::auth::{Caller, Principal, Supposed, policy};
use crate::base::clock::Timestamp;
use crate::base::failure::Class;
use crate::base::ids::AccountId;
use crate::cli::{Access, Question, Scope};
use crate::error::Error;
use crate::output::{Output, Row};
use crate::store::Abort;

/// Access points that are read at once.
const PAGE: i64 = 100;

/// Runs the command.
pub fn run(session: &Session, scope: &Scope, action: Access) -> Result<Output, Failure> {
    let account = session.account(scope)?.id;
    match action {
        Access::Simulate { user, access_point, question } => {
            let principal = match (user, access_point) {
                (Some(name), _) => Principal::User(name),
                (None, Some(name)) => Principal::AccessPoint(name),
                (None, None) => Principal::Root,
            };
            let asked = Asked::new(session, &account, &question)?;
            let row = asked.answer(session, &account, &principal)?;
            let list = match principal {
                Principal::AccessPoint(_) => "aliyun kms ListApplicationAccessPoints",
                _ => "bulla user list",
            };
            let row = present(row, "principal", &principal, list).map_err(left)?;
            Ok(Output::One(row))
        }
        Access::Who { question } => {
            let asked = Asked::new(session, &account, &question)?;
            let mut allowed = Vec::new();
            for principal in principals(session, &account)? {
                let row = asked.answer(session, &account, &principal)?;
                allowed.extend(row.filter(|row| row.iter().any(|(name, value)| *name == "Allowed" && *value == true)));
            }
            Ok(Output::List(allowed))
        }
    }
}

/// What a transaction was left for, without one.
fn left(abort: Abort<Failure>) -> Failure {
    match abort {
        Abort::App(failure) => failure,
        Abort::Db(error) => error.into(),
    }
}

/// Root, users, access points.
fn principals(session: &Session, account: &AccountId) -> Result<Vec<Principal>, Failure> {
    session.read(|tx| {
        let mut all = vec![Principal::Root];
        all.extend(tx.users_of(account)?.into_iter().map(|user| Principal::User(user.name)));
        for page in 0.. {
            let points = tx.access_points_page(account, page * PAGE, PAGE)?;
            let more = !points.is_empty();
            all.extend(points.into_iter().map(|point| Principal::AccessPoint(point.name)));
            if !more {
                break;
            }
        }
        Ok(all)
    })
}

/// A question that was understood.
struct Asked<'a> {
    question: &'a Question,
    action: String,
    /// `secret/NAME`.
    relative: String,
    at: Timestamp,
}

impl<'a> Asked<'a> {
    fn new(session: &Session, account: &AccountId, question: &'a Question) -> Result<Self, Failure> {
        let wrong = |reason: String, hint: String| Failure::new(reason).class(Class::Usage).hint(hint);
        let name = question.action.split_once(':').map_or(question.action.as_str(), |(_, name)| name);
        let permissions = || table::permissions().map(|(_, permission)| permission);
        let of_operation: Vec<&str> =
            table::permissions().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, asked)| asked).collect();
        let itself = permissions().find(|known| known.eq_ignore_ascii_case(name));
        let name = match (itself, of_operation.as_slice()) {
            (Some(permission), _) => permission,
            (None, [permission]) => *permission,
            (None, []) => {
                let meant = policy::nearest(name, permissions()).map(|meant| format!("did you mean kms:{meant}?"));
                let hint = meant.unwrap_or_else(|| "docs/api.md lists the operations".to_owned());
                return Err(wrong(format!("no operation {}", question.action), hint));
            }
            (None, several) => {
                let hint = format!("ask for kms:{}", several.join(" or kms:"));
                return Err(wrong(format!("{} asks for more than one permission", question.action), hint));
            }
        };
        let relative = match question.resource.strip_prefix("acs:kms:") {
            None => question.resource.clone(),
            Some(rest) => {
                let home = format!("{}:{account}:", session.base.deployment.region);
                let relative = rest.strip_prefix(&home).ok_or_else(|| {
                    let hint = format!("ARNs here begin acs:kms:{home}");
                    wrong(format!("{} is of another region or account", question.resource), hint)
                })?;
                relative.to_owned()
            }
        };
        if relative != "*" && !relative.contains('/') && !["secret", "key", "alias"].contains(&relative.as_str()) {
            let hint = "secret/NAME, key/ID, alias/NAME, or the ARN of one";
            return Err(wrong(format!("{relative} is no resource"), hint.to_owned()));
        }
        let at = match question.at.as_deref() {
            None => session.now(),
            Some(text) => Timestamp::parse(text)
                .ok_or_else(|| wrong(format!("{text} is no time"), "for example 2026-11-28T04:10:00Z".to_owned()))?,
        };
        Ok(Self { question, action: format!("kms:{name}"), relative, at })
    }

    fn answer(&self, session: &Session, account: &AccountId, principal: &Principal) -> Result<Option<Row>, Failure> {
        let who = Supposed {
            account: account.clone(),
            principal: principal.clone(),
            region: session.base.deployment.region.clone(),
            source_ip: self.question.source_ip,
            secure: !self.question.plain_http,
            at: self.at,
        };
        let failed = |error: Error| match error {
            Error::Unavailable(what) => Failure::unavailable(what),
            other => Failure::new(format!("the policies cannot be read: {other:?}")),
        };
        let Some(caller) = Caller::supposed(&session.base.store, who).map_err(failed)? else { return Ok(None) };
        let (allowed, by) = match caller.authorise(&self.action, None, &self.relative) {
            Ok(by) => (true, Some(by)),
            Err(Error::NoPermission(denied)) => (false, denied.deny.map(|deny| deny.by)),
            Err(error) => return Err(failed(error)),
        };
        Ok(Some(Output::row([
            ("Principal", principal.to_string().into()),
            ("Action", self.action.as_str().into()),
            ("Resource", self.relative.as_str().into()),
            ("Allowed", allowed.into()),
            ("By", by.into()),
        ])))
    }
}

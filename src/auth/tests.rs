//! What credentials cost, and what a decision depends on: on a real token and database.

use std::borrow::Cow;
use std::time::Duration;

use super::*;
use crate::auth::bearer::NewToken;
use crate::auth::policy::Policy;
use crate::auth::principal::AttachedPolicy;
use crate::base::clock::Timestamp;
use crate::base::ids::{AccessKeyId, AccountId, DeploymentId, Home, KeyVersionId};
use crate::base::words::{Origin as MaterialOrigin, Suite};
use crate::error::RejectedState;
use crate::keys::admit_service;
use crate::keys::tests::{Bench, aes};
use crate::store::{AccountRow, BearerTokenRow, KeyRow, ResourcePolicyRow};
use crate::token::isolated::isolated;
use crate::token::softhsm;

/// Longer than credentials are believed without asking.
const A_WHILE: Duration = Duration::from_millis(510);

fn sys(bench: &Bench) -> SysKey {
    let id = KeyVersionId::new();
    bench.token.create(&id, aes()).expect("a key that wraps");
    SysKey { token: Arc::clone(&bench.token), id, suite: Suite::AesGcmCallerIv, deployment: DeploymentId::new() }
}

fn access_key(bench: &Bench, sys: &SysKey, account: &AccountId) -> AccessKeyId {
    let (row, _) = access_key::issue(sys, account, None, bench.now()).expect("the token wraps");
    bench.write(|tx| tx.access_key_insert(&row));
    row.id
}

fn unwraps(bench: &Bench) -> u64 {
    let operations = bench.token.status().operations;
    operations.into_iter().find(|(name, _)| *name == "unwrap").map_or(0, |(_, count)| count)
}

fn first_policy(bench: &Bench, account: &AccountId, resource: &str) {
    let (resource, document) = (resource.to_owned(), "{}".to_owned());
    let row = ResourcePolicyRow { account_id: account.clone(), resource, document, updated_at: bench.now() };
    bench.write(|tx| tx.resource_policy_put(&row));
}

#[test]
fn what_one_account_changes_costs_no_other_a_token_call() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let sys = sys(&bench);
        let other = AccountId::random();
        let row = AccountRow { id: other.clone(), name: "other".into(), enabled: true, created_at: Timestamp(0) };
        bench.write(|tx| tx.account_insert(&row));
        let (mine, theirs) = (access_key(&bench, &sys, &bench.account), access_key(&bench, &sys, &other));
        let credentials = Credentials::new(Arc::clone(&bench.store), sys);
        let find = |id| credentials.find(id).expect("database and token answer").expect("an access key");
        let guess = AccessKeyId::random();
        assert!(find(&mine).enabled && find(&theirs).enabled);
        assert!(credentials.find(&guess).expect("an answer").is_none());
        let before = unwraps(&bench);
        for n in 0..5 {
            let resource = format!("secret/{n}");
            first_policy(&bench, &other, &resource);
            let known = credentials.have_own_policy(&other).expect("the database answers");
            assert!(known.contains(&resource), "known at once where it was set");
            std::thread::sleep(A_WHILE);
            find(&mine);
        }
        assert_eq!(unwraps(&bench), before, "nothing of this account has changed");
        find(&theirs);
        assert_eq!(unwraps(&bench), before + 1);
        let changed = bench.store.read("test", |tx| Ok::<_, crate::store::Abort<Error>>(tx.access_key_by_id(&mine)?));
        let old = changed.expect("a read").expect("an access key");
        bench.write(|tx| tx.access_key_update(&old, &crate::store::AccessKeyRow { enabled: false, ..old.clone() }));
        assert!(!find(&mine).enabled, "what this process revokes it obeys at once");
    });
}

/// The row of a token may be older than what became of one above it.
#[test]
fn a_token_ends_with_the_first_of_those_above_it() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let sys = sys(&bench);
        let now = bench.now();
        let make = |parent: Option<&BearerTokenRow>, ttl_ms: i64| {
            let new = NewToken {
                account: bench.account.clone(),
                user: None,
                access_key: None,
                login: "auth/token/create".to_owned(),
                label: String::new(),
                parent: parent.and_then(BearerTokenRow::token),
                ttl_ms,
                max_at: now.plus_ms(10_000),
                renewable: true,
            };
            let (_, row) = bearer::make(&bench.store, &sys, new, now).expect("the token gives random numbers");
            bench.write(|tx| tx.bearer_token_insert(&row));
            row
        };
        let first = make(None, 5000);
        let middle = make(Some(&first), 7000);
        // Beside it in another part of the account's tokens, so that nothing but the link tells that it has changed.
        let last = std::iter::repeat_with(|| make(Some(&middle), 9000)).find(|row| row.digest[0] != first.digest[0]);
        let last = last.expect("one of many");
        let sys = SysKey { token: Arc::clone(&bench.token), id: sys.id, suite: sys.suite, deployment: sys.deployment };
        let credentials = Credentials::new(Arc::clone(&bench.store), sys);
        let end = |row: &BearerTokenRow| {
            let bearer = credentials.bearer(&row.token().expect("a digest")).expect("the database answers");
            bearer.map(|bearer| bearer.row.expires_at)
        };
        assert_eq!((end(&first), end(&middle), end(&last)), (Some(now.plus_ms(5000)), Some(now.plus_ms(5000)), end(&middle)));
        for ends in [6000, 1000, 8000] {
            let renewed = BearerTokenRow { expires_at: now.plus_ms(ends), ..first.clone() };
            bench.write(|tx| {
                let old = tx.bearer_token(&first.token().expect("a digest"))?.expect("a row");
                tx.bearer_token_update(&old, &renewed)
            });
            std::thread::sleep(A_WHILE);
            assert_eq!(end(&last), Some(now.plus_ms(ends.min(7000))), "the first ends after {ends}");
        }
        bench.write(|tx| tx.bearer_token_end(&first));
        assert_eq!(end(&last), None);
    });
}

#[test]
fn a_decision_that_is_remembered_is_of_one_region() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let mut caller = bench.caller();
        caller.principal = Principal::User("ann".parse().expect("a name"));
        let document = r#"{"Version":"1","Statement":[
            {"Effect":"Allow","Action":"kms:*","Resource":"*"},
            {"Effect":"Deny","Action":"kms:*","Resource":"acs:kms:cn-far:*:*"},
            {"Effect":"Deny","Action":"kms:Xyzzy","Resource":"*","Condition":{"StringEquals":{"kms:tag/a":"b"}}}]}"#;
        let policy = Cow::Owned(Policy::parse(document).expect("a policy"));
        caller.policies = Arc::new([AttachedPolicy { name: "p".parse().expect("a name"), policy }]);
        let home = |region: &str| Home { region: region.to_owned(), account: caller.account.as_str().to_owned() };
        let ask = |home: &Home| caller.authorise("kms:GetSecretValue", Some(home), "secret/a").is_ok();
        assert!(ask(&home("cn-test")));
        assert!(!ask(&home("cn-far")), "asked before for the other region");
        assert!(ask(&home("cn-test")));
    });
}

#[test]
fn the_service_does_not_use_material_that_has_expired() {
    isolated(softhsm::prepare, |home| {
        let bench = Bench::sqlite(home);
        let key = bench.make();
        let at = bench.now();
        let key = KeyRow { origin: MaterialOrigin::External, material_expires_at: Some(at), ..key };
        assert!(admit_service(&key.account_id, &key, at.plus_ms(-1)).is_ok());
        let refused = admit_service(&key.account_id, &key, at).map(drop);
        assert_eq!(refused, Err(Error::KeyState(RejectedState::PendingImport)), "before the sweep has come by");
    });
}

//! Rotations under a client that reads and logs in all the time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

#[test]
fn two_accounts_rotate_without_a_failed_login() {
    let managed = Managed::start();
    let server = managed.service(None);
    let client = server.client();
    create(&client, "db", "pg-1", &["a", "b"], &[]).ok();
    let (logins, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let passwords = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let client = server.client();
            let mut seen = std::collections::HashSet::new();
            while !over.load(Ordering::Acquire) {
                let served = read(&client, "db");
                assert!(managed.logs_in(&served), "{} does not log in", served.text("VersionId"));
                logins.fetch_add(1, Ordering::AcqRel);
                seen.insert(served.text("SecretData").to_owned());
            }
            seen
        });
        for n in 0..20 {
            rotate(&client, "db", &format!("r{n}")).ok();
            // What a client has read is good until the rotation after next; this one reads again before that.
            let now = logins.load(Ordering::Acquire);
            eventually("a login", || logins.load(Ordering::Acquire) >= now + 2 || reader.is_finished());
        }
        over.store(true, Ordering::Release);
        reader.join().expect("no failed login")
    });
    assert!(passwords.len() >= 20, "{} passwords in {} logins", passwords.len(), logins.into_inner());
    let listed = client.call("ListSecretVersionIds", &[("SecretName", "db"), ("IncludeDeprecated", "true")]).ok();
    assert_eq!(listed.json["TotalCount"], 10);
}

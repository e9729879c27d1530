//! Guarded writes: they meet constraints instead of looking, and what they do side by side adds up.

use super::*;
use crate::base::ids::RequestId;
use crate::store::engine::scope::part_of;

on_both!(
    a_name_that_is_taken_is_found,
    a_nonce_is_used_once,
    what_is_done_side_by_side_adds_up,
    a_closure_may_read_what_it_wrote,
    what_asks_nothing_is_one_statement,
    what_has_changed_meanwhile_is_noticed
);

#[derive(Debug, PartialEq)]
enum Refused {
    Taken(SecretName),
    Used,
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Refused::Store(error)
    }
}

fn nonce(number: u128) -> NonceRow {
    NonceRow { digest: number.to_be_bytes().to_vec(), request_id: RequestId::new(), node: NodeId::new(), expires_at: NOW }
}

/// What CreateSecret does.
fn make(on: &Store, nonce: &NonceRow, secret: &SecretRow, version: &VersionRow) -> Result<(), Refused> {
    on.write_guarded("make", |tx| {
        match tx.nonce_insert(nonce) {
            Err(StoreError::Conflict) => return Err(Abort::App(Refused::Used)),
            other => other?,
        }
        if !tx.asks_nothing() {
            tx.key_by_id(&secret.key_id)?.unwrap();
        }
        if let Some(there) = tx.secret_in_the_way(&secret.account_id, &secret.name)? {
            return Err(Abort::App(Refused::Taken(there.name)));
        }
        let label = stage(version, "ACSCurrent");
        tx.secret_insert_with(secret, version, &label)?;
        tx.version_insert(version)?;
        Ok(tx.stage_insert(&label)?)
    })
}

/// What PutSecretValue does.
fn add(on: &Store, secret: &SecretRow, key: &KeyRow, name: &str) -> Result<(), Refused> {
    on.write_guarded("add", |tx| {
        let secret = tx.secret_by_name(&secret.account_id, &secret.name)?.unwrap();
        let others = tx.versions_of(&secret.id)?;
        let number = others.iter().map(|head| head.number).max().unwrap_or(0) + 1;
        let version = VersionRow { number, ..version(&secret.id, &key.primary_version, name) };
        tx.version_insert(&version)?;
        for label in tx.stages_of(&secret.id)?.into_iter().filter(|label| label.stage.as_str() == "ACSCurrent") {
            tx.stage_update(&label, &stage(&version, "ACSCurrent"))?;
        }
        let surplus = others.iter().find(|head| others.len() > 3 && head.version_id.as_str().starts_with('a'));
        if let Some(surplus) = surplus {
            expect_changed(tx.version_delete(surplus)?, "secret_versions")?;
        }
        Ok(tx.secret_update(&secret, &SecretRow { updated_at: secret.updated_at.plus_ms(1), ..secret.clone() })?)
    })
}

fn a_name_that_is_taken_is_found(on: &Fixture) {
    let (account, key, secret, _) = on.with_secret();
    let twin = super::secret(&account.id, &key.id, secret.name.as_str());
    let first = version(&twin.id, &key.primary_version, "v1");
    assert_eq!(make(&on.store, &nonce(1), &twin, &first), Err(Refused::Taken(secret.name.clone())));
    assert_eq!(on.read(|tx| tx.secret_by_name(&account.id, &secret.name)).unwrap().id, secret.id);
    let other = super::secret(&account.id, &key.id, "another");
    let first = version(&other.id, &key.primary_version, "v1");
    assert_eq!(make(&on.store, &nonce(1), &other, &first), Ok(()), "a nonce of what was refused is good");
    assert_eq!(on.read(|tx| tx.stages_of(&other.id)).len(), 1);
}

fn a_nonce_is_used_once(on: &Fixture) {
    let (account, key, ..) = on.with_secret();
    for (number, expected) in [(1, Ok(())), (2, Err(Refused::Used))] {
        let secret = secret(&account.id, &key.id, &format!("n{number}"));
        let first = version(&secret.id, &key.primary_version, "v1");
        assert_eq!(make(&on.store, &nonce(7), &secret, &first), expected);
        assert_eq!(on.read(|tx| tx.secret_by_id(&secret.id)).is_some(), expected.is_ok());
    }
}

/// Two nodes, so that neither always knows how the digests stand.
fn what_is_done_side_by_side_adds_up(on: &Fixture) {
    const EACH: usize = 12;
    let (account, key, secret, _) = on.with_secret();
    let other = on.open(on.options()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let store = if thread % 2 == 0 { &on.store } else { &other };
            let (account, key, secret) = (&account, &key, &secret);
            scope.spawn(move || {
                for number in 0..EACH {
                    let made = super::secret(&account.id, &key.id, &format!("s{}", number * 10 + thread));
                    let first = version(&made.id, &key.primary_version, "v1");
                    let digest = nonce((thread * 1000 + number) as u128);
                    make(store, &digest, &made, &first).unwrap();
                    add(store, secret, key, &format!("a{thread}x{number}")).unwrap();
                    add(store, &made, key, "v2").unwrap();
                }
            });
        }
    });
    assert_eq!(on.read(|tx| tx.secrets_in_all(&account.id)), 6 * EACH as i64 + 1);
    let versions = on.read(|tx| tx.versions_of(&secret.id));
    assert_eq!(versions.iter().map(|head| head.number).max(), Some(6 * EACH as i64 + 1), "each was numbered after all others");
    let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
    assert!(proof.flaws.is_empty(), "{:?}", proof.flaws);
}

fn a_closure_may_read_what_it_wrote(on: &Fixture) {
    let (_, key, secret, _) = on.with_secret();
    let seen = on.store.write_guarded("test", |tx| {
        let held = tx.secret_by_id(&secret.id)?.unwrap();
        tx.version_insert(&version(&secret.id, &key.primary_version, "v2"))?;
        let seen = tx.versions_of(&secret.id)?.len();
        tx.secret_update(&held, &SecretRow { description: "new".to_owned(), ..held.clone() })?;
        let again = tx.secret_by_id(&secret.id)?.unwrap();
        Ok::<_, Abort<StoreError>>((seen, again.description))
    });
    assert_eq!(seen, Ok((2, "new".to_owned())));
}

/// On PostgreSQL, once this node has seen how the part of the secret stands.
fn what_asks_nothing_is_one_statement(on: &Fixture) {
    let (account, key, there, _) = on.with_secret();
    let such = |name: &str, fits: &dyn Fn(u8) -> bool| loop {
        let made = secret(&account.id, &key.id, name);
        if fits(part_of(&made.id)) {
            return made;
        }
    };
    // Of the part of the one that is there this node knows already.
    let first = such("first", &|part| part != part_of(&there.id));
    let in_part = |name: &str| such(name, &|part| part == part_of(&first.id));
    let alone = |store: &Store, digest: u128, secret: &SecretRow| {
        let ends = std::cell::RefCell::new(Vec::new());
        let done = store.write_guarded("make", |tx| {
            tx.nonce_insert(&nonce(digest))?;
            let version = version(&secret.id, &key.primary_version, "v1");
            let label = stage(&version, "ACSCurrent");
            tx.secret_insert_with(secret, &version, &label)?;
            tx.version_insert(&version)?;
            tx.stage_insert(&label)?;
            ends.borrow_mut().push(tx.asks_nothing());
            Ok::<_, Abort<StoreError>>(())
        });
        (done, ends.into_inner())
    };
    let postgres = !on.is_sqlite();
    // Nobody knows the part yet; then this node does.
    assert_eq!(alone(&on.store, 1, &first), (Ok(()), if postgres { vec![true, false] } else { vec![false] }));
    assert_eq!(alone(&on.store, 2, &in_part("second")), (Ok(()), vec![postgres]));
    // Another node changes it, so what this one knows is no longer so; for a while it asks again.
    let other = on.open(on.options()).unwrap();
    assert_eq!(alone(&other, 3, &in_part("third")).0, Ok(()));
    assert_eq!(alone(&on.store, 4, &in_part("fourth")), (Ok(()), if postgres { vec![true, false] } else { vec![false] }));
    assert_eq!(alone(&on.store, 5, &in_part("fifth")), (Ok(()), vec![false]));
    // What a constraint refuses has changed nothing.
    assert_eq!(alone(&other, 6, &in_part("sixth")).0, Ok(()));
    assert_eq!(alone(&other, 7, &in_part("sixth")).0, Err(StoreError::Conflict));
    assert_eq!(alone(&other, 6, &in_part("seventh")).0, Err(StoreError::Conflict));
    assert_eq!(alone(&other, 7, &in_part("eighth")).0, Ok(()));
    assert_eq!(on.read(|tx| tx.secrets_in_all(&account.id)), 8);
    let proof = on.store.prove(&on.options(), &mut |_, _| {}).unwrap();
    assert!(proof.flaws.is_empty(), "{:?}", proof.flaws);
}

/// By a write that was told what there is, and by one that asks.
fn what_has_changed_meanwhile_is_noticed(on: &Fixture) {
    let (account, key, secret, _) = on.with_secret();
    let now = |store: &Store| store.read_rows("test", |tx| tx.secret_by_name(&account.id, &secret.name)).unwrap().unwrap();
    let touch = |read: &SecretRow, description: &str| {
        let asked = std::cell::Cell::new(0);
        let same = on.store.write_guarded("touch", |tx| {
            asked.set(asked.get() + 1);
            if !tx.secret_is_still(read)? {
                return Ok::<_, Abort<StoreError>>(false);
            }
            tx.version_insert(&VersionRow { number: 2, ..version(&secret.id, &key.primary_version, description) })?;
            tx.secret_update(read, &SecretRow { description: description.to_owned(), ..read.clone() })?;
            Ok(true)
        });
        (same, asked.get())
    };
    let read = now(&on.store);
    assert_eq!(touch(&read, "v2").0, Ok(true));
    let (same, asked) = touch(&read, "v3");
    assert_eq!(same, Ok(false));
    assert!(asked == 1 || !on.is_sqlite(), "where the first attempt asks nothing, the second does");
    assert_eq!(touch(&read, "v4"), (Ok(false), 1), "and for a while the first");
    assert_eq!(now(&on.store).description, "v2");
    assert_eq!(on.read(|tx| tx.versions_of(&secret.id)).len(), 2);
}

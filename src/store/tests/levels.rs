//! A column more: what a release would add to a sealed table, with an old program and a new one on one database.

use diesel::prelude::*;

use super::*;
use crate::base::canonical::Canonical;
use crate::base::ids::KmsInstanceId;
use crate::store::engine::connection::per_backend;
use crate::store::engine::row_mac::Sealed;
use crate::store::engine::schema::secrets;
use crate::store::engine::scope::Counted;
use crate::store::engine::statements::{insert, one, replace};

diesel::table! {
    #[sql_name = "secrets"]
    next_secrets (account_id, name) {
        account_id -> Text,
        name -> Text,
        id -> Binary,
        secret_type -> Text,
        description -> Text,
        key_id -> Binary,
        user_key -> Bool,
        created_at -> BigInt,
        updated_at -> BigInt,
        delete_at -> Nullable<BigInt>,
        kms_instance -> Nullable<Text>,
        content -> Binary,
        mac -> Binary,
        note -> Text,
    }
}

/// A secret as the next release has it: with a note.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = next_secrets, treat_none_as_default_value = false, treat_none_as_null = true)]
#[diesel(primary_key(account_id, name))]
struct NextSecretRow {
    account_id: AccountId,
    name: SecretName,
    id: SecretId,
    secret_type: SecretType,
    description: String,
    key_id: KeyId,
    user_key: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    delete_at: Option<Timestamp>,
    kms_instance: Option<KmsInstanceId>,
    content: Content,
    note: String,
}

impl NextSecretRow {
    fn of(old: &SecretRow, note: &str) -> Self {
        let SecretRow { account_id, name, id, secret_type, description, key_id, kms_instance, content, .. } = old.clone();
        let SecretRow { user_key, created_at, updated_at, delete_at, .. } = *old;
        let note = note.to_owned();
        Self {
            account_id,
            name,
            id,
            secret_type,
            description,
            key_id,
            user_key,
            created_at,
            updated_at,
            delete_at,
            kms_instance,
            content,
            note,
        }
    }

    fn old(&self) -> SecretRow {
        let Self { account_id, name, id, secret_type, description, key_id, kms_instance, content, .. } = self.clone();
        let Self { user_key, created_at, updated_at, delete_at, .. } = *self;
        SecretRow {
            account_id,
            name,
            id,
            secret_type,
            description,
            key_id,
            user_key,
            created_at,
            updated_at,
            delete_at,
            kms_instance,
            content,
        }
    }
}

impl Sealed for NextSecretRow {
    const TABLE: &'static str = "secrets";

    fn name(&self) -> String {
        self.old().name()
    }

    fn fields(&self, layout: Level, row: Canonical) -> Canonical {
        let row = self.old().fields(Level(1), row);
        if layout >= Level(2) { row.text(&self.note) } else { row }
    }

    fn fits(&self, layout: Level) -> bool {
        layout >= Level(2) || self.note.is_empty()
    }

    fn counted(&self) -> Counted {
        Counted::Part(self.id)
    }
}

/// The methods of the next release.
impl Tx<'_> {
    fn next_insert(&mut self, row: &NextSecretRow) -> Result<(), StoreError> {
        insert!(self, next_secrets, row)
    }

    fn next_by_name(&mut self, account: &AccountId, name: &SecretName) -> Result<Option<NextSecretRow>, StoreError> {
        let query = next_secrets::table.find((account, name));
        one!(self, next_secrets: NextSecretRow, query, |row| row.account_id == *account && row.name == *name)
    }

    fn next_update(&mut self, old: &NextSecretRow, new: &NextSecretRow) -> Result<(), StoreError> {
        expect_changed(replace!(self, next_secrets, old => new, next_secrets::id.eq(&old.id))?, "secrets")
    }
}

fn in_store<T>(store: &Store, f: impl Fn(&mut Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
    store.write("test", |tx| f(tx).map_err(Abort::Db))
}

fn a_column_more(on: Fixture) {
    let (account, key, first, _) = on.with_secret();
    let old = &on.store;
    // The new release comes: first its migration, which an old program bears, then a node.
    migrate::run_at(&on.url, up_to(2)).unwrap();
    let next = || on.open(StoreOptions { levels: up_to(2), ..options(&on.url) });
    let new = next().unwrap();
    let (old_node, new_node) = (NodeId::new(), NodeId::new());
    old.node_lives(old_node, NOW).unwrap();
    new.node_lives(new_node, NOW).unwrap();
    let levels = |tx: &mut Tx<'_>| Ok(tx.nodes()?.iter().map(|node| (node.id, node.levels())).collect::<Vec<_>>());
    let mut serving = in_store(&new, levels).unwrap();
    serving.sort_by_key(|(_, levels)| levels.highest);
    assert_eq!(serving, [(old_node, up_to(1)), (new_node, up_to(2))]);

    // Each reads what the other writes, and changes it; the old one after a restart too.
    let restarted = on.open(on.options()).unwrap();
    for (n, old) in [old, &restarted].into_iter().enumerate() {
        let made = NextSecretRow::of(&secret(&account.id, &key.id, &format!("app/new{n}")), "");
        in_store(&new, |tx| tx.next_insert(&made)).unwrap();
        let read = in_store(old, |tx| tx.secret_by_name(&account.id, &made.name)).unwrap().unwrap();
        assert_eq!(read, made.old());
        let changed = SecretRow { description: "by the old one".into(), ..read.clone() };
        in_store(old, |tx| tx.secret_update(&read, &changed)).unwrap();
        let read = in_store(&new, |tx| tx.next_by_name(&account.id, &made.name)).unwrap().unwrap();
        assert_eq!(read, NextSecretRow::of(&changed, ""));
        let changed = NextSecretRow { description: "by the new one".into(), ..read.clone() };
        in_store(&new, |tx| tx.next_update(&read, &changed)).unwrap();
        assert_eq!(in_store(old, |tx| tx.secret_by_name(&account.id, &made.name)).unwrap(), Some(changed.old()));
    }
    let count: i64 = secrets::table.count().get_result(&mut on.intruder()).unwrap();
    assert_eq!(count, 3);

    // The level is raised, and the new node takes it over.
    in_store(&new, |tx| tx.deployment_raise(Level(2))).unwrap();
    new.node_lives(new_node, NOW).unwrap();
    assert_eq!(new.seals.level(), Level(2));
    let old_row = NextSecretRow::of(&first, "");
    assert_eq!(
        in_store(&new, |tx| tx.next_by_name(&account.id, &first.name)).unwrap(),
        Some(old_row.clone()),
        "old rows verify"
    );
    let noted = NextSecretRow { note: "new".into(), ..old_row.clone() };
    in_store(&new, |tx| tx.next_update(&old_row, &noted)).unwrap();
    assert_eq!(in_store(&new, |tx| tx.next_by_name(&account.id, &first.name)).unwrap(), Some(noted));

    // The new column is bound in rows of the new layout, and must be what its migration gave it in those of the old.
    for (name, note) in [("app/db", "''"), ("app/new0", "'x'")] {
        on.intruder().batch_execute(&format!("UPDATE secrets SET note = {note} WHERE name = '{name}'")).unwrap();
        let read = in_store(&new, |tx| tx.next_by_name(&account.id, &name.parse().unwrap()));
        assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{name}: {read:?}");
    }

    // The old program says why it does not go on, and what to do.
    let refused = [on.open(on.options()).map(drop), old.node_lives(old_node, NOW)];
    for refused in refused {
        let Err(StoreError::Fault(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("at level 2") && why.contains("run a program that serves level 2"), "{why}");
    }
    next().unwrap();
}

#[test]
fn a_column_more_on_sqlite() {
    a_column_more(Fixture::sqlite(1));
}

#[test]
fn a_column_more_on_postgres() {
    a_column_more(Fixture::postgres(1));
}

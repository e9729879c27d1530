//! What the service itself has done to the database before the random writer comes, and what is then asked of it.

use super::*;
use crate::base::ids::PolicyName;

pub(super) type Ask = Box<dyn Fn(&mut Tx<'_>) -> Result<String, StoreError>>;

/// What is asked, whether an answer that there is no such thing gains nothing, and the secret that it is about.
pub(super) struct Question {
    pub(super) ask: Ask,
    pub(super) absent: bool,
    pub(super) secret: Option<SecretId>,
    pub(super) truth: String,
}

pub(super) struct World {
    pub(super) questions: Vec<Question>,
    pub(super) writes: Vec<Written>,
    pub(super) snapshots: i64,
}

pub(super) type Write = Box<dyn Fn(&mut Tx<'_>) -> Result<(), StoreError>>;

/// What the service writes, and the question that tells whether it has.
pub(super) struct Written {
    pub(super) write: Write,
    pub(super) ask: Ask,
    /// The secret that it is about.
    pub(super) secret: Option<SecretId>,
}

/// A history of the service's own, and a copy of every table after each step of it.
pub(super) fn history(on: &Fixture) -> World {
    let (account, key, first, v1) = on.with_secret();
    let second_key = super::key(&account.id);
    let (ann, bob) = (user(&account.id, "ann"), user(&account.id, "bob"));
    let access_keys = [&ann, &ann, &bob].map(|user| access_key(&account.id, Some(user.id)));
    let policy = |name: &str| PolicyRow {
        account_id: account.id.clone(),
        name: name.parse::<PolicyName>().unwrap(),
        document: format!("{{\"{name}\":1}}"),
        created_at: NOW,
    };
    let (allow, deny) = (policy("allow"), policy("deny"));
    let attached = |user: &UserRow, policy: &PolicyRow| AttachmentRow {
        user_id: user.id,
        system: false,
        policy_name: policy.name.clone(),
        account_id: account.id.clone(),
    };
    let of_resource = |document: &str| ResourcePolicyRow {
        account_id: account.id.clone(),
        resource: "secret/app/db".to_owned(),
        document: document.to_owned(),
        updated_at: NOW,
    };
    let alias = |key: &KeyRow| AliasRow {
        account_id: account.id.clone(),
        name: "alias/a".parse().unwrap(),
        key_id: key.id,
        created_at: NOW,
    };
    let others: Vec<SecretRow> = ["b", "c", "d"].iter().map(|name| secret(&account.id, &key.id, name)).collect();
    let later = |n: i64, name: &str, of: &SecretRow| VersionRow {
        created_at: NOW.plus_ms(n),
        ..version(&of.id, &key.primary_version, name)
    };
    let (v2, v3) = (later(2, "v2", &first), later(3, "v3", &first));
    let mut snapshots = 0;
    let mut kept = |f: &dyn Fn(&mut Tx<'_>) -> Result<(), StoreError>| {
        on.write(f);
        let mut conn = on.intruder();
        for (table, _) in tables() {
            let copy =
                if snapshots == 0 { format!("CREATE TABLE kept_{table} AS") } else { format!("INSERT INTO kept_{table}") };
            conn.batch_execute(&format!("{copy} SELECT {snapshots} AS snap, t.* FROM {table} AS t")).unwrap();
        }
        snapshots += 1;
    };
    let touch = |tx: &mut Tx<'_>, of: &SecretRow, n: i64| {
        let old = tx.secret_by_id(&of.id)?.unwrap();
        tx.secret_update(&old, &SecretRow { updated_at: NOW.plus_ms(n), ..old.clone() })
    };
    kept(&|tx| {
        tx.key_insert(&second_key)?;
        tx.key_version_insert(&key_version(&second_key))?;
        tx.user_insert(&ann)?;
        tx.user_insert(&bob)?;
        access_keys.iter().try_for_each(|key| tx.access_key_insert(key))?;
        tx.policy_insert(&allow)?;
        tx.policy_insert(&deny)?;
        tx.attachment_insert(&attached(&ann, &allow))?;
        tx.attachment_insert(&attached(&bob, &allow))?;
        tx.alias_insert(&alias(&second_key))?;
        for row in &others {
            tx.secret_insert(row)?;
            let version = version(&row.id, &key.primary_version, "v1");
            tx.version_insert(&version)?;
            tx.stage_insert(&stage(&version, "ACSCurrent"))?;
        }
        Ok(())
    });
    let round = AccessRound::new(&account.id);
    let tokens = [1, 2].map(|first| BearerTokenRow { user_id: Some(ann.id), ..bearer_token(&account.id, first) });
    let (present, import) = (material(&second_key), parameters(&second_key.id));
    let (id, key_id, condemned_at) = (KeyVersionId::new(), second_key.id, NOW);
    let condemned = CondemnedRow { id, key_id, account_id: account.id.clone(), condemned_at };
    let rotating = |interval: i64| KeyRotationRow { key_id: second_key.id, interval_s: Some(interval), due_at: NOW };
    let managed = rotation(&others[2].id);
    let of_it =
        RotationAccountRow { instance: managed.instance.clone(), name: "app".parse().unwrap(), secret_id: managed.secret_id };
    kept(&|tx| {
        round.insert(tx)?;
        tokens.iter().try_for_each(|token| tx.bearer_token_insert(token))?;
        tx.key_rotation_put(&rotating(1))?;
        tx.key_material_insert(&present)?;
        tx.import_parameters_insert(&import)?;
        tx.condemn(&condemned)?;
        tx.default_key_insert(&account.id, &key.id)?;
        tx.rotation_account_insert(&of_it)?;
        tx.rotation_insert(&managed)
    });
    kept(&|tx| round.change(tx));
    kept(&|tx| {
        tx.bearer_token_update(&tokens[0], &BearerTokenRow { expires_at: NOW.plus_ms(2_000), ..tokens[0].clone() })?;
        tx.bearer_token_end(&tokens[1]).map(drop)
    });
    kept(&|tx| {
        tx.key_rotation_put(&rotating(2))?;
        tx.key_material_update_if(&present, &KeyMaterialRow { state: MaterialState::Removing, ..present.clone() })?;
        tx.import_parameters_update(&import, &ImportParametersRow { failures: 7, ..import.clone() })?;
        tx.condemned_delete(&condemned.id)?;
        tx.rotation_update(&managed, &RotationRow { interval_ms: Some(43_200_000), ..managed.clone() })
    });
    kept(&|tx| tx.attachment_insert(&attached(&ann, &deny)));
    kept(&|tx| {
        tx.version_insert(&v2)?;
        tx.stage_update(&stage(&v1, "ACSCurrent"), &stage(&v2, "ACSCurrent"))?;
        touch(tx, &first, 1)
    });
    kept(&|tx| tx.access_key_update(&access_keys[2], &AccessKeyRow { enabled: false, ..access_keys[2].clone() }));
    kept(&|tx| tx.access_key_delete(&access_keys[1].id).map(drop));
    kept(&|tx| tx.tag_put(&account.id, Tagged::Secret(others[0].id), "env", "prod"));
    kept(&|tx| tx.tag_put(&account.id, Tagged::Secret(others[0].id), "env", "test"));
    kept(&|tx| tx.key_update(&second_key, &KeyRow { state: KeyState::Disabled, ..second_key.clone() }));
    kept(&|tx| tx.resource_policy_put(&of_resource("{\"a\":1}")));
    kept(&|tx| tx.resource_policy_put(&of_resource("{\"b\":1}")));
    kept(&|tx| {
        let old = tx.secret_by_id(&others[1].id)?.unwrap();
        tx.secret_delete(&old).map(drop)
    });
    kept(&|tx| {
        tx.version_insert(&v3)?;
        tx.stage_update(&stage(&v2, "ACSCurrent"), &stage(&v3, "ACSCurrent"))?;
        tx.stage_delete(&stage(&v1, "blue"))?;
        tx.version_delete(&v1.head())?;
        touch(tx, &first, 2)
    });
    kept(&|tx| tx.user_update(&bob, &UserRow { enabled: false, ..bob.clone() }));
    kept(&|tx| {
        let old = tx.alias_by_name(&account.id, &"alias/a".parse().unwrap())?.unwrap();
        tx.alias_update(&old, &alias(&key))
    });
    kept(&|tx| touch(tx, &others[2], 9));

    let mut questions: Vec<Question> = Vec::new();
    let mut ask = |absent: bool, secret: Option<SecretId>, ask: Ask| {
        let truth = on.read(&ask);
        questions.push(Question { ask, absent, secret, truth });
    };
    let id = account.id.clone();
    ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.account_by_id(&id)?))));
    for key in &access_keys {
        let id = key.id.clone();
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.access_key_by_id(&id)?))));
    }
    for user in [&ann, &bob] {
        let (account, id) = (account.id.clone(), user.id);
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.user_by_id(&id)?))));
        let of = account.clone();
        ask(false, None, Box::new(move |tx| Ok(format!("{:?}", tx.attachments_of(&of, &id)?))));
        ask(false, None, Box::new(move |tx| Ok(format!("{:?}", tx.access_keys_of(&account, Some(&id))?))));
    }
    for policy in [&allow, &deny] {
        let (account, name) = (account.id.clone(), policy.name.clone());
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.policy_by_name(&account, &name)?))));
    }
    let id = account.id.clone();
    ask(false, None, Box::new(move |tx| Ok(format!("{:?}", tx.resource_policy(&id, "secret/app/db")?))));
    let id = account.id.clone();
    ask(false, None, Box::new(move |tx| Ok(format!("{:?}", tx.resources_with_policy(&id)?))));
    for key in [&key, &second_key] {
        let id = key.id;
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.key_by_id(&id)?))));
        ask(false, None, Box::new(move |tx| Ok(format!("{:?}", tx.key_versions_of(&id)?))));
    }
    let id = account.id.clone();
    ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.alias_by_name(&id, &"alias/a".parse().unwrap())?))));
    for row in others.iter().chain([&first]) {
        let (account, name, id) = (account.id.clone(), row.name.clone(), row.id);
        let (of, named) = (account.clone(), name.clone());
        ask(true, Some(id), Box::new(move |tx| Ok(format!("{:?}", tx.value_by_stage(&of, &named, &Stage::current())?))));
        for version in ["v1", "v2", "v3"] {
            let (account, name, version) = (account.clone(), name.clone(), version.parse::<VersionId>().unwrap());
            ask(true, Some(id), Box::new(move |tx| Ok(format!("{:?}", tx.value_by_version(&account, &name, &version)?))));
        }
        ask(false, Some(id), Box::new(move |tx| Ok(format!("{:?}", tx.stages_of(&id)?))));
        ask(false, Some(id), Box::new(move |tx| Ok(format!("{:?}", tx.versions_of(&id)?))));
        ask(false, Some(id), Box::new(move |tx| Ok(format!("{:?}", tx.tags_of(Tagged::Secret(id))?))));
    }
    round.ask(&mut ask);
    for token in &tokens {
        let digest = token.token().unwrap();
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.bearer_token(&digest)?))));
    }
    let (id, version, pair) = (second_key.id, present.key_version_id, import.id);
    ask(false, None, Box::new(move |tx| Ok(format!("{:?}", tx.key_rotation(&id)?))));
    ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.key_material_by_version(&version)?))));
    ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.import_parameters_by_id(&pair)?))));
    let due = |tx: &mut Tx<'_>| tx.condemned_until(NOW.plus_days(9), 10)?.into_iter().collect::<Result<Vec<_>, _>>();
    ask(false, None, Box::new(move |tx| Ok(format!("{:?}", due(tx)?))));
    let id = account.id.clone();
    ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.default_key(&id)?))));
    let id = managed.secret_id;
    ask(false, Some(id), Box::new(move |tx| Ok(format!("{:?}", tx.rotation_of(&id)?))));
    ask(false, Some(id), Box::new(move |tx| Ok(format!("{:?}", tx.rotation_accounts_of(&id)?))));
    let mut writes: Vec<Written> = Vec::new();
    let mut write = |write: Write, ask: Ask| writes.push(Written { write, ask, secret: None });
    let (old, id) = (ann.clone(), ann.id);
    write(
        Box::new(move |tx| tx.user_update(&old, &UserRow { enabled: false, ..old.clone() })),
        Box::new(move |tx| Ok(format!("{:?}", tx.user_by_id(&id)?))),
    );
    let (denied, of, id) = (attached(&bob, &deny), account.id.clone(), bob.id);
    write(
        Box::new(move |tx| tx.attachment_insert(&denied)),
        Box::new(move |tx| Ok(format!("{:?}", tx.attachments_of(&of, &id)?))),
    );
    let (old, id) = (access_keys[0].clone(), access_keys[0].id.clone());
    let asked = id.clone();
    write(
        Box::new(move |tx| tx.access_key_update(&old, &AccessKeyRow { enabled: false, ..old.clone() })),
        Box::new(move |tx| Ok(format!("{:?}", tx.access_key_by_id(&id)?))),
    );
    let gone = asked.clone();
    write(
        Box::new(move |tx| tx.access_key_delete(&gone).map(drop)),
        Box::new(move |tx| Ok(format!("{:?}", tx.access_key_by_id(&asked)?))),
    );
    let (policy, id) = (of_resource("{\"c\":1}"), account.id.clone());
    write(
        Box::new(move |tx| tx.resource_policy_put(&policy)),
        Box::new(move |tx| Ok(format!("{:?}", tx.resource_policy(&id, "secret/app/db")?))),
    );
    let id = first.id;
    write(
        Box::new(move |tx| {
            let label = tx.stage_by_name(&id, &Stage::current())?.unwrap();
            tx.stage_update(&label, &stage(&v2, "ACSCurrent"))
        }),
        Box::new(move |tx| Ok(format!("{:?}", tx.stages_of(&id)?))),
    );
    writes.last_mut().unwrap().secret = Some(id);
    World { questions, writes, snapshots }
}

/// An access point with what is round it.
struct AccessRound {
    rule: NetworkRuleRow,
    policy: AccessPolicyRow,
    point: AccessPointRow,
    keys: [ClientKeyRow; 2],
}

impl AccessRound {
    fn new(account: &AccountId) -> Self {
        let (account_id, description, created_at, list) = (account.clone(), String::new(), NOW, "[]".to_owned());
        let name = "a".parse::<crate::base::ids::AccessPointName>().unwrap();
        let key = || ClientKeyRow {
            id: AccessKeyId::of_client_key(),
            account_id: account.clone(),
            access_point: "a".parse().unwrap(),
            public_key: vec![1; 16],
            not_before: NOW,
            not_after: NOW.plus_days(1),
            created_at: NOW,
        };
        Self {
            rule: NetworkRuleRow {
                account_id: account_id.clone(),
                name: "r".parse().unwrap(),
                description: description.clone(),
                source_ips: list.clone(),
                created_at,
            },
            policy: AccessPolicyRow {
                account_id: account_id.clone(),
                name: "p".parse().unwrap(),
                description: description.clone(),
                kms_instance: String::new(),
                permissions: list.clone(),
                resources: list.clone(),
                network_rules: list.clone(),
                created_at,
            },
            point: AccessPointRow { account_id, name, description, policies: list, created_at },
            keys: [key(), key()],
        }
    }

    fn insert(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        tx.network_rule_insert(&self.rule)?;
        tx.access_policy_insert(&self.policy)?;
        tx.access_point_insert(&self.point)?;
        self.keys.iter().try_for_each(|key| tx.client_key_insert(key))
    }

    fn change(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let text = "[\"x\"]".to_owned();
        tx.network_rule_update(&self.rule, &NetworkRuleRow { source_ips: text.clone(), ..self.rule.clone() })?;
        tx.access_policy_update(&self.policy, &AccessPolicyRow { permissions: text.clone(), ..self.policy.clone() })?;
        tx.access_point_update(&self.point, &AccessPointRow { policies: text, ..self.point.clone() })?;
        tx.client_key_delete(&self.keys[1]).map(drop)
    }

    fn ask(&self, ask: &mut impl FnMut(bool, Option<SecretId>, Ask)) {
        let (id, name) = (self.rule.account_id.clone(), self.rule.name.clone());
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.network_rule_by_name(&id, &name)?))));
        let (id, name) = (self.policy.account_id.clone(), self.policy.name.clone());
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.access_policy_by_name(&id, &name)?))));
        let (id, name) = (self.point.account_id.clone(), self.point.name.clone());
        ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.access_point_by_name(&id, &name)?))));
        for key in &self.keys {
            let id = key.id.clone();
            ask(true, None, Box::new(move |tx| Ok(format!("{:?}", tx.client_key_by_id(&id)?))));
        }
    }
}

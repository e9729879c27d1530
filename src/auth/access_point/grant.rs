//! What the policies of an access point allow, said as RAM policies: so one evaluation decides for every kind of caller.
//!
//! Owns: which actions a permission template stands for. Must not know: how policies are evaluated. Called by: auth::credentials,
//! whenever a client key is looked up anew.

use std::borrow::Cow;

use serde_json::json;

use super::grammar::{AccessResource, SourceNet, from_text};
use crate::auth::policy::Policy;
use crate::auth::principal::AttachedPolicy;
use crate::base::ids::{AccessPolicyName, NetworkRuleName};
use crate::base::words::AccessPermission;
use crate::error::Error;
use crate::store::{Abort, AccessPointRow, AccessPolicyRow, Tx};

/// What CryptoServiceKeyUser may do with a key.
const KEY_ACTIONS: [&str; 11] = [
    "kms:Encrypt",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:AsymmetricEncrypt",
    "kms:AsymmetricDecrypt",
    "kms:AsymmetricSign",
    "kms:AsymmetricVerify",
    "kms:GetPublicKey",
    "kms:GenerateMac",
    "kms:VerifyMac",
];

/// What CryptoServiceSecretUser may do with a secret.
const SECRET_ACTIONS: [&str; 1] = ["kms:GetSecretValue"];

/// The policies of an access point. One that is gone or does not parse is an alarm: nothing deletes a policy in use.
pub(in crate::auth) fn grants(tx: &mut Tx<'_>, point: &AccessPointRow) -> Result<Vec<AttachedPolicy>, Abort<Error>> {
    let mut granted = Vec::new();
    for name in from_text::<AccessPolicyName>(&point.policies)? {
        let row = tx.access_policy_by_name(&point.account_id, &name)?.ok_or_else(|| gone("policy", name.as_str()))?;
        let networks = networks(tx, &row)?;
        if let Some(document) = document(&row, networks.as_deref())? {
            let broken = |_| Abort::App(Error::Integrity(format!("policy {name} of an access point has no meaning")));
            let policy = Cow::Owned(Policy::parse(&document).map_err(broken)?);
            let name = name.as_str().parse().map_err(|_| gone("policy", name.as_str()))?;
            granted.push(AttachedPolicy { name, policy });
        }
    }
    Ok(granted)
}

/// From where the policy holds; none is from everywhere.
fn networks(tx: &mut Tx<'_>, row: &AccessPolicyRow) -> Result<Option<Vec<SourceNet>>, Abort<Error>> {
    let rules = from_text::<NetworkRuleName>(&row.network_rules)?;
    if rules.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for name in rules {
        let rule = tx.network_rule_by_name(&row.account_id, &name)?.ok_or_else(|| gone("network rule", name.as_str()))?;
        all.extend(from_text::<SourceNet>(&rule.source_ips)?);
    }
    Ok(Some(all))
}

/// The policy as a document; none if it allows nothing.
fn document(row: &AccessPolicyRow, networks: Option<&[SourceNet]>) -> Result<Option<String>, Abort<Error>> {
    let permissions = from_text::<AccessPermission>(&row.permissions)?;
    let resources = from_text::<AccessResource>(&row.resources)?;
    let mut statements = Vec::new();
    for permission in permissions {
        let (actions, of_keys) = match permission {
            AccessPermission::KeyUser => (KEY_ACTIONS.as_slice(), true),
            AccessPermission::SecretUser => (SECRET_ACTIONS.as_slice(), false),
        };
        let arn = |resource: &AccessResource| format!("acs:kms:*:{}:{}", row.account_id, resource.as_str());
        let arns: Vec<String> = resources.iter().filter(|r| r.is_key() == of_keys).map(arn).collect();
        if arns.is_empty() {
            continue;
        }
        let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": arns });
        if let Some(networks) = networks {
            statement["Condition"] = json!({ "IpAddress": { "acs:SourceIp": networks } });
        }
        statements.push(statement);
    }
    // Rules without any address are met by nobody.
    let unmet = networks.is_some_and(<[SourceNet]>::is_empty);
    let document = json!({ "Version": "1", "Statement": statements });
    Ok((!unmet && !statements.is_empty()).then(|| document.to_string()))
}

fn gone(what: &str, name: &str) -> Abort<Error> {
    Abort::App(Error::Integrity(format!("{what} {name} is named by an access point and does not exist")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::table::in_group;

    /// Whoever adds a use of keys says here, or among the actions above, whether applications have it.
    #[test]
    fn access_points_grant_all_uses_of_keys_but_these() {
        let others = in_group("crypto").into_iter().filter(|(_, action)| !KEY_ACTIONS.contains(&action.as_str()));
        let others: Vec<&str> = others.map(|(name, _)| name).collect();
        assert_eq!(others, ["ExportDataKey", "GenerateAndExportDataKey", "ReEncrypt"]);
    }
}

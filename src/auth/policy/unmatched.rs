//! Actions and condition keys in a document that match nothing: an Allow that allows nothing, a Deny that denies nothing.
//!
//! Owns: which are worth a warning, and what was probably meant. Must not know: which operations are served. Called by: admin.

use super::Policy;
use super::condition::{Condition, KEYS};
use super::statement::Statement;

/// The service whose operations are served.
const SERVICE: &str = "kms:";

/// How alike two words are (Jaro-Winkler, 0 to 1) of which one is taken for the other, misspelt.
const ALIKE: f64 = 0.85;

impl Policy {
    /// What to warn of: each action of this service that matches nothing that is asked for, and in a statement about this service each key
    /// of a condition that no request has. `asked` has operations with their permissions. Actions of other services are none of ours.
    pub fn unmatched(&self, asked: &[(&str, &str)]) -> Vec<String> {
        let known: Vec<String> = asked.iter().map(|(_, permission)| format!("{SERVICE}{permission}")).collect();
        let mut warnings = Vec::new();
        for Statement { actions, conditions, .. } in &self.statements {
            let is_about_us = actions.iter().any(|action| known.iter().any(|name| action.matches_ignoring_case(name)));
            for key in conditions.iter().filter(|_| is_about_us).filter_map(Condition::unknown_key) {
                let meant = nearest(key, KEYS.into_iter()).map_or(String::new(), |name| format!("; did you mean {name}?"));
                warnings.push(format!("no request has the condition key {key}{meant}"));
            }
        }
        for pattern in self.statements.iter().flat_map(|Statement { actions, .. }| actions) {
            let text = pattern.to_string();
            let service = text.split_once(':').map_or("", |(service, _)| service);
            let ours = service == "kms" || strsim::jaro_winkler(service, "kms") > ALIKE;
            if ours && !service.contains(['*', '?']) && !known.iter().any(|name| pattern.matches_ignoring_case(name)) {
                // An operation that asks for something else than its name.
                let operation = asked.iter().find(|(name, _)| pattern.matches_ignoring_case(&format!("{SERVICE}{name}")));
                let meant = match operation {
                    Some((name, _)) => {
                        let its = asked.iter().filter(|(other, _)| other == name);
                        let its: Vec<String> = its.map(|(_, permission)| format!("{SERVICE}{permission}")).collect();
                        format!("; {name} asks for {}", its.join(" and "))
                    }
                    None => nearest(&text, known.iter().map(String::as_str))
                        .map_or(String::new(), |name| format!("; did you mean {name}?")),
                };
                warnings.push(format!("{text} matches no permission{meant}"));
            }
        }
        warnings.dedup();
        warnings
    }
}

/// The one of these words that was probably meant, whatever its case.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let scored = known.map(|name| (strsim::jaro_winkler(&word, &name.to_ascii_lowercase()), name));
    scored.filter(|(score, _)| *score > ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_actions_are_named_with_what_was_meant() {
        let warned = |action: &str| {
            let document = format!(r#"{{"Version":"1","Statement":[{{"Effect":"Deny","Action":"{action}","Resource":"*"}}]}}"#);
            Policy::parse(&document).expect("a document").unmatched(&[
                ("DeleteSecret", "DeleteSecret"),
                ("DestroySecretVersion", "DeleteSecret"),
                ("GetSecretValue", "GetSecretValue"),
                ("PutSecretValue", "PutSecretValue"),
                ("ReEncrypt", "ReEncryptFrom"),
                ("ReEncrypt", "ReEncryptTo"),
            ])
        };
        for good in [
            "*",
            "kms:*",
            "kms:Get*",
            "kms:getsecretvalue",
            "kms:?etSecretValue",
            "ecs:Nothing",
            "*:GetSecretValue",
            "kms:ReEncryptTo",
        ] {
            assert_eq!(warned(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(warned("kms:GetSecretValu"), ["kms:getsecretvalu matches no permission; did you mean kms:GetSecretValue?"]);
        assert_eq!(warned("km:DeleteSecret"), ["km:deletesecret matches no permission; did you mean kms:DeleteSecret?"]);
        let destroy = "kms:destroysecretversion matches no permission; DestroySecretVersion asks for kms:DeleteSecret";
        assert_eq!(warned("kms:DestroySecretVersion"), [destroy]);
        let both = "kms:reencrypt matches no permission; ReEncrypt asks for kms:ReEncryptFrom and kms:ReEncryptTo";
        assert_eq!(warned("kms:ReEncrypt"), [both]);
        assert_eq!(warned("kms:Xyzzy*"), ["kms:xyzzy* matches no permission"]);
    }

    #[test]
    fn condition_keys_that_no_request_has_are_named_too() {
        let warned = |action: &str, key: &str| {
            let document = format!(
                r#"{{"Version":"1","Statement":[{{"Effect":"Deny","Action":"{action}","Resource":"*",
                "Condition":{{"StringEquals":{{"{key}":"x"}}}}}}]}}"#
            );
            Policy::parse(&document).expect("a document").unmatched(&[("GetSecretValue", "GetSecretValue")])
        };
        for good in ["kms:tag/Project", "KMS:Tag/p", "kms:encryptionalgorithm"] {
            assert_eq!(warned("kms:*", good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(warned("ecs:*", "ecs:tag/x"), Vec::<String>::new());
        assert_eq!(
            warned("kms:*", "acs:SourceIpp"),
            ["no request has the condition key acs:SourceIpp; did you mean acs:SourceIp?"]
        );
        assert_eq!(warned("*", "foo:bar"), ["no request has the condition key foo:bar"]);
    }
}

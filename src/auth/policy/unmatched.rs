//! Actions in a document that match nothing: an Allow that allows nothing, a Deny that denies nothing.
//!
//! Owns: which are worth a warning, and what was probably meant. Must not know: which operations are served. Called by: admin.

use super::Policy;
use super::statement::Statement;

/// The service whose operations are served.
const SERVICE: &str = "kms:";

/// How alike two words are (Jaro-Winkler, 0 to 1) of which one is taken for the other, misspelt.
const ALIKE: f64 = 0.85;

impl Policy {
    /// What to warn of: each action of this service that matches none of its operations. Actions of other services are none of ours.
    pub fn unmatched(&self, operations: &[&str]) -> Vec<String> {
        let known: Vec<String> = operations.iter().map(|name| format!("{SERVICE}{name}")).collect();
        let mut warnings = Vec::new();
        for pattern in self.statements.iter().flat_map(|Statement { actions, .. }| actions) {
            let text = pattern.to_string();
            let service = text.split_once(':').map_or("", |(service, _)| service);
            let ours = service == "kms" || strsim::jaro_winkler(service, "kms") > ALIKE;
            if ours && !service.contains(['*', '?']) && !known.iter().any(|name| pattern.matches_ignoring_case(name)) {
                let meant = nearest(&text, known.iter().map(String::as_str));
                let meant = meant.map_or(String::new(), |name| format!("; did you mean {name}?"));
                warnings.push(format!("{text} matches no operation{meant}"));
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
            Policy::parse(&document).expect("a document").unmatched(&["GetSecretValue", "PutSecretValue", "DeleteSecret"])
        };
        for good in ["*", "kms:*", "kms:Get*", "kms:getsecretvalue", "kms:?etSecretValue", "ecs:Nothing", "*:GetSecretValue"] {
            assert_eq!(warned(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(warned("kms:GetSecretValu"), ["kms:getsecretvalu matches no operation; did you mean kms:GetSecretValue?"]);
        assert_eq!(warned("km:DeleteSecret"), ["km:deletesecret matches no operation; did you mean kms:DeleteSecret?"]);
        assert_eq!(warned("kms:Xyzzy*"), ["kms:xyzzy* matches no operation"]);
    }
}

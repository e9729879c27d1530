//! Holds the structure of src/: which module may use which, who may touch a secret's bytes, how long a file may be.
//!
//! A failure here is a question about the design, not about the test: change the tables below only together with the map in
//! src/lib.rs and docs/architecture.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules from the bottom up, and what each may use.
#[rustfmt::skip]
const ARROWS: &[(&str, &[&str])] = &[
    ("base",      &[]),
    ("envelope",  &["base"]),
    ("logging",   &[]),
    ("process",   &["logging"]),
    ("config",    &["base", "process", "logging"]),
    ("metrics",   &["base"]),
    ("audit",     &["base"]),
    ("token",     &["base"]),
    ("servers",   &["base"]), // what happens on the servers of others; nothing else connects to them
    ("store",     &["base"]), // never a secret in the clear
    ("error",     &["base", "audit", "token", "store"]),   // the From impls
    ("wire",      &["base", "error"]),
    ("auth",      &["base", "error", "wire", "token", "store"]),
    ("errand",    &["base", "error", "wire", "audit", "store", "auth"]),
    ("tags",      &["base", "error", "store"]),
    ("keys",      &["base", "error", "envelope", "token", "store", "auth", "errand", "tags"]),
    ("secrets",   &["base", "error", "envelope", "servers", "store", "auth", "errand", "tags", "keys"]), // never the token
    ("jobs",      &["base", "error", "store", "keys", "secrets"]),
    ("api",       &["base", "error", "audit", "wire", "auth", "store", "tags", "keys", "secrets"]),
    ("http",      &["base", "error", "metrics", "wire"]),
    ("app",       &["base", "error", "envelope", "logging", "process", "config", "metrics", "audit", "token", "servers",
                    "store", "wire", "auth", "errand", "keys", "secrets", "jobs", "api", "http"]),
    ("cli",       &["base"]),
    ("admin",     &["base", "error", "envelope", "logging", "config", "audit", "token", "store", "auth", "keys", "secrets", "api",
                    "app", "cli"]),
    ("main",      &["base", "process", "logging", "cli", "admin"]),
];

/// Libraries that only one part of the program may know, so that it can be replaced there.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("cryptoki", &["token"]),
    ("diesel", &["store", "servers"]), // servers: libpq, with TLS
    ("mysql", &["servers"]),
    ("diesel_migrations", &["store"]),
    ("r2d2", &["store"]),
    ("actix_web", &["http"]),
    ("actix_http", &["http"]),
    ("actix_server", &["http", "app"]),
    ("tokio_rustls", &["http"]),
    ("figment", &["config"]),
    ("clap", &["cli"]),
    ("p12_keystore", &["auth"]),
    ("rcgen", &["auth"]),
];

/// Where a secret's bytes leave their type (files and folders of src/), and what for.
const EXPOSING: &[(&str, &str)] = &[
    ("envelope.rs", "sealing and opening values"),
    ("token/", "the PIN, and data keys on their way to and from the token"),
    ("keys/blobs.rs", "a caller's plaintext on its way to the token"),
    ("keys/asymmetric.rs", "a caller's plaintext on its way under a public key"),
    ("keys/public.rs", "a data key on its way under a caller's public key"),
    ("wire/encode/", "SecretData and Plaintext in the answer"),
    ("wire/signature/", "the HMAC key of a request's signature"),
    ("auth/access_key.rs", "an access key's secret on its way under SYS"),
    ("auth/access_point/pkcs12.rs", "the password of a client key's file"),
    ("secrets/account.rs", "the JSON form of an account"),
    ("servers/", "passwords of accounts on their way to the servers"),
    ("api/fields.rs", "the length limit of SecretData"),
    ("api/crypto/fields.rs", "the length limits of Plaintext"),
    ("admin/", "a new access key's secret, shown once"),
];

/// Lines; a longer file answers more than one question.
const LONGEST_FILE: usize = 600;

struct Source {
    /// Below src/.
    path: PathBuf,
    /// Without its unit tests.
    text: String,
    lines: usize,
}

impl Source {
    /// The top module that it belongs to.
    fn module(&self) -> String {
        let first = self.path.iter().next().expect("a file has a name").to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    /// Lines of code, without those that are comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.starts_with("//"))
    }
}

/// The text with the lines of `mod tests { … }` left empty, so that line numbers stay.
fn without_tests(text: &str) -> String {
    let Some(start) = text.find("#[cfg(test)]\nmod tests {") else { return text.to_owned() };
    let end = text[start..].find("\n}\n").map_or(text.len(), |length| start + length + 3);
    let blank = "\n".repeat(text[start..end].matches('\n').count());
    format!("{}{blank}{}", &text[..start], &text[end..])
}

fn sources() -> Vec<Source> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).expect("src/ can be read") {
            let path = entry.expect("src/ can be read").path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let whole = fs::read_to_string(&path).expect("sources are UTF-8");
                let path = path.strip_prefix(root).expect("below it").to_owned();
                found.push(Source { path, text: without_tests(&whole), lines: whole.lines().count() });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 5, "src/ was not found");
    found
}

/// All but unit tests, which may use what they like.
fn code_files() -> Vec<Source> {
    let is_test = |p: &Path| p.iter().any(|part| part == "tests.rs" || part == "tests");
    sources().into_iter().filter(|s| !is_test(&s.path)).collect()
}

/// The words right after each `prefix::` in a line of code.
fn words_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in line.match_indices(prefix) {
        if line[..at].ends_with(is_word) || line[..at].ends_with("::") {
            continue; // the end of a longer word or path
        }
        let rest = &line[at + prefix.len()..];
        found.push(&rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())]);
    }
    found
}

fn allowed(module: &str) -> Option<Vec<&'static str>> {
    ARROWS.iter().find(|(m, _)| *m == module).map(|(_, names)| names.to_vec())
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut wrong = Vec::new();
    for source in code_files() {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let Some(allowed) = allowed(&module) else {
            wrong.push(format!("src/{}: module `{module}` is not in the table", source.path.display()));
            continue;
        };
        let prefix = if module == "main" { "bulla::" } else { "crate::" };
        for (number, line) in source.code() {
            for used in words_after(line, prefix) {
                let place = format!("src/{}:{number}", source.path.display());
                if used.is_empty() {
                    wrong.push(format!("{place}: one `use {prefix}MODULE` a line, so that this test can read it"));
                } else if used != module && !allowed.contains(&used) {
                    wrong.push(format!("{place}: `{module}` may not use `{used}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_arrows_go_down_only() {
    for (i, (module, uses)) in ARROWS.iter().enumerate() {
        for used in *uses {
            assert!(ARROWS[..i].iter().any(|(m, _)| m == used), "`{module}` uses `{used}`, which is not above it in the table");
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    let mut wrong = Vec::new();
    for source in code_files() {
        let module = source.module();
        for (library, at_home) in LIBRARIES {
            let uses = |line: &str| !words_after(line, &format!("{library}::")).is_empty();
            if let Some((number, _)) = source.code().find(|(_, l)| uses(l))
                && !at_home.contains(&module.as_str())
            {
                wrong.push(format!("src/{}:{number}: {library} belongs in {at_home:?}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn secrets_leave_their_types_only_where_they_must() {
    let mut wrong = Vec::new();
    for source in code_files().into_iter().filter(|s| s.path != Path::new("base/secret.rs")) {
        let path = source.path.to_string_lossy().into_owned();
        let known = EXPOSING.iter().any(|(place, _)| path.starts_with(place));
        for (number, _) in source.code().filter(|(_, l)| !known && (l.contains(".expose()") || l.contains("::expose"))) {
            wrong.push(format!("src/{path}:{number}"));
        }
    }
    assert!(wrong.is_empty(), "expose is called in places not known for it:\n{}", wrong.join("\n"));
}

#[test]
fn secret_types_cannot_be_copied_compared_or_printed() {
    let source = sources().into_iter().find(|s| s.path == Path::new("base/secret.rs")).expect("src/base/secret.rs");
    for (number, line) in source.code() {
        for name in ["Debug", "Clone", "Copy", "Serialize", "PartialEq", "Hash", "Default"] {
            let derived = line.starts_with("#[derive(") && line.contains(name);
            assert!(!derived, "src/base/secret.rs:{number}: derives {name}");
            let implemented = line.contains("impl") && line.contains(&format!("{name} for"));
            assert!(!implemented || name == "Debug", "src/base/secret.rs:{number}: implements {name}");
        }
    }
    let debug = source.text.matches("Debug for").count();
    assert_eq!(debug, 1, "src/base/secret.rs: the only Debug is the macro that prints a name");
}

#[test]
fn files_answer_one_question() {
    let long: BTreeMap<_, _> = sources().into_iter().filter(|s| s.lines > LONGEST_FILE).map(|s| (s.path, s.lines)).collect();
    assert!(long.is_empty(), "over {LONGEST_FILE} lines: {long:?}");
}

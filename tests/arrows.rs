//! Holds the structure of src/: which module may use which, that no two files lean on each other, who may touch a secret's bytes,
//! how long a file may be.
//!
//! The map stands in the documentation of src/lib.rs and nowhere else; this test reads it there. A failure is a question about the
//! design, not about the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The map: modules from the bottom up, and what each may use.
fn arrows() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("src/lib.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | ")).filter(|row| !row.starts_with("module |"));
    let mut found = Vec::new();
    for row in rows {
        let mut cells = row.split('|').map(str::trim);
        let (names, uses) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let names = words(names);
        let uses = words(uses);
        found.extend(names.into_iter().map(|name| (name, uses.clone())));
    }
    assert!(found.len() > 15, "the map in src/lib.rs was not found: {found:?}");
    found
}

/// The names of modules in a cell of the map.
fn words(cell: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    cell.split(|c: char| !is_name(c)).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// Libraries that only one part of the program may know, so that it can be replaced there.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("cryptoki", &["token"]),
    ("bulla_pkcs11", &["token"]),
    ("diesel", &["store", "servers"]), // servers: libpq, with TLS
    ("mysql", &["servers"]),
    ("diesel_migrations", &["store"]),
    ("r2d2", &["store"]),
    ("actix_web", &["http"]),
    ("actix_http", &["http"]),
    ("actix_server", &["http"]),
    ("tokio_rustls", &["http"]),
    ("bulla_client", &["remote", "admin", "logins"]), // admin: `bulla dev` and `bulla probe`; logins: the keys of issuers
    ("jsonwebtoken", &["logins"]),
    ("toml", &["remote"]),
    ("toml_edit", &["remote"]),
    ("yaml_rust2", &["remote"]),
    ("figment", &["config"]),
    ("rust_i18n", &["base", "lib"]), // lib: where its macros look for the texts
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("sd_notify", &["process"]),
    ("p12_keystore", &["auth"]),
    ("rcgen", &["auth", "admin"]),
];

/// Where a secret's bytes leave their type (files and folders of src/), and what for.
const EXPOSING: &[(&str, &str)] = &[
    ("envelope/", "sealing and opening values"),
    ("token/", "the PIN, and data keys on their way to and from the token"),
    ("keys/data_key_cache.rs", "copies of data keys, where the cache is on"),
    ("app/unlock.rs", "the PIN on its way over the local socket"),
    ("keys/blobs.rs", "a caller's plaintext on its way to the token"),
    ("keys/asymmetric.rs", "a caller's plaintext on its way under a public key"),
    ("keys/public.rs", "a data key on its way under a caller's public key"),
    ("auth/proof.rs", "the HMAC key of a request's signature"),
    ("auth/access_key.rs", "an access key's secret on its way under SYS"),
    ("auth/access_point/pkcs12.rs", "the password of a client key's file"),
    ("secrets/account.rs", "the JSON form of an account"),
    ("servers/", "passwords of accounts on their way to the servers"),
    ("api/fields.rs", "SecretData and Plaintext in the answer"),
    ("api/secrets/fields.rs", "the length limit of SecretData"),
    ("api/crypto/fields.rs", "the length limits of Plaintext"),
    ("auth/bearer.rs", "a bearer token on its way to its bearer"),
    ("secrets/numbered/", "a value that is made of another, and once more for each attempt"),
    ("dialects/vault/", "values and tokens in answers; the value that a patch changes"),
    ("admin/", "a new access key's secret, shown once"),
    ("remote/", "values on their way to standard output, a file, a program's environment, the server"),
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

#[test]
fn modules_use_only_what_the_map_says() {
    let arrows = arrows();
    let mut wrong = Vec::new();
    let mut used_arrows = BTreeSet::new();
    for source in code_files() {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = arrows.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("src/{}: module `{module}` is not on the map", source.path.display()));
            continue;
        };
        let prefix = if module == "main" { "bulla::" } else { "crate::" };
        for (number, line) in source.code() {
            for used in words_after(line, prefix) {
                let place = format!("src/{}:{number}", source.path.display());
                if used.is_empty() {
                    wrong.push(format!("{place}: one `use {prefix}MODULE` a line, so that this test can read it"));
                } else if used != module && !allowed.iter().any(|name| name == used) {
                    wrong.push(format!("{place}: `{module}` may not use `{used}`"));
                }
                used_arrows.insert((module.clone(), used.to_owned()));
            }
        }
    }
    for (module, uses) in &arrows {
        for used in uses {
            if !used_arrows.contains(&(module.clone(), used.clone())) {
                wrong.push(format!("the map: `{module}` does not use `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_arrows_go_down_only() {
    let arrows = arrows();
    for (i, (module, uses)) in arrows.iter().enumerate() {
        for used in uses {
            assert!(arrows[..i].iter().any(|(m, _)| m == used), "`{module}` uses `{used}`, which is not above it on the map");
        }
    }
}

/// Which file defines what a path names: the file of the deepest module on it, or, where that only hands the name on, the file from
/// which it does.
struct Files {
    /// By module path.
    files: BTreeMap<String, Source>,
}

impl Files {
    fn read() -> Self {
        let module = |path: &Path| {
            let name = path.with_extension("").to_string_lossy().replace('/', "::");
            name.strip_suffix("::mod").map_or(name.clone(), str::to_owned)
        };
        let files = code_files().into_iter().filter(|s| s.module() != "lib" && s.module() != "main");
        Self { files: files.map(|source| (module(&source.path), source)).collect() }
    }

    /// The module in which a name of this path is defined.
    fn home(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split("::").collect();
        let depth = (1..=parts.len()).rev().find(|n| self.files.contains_key(&parts[..*n].join("::")))?;
        let module = parts[..depth].join("::");
        let Some(item) = parts.get(depth) else { return Some(module) };
        let handed_on = self.uses(&module, true).into_iter().find(|(_, name)| name == item);
        match handed_on {
            Some((from, _)) if from != path => self.home(&from),
            _ => Some(module),
        }
    }

    /// What the `use` lines of a module name: the full path and the last word of each. Only those that hand on, or all.
    fn uses(&self, module: &str, handing_on: bool) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut lines = self.files[module].code().map(|(_, line)| line);
        while let Some(line) = lines.next() {
            let Some((before, first)) = line.split_once("use ") else { continue };
            let hands_on = before.starts_with("pub");
            if !(before.is_empty() || hands_on && !before.contains("fn ")) || handing_on && !hands_on {
                continue;
            }
            let mut statement = first.to_owned();
            while !statement.ends_with(';') {
                statement.push_str(lines.next().unwrap_or(";"));
            }
            let tree = statement.trim_end_matches(';').trim();
            for leaf in leaves(tree) {
                let full = match leaf.split_once("::") {
                    Some(("crate", rest)) => rest.to_owned(),
                    Some(("self", rest)) => format!("{module}::{rest}"),
                    Some(("super", rest)) => match module.rsplit_once("::") {
                        Some((parent, _)) => format!("{parent}::{rest}"),
                        None => rest.to_owned(),
                    },
                    Some((first, _)) if self.files.contains_key(&format!("{module}::{first}")) => format!("{module}::{leaf}"),
                    _ => continue,
                };
                let last = full.rsplit("::").next().unwrap_or_default().to_owned();
                found.push((full, last));
            }
        }
        found
    }
}

/// The paths of a `use` tree, without renames.
fn leaves(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return if path.is_empty() { Vec::new() } else { vec![path.to_owned()] };
    };
    let close = tree.rfind('}').unwrap_or(tree.len());
    let (prefix, inner) = (&tree[..open], &tree[open + 1..close]);
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    let nested = parts.iter().flat_map(|part| leaves(part.trim()));
    nested
        .map(|leaf| if leaf == "self" { prefix.trim_end_matches("::").to_owned() } else { format!("{prefix}{leaf}") })
        .collect()
}

#[test]
fn no_two_files_lean_on_each_other() {
    let files = Files::read();
    let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for module in files.files.keys() {
        let homes = files.uses(module, false).into_iter().filter_map(|(path, _)| files.home(&path));
        uses.insert(module, homes.filter(|home| !is_face(home, module) && !is_face(module, home)).collect());
    }
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 500, "the `use` lines were not read");
    // What nothing left points at, or what points at nothing left, is in no circle.
    loop {
        let open: Vec<&str> = uses.iter().filter(|(_, to)| to.is_empty()).map(|(from, _)| *from).collect();
        let targets: BTreeSet<String> = uses.values().flatten().cloned().collect();
        let unused: Vec<&str> = uses.keys().copied().filter(|from| !targets.contains(*from)).collect();
        if open.is_empty() && unused.is_empty() {
            break;
        }
        for module in open.iter().chain(&unused) {
            uses.remove(module);
        }
        for to in uses.values_mut() {
            to.retain(|module| !open.contains(&module.as_str()));
        }
    }
    assert!(uses.is_empty(), "circles among these files:\n{}", describe(&uses));
}

/// Whether a module is the face of a folder that the other is in: it hands on what is there, and what it defines is the folder's.
fn is_face(face: &str, other: &str) -> bool {
    other == face || other.starts_with(&format!("{face}::"))
}

fn describe(uses: &BTreeMap<&str, BTreeSet<String>>) -> String {
    uses.iter()
        .map(|(from, to)| format!("{from} uses {}\n", to.iter().map(String::as_str).collect::<Vec<_>>().join(", ")))
        .collect()
}

/// Below the doors a refusal points at a `Field`, in a sentence too: a text that names a parameter would tell callers of one protocol of
/// another's. The requests of `api` are those of the API, and read its names.
#[test]
fn texts_below_the_doors_name_no_parameter() {
    let list = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/base/field.rs")).expect("src/base/field.rs");
    let (_, list) = list.split_once("fields! {\n").expect("the list of fields");
    let names = list.lines().take_while(|line| *line != "}").map(|line| line.trim().trim_end_matches(','));
    // Those of one word, as Action, stand in texts of all kinds.
    let names: BTreeSet<&str> = names.filter(|name| name.chars().filter(char::is_ascii_uppercase).count() > 1).collect();
    assert!(names.len() > 30, "the list of fields: {names:?}");
    let below: Vec<String> = arrows().into_iter().map(|(name, _)| name).take_while(|name| name != "api").collect();
    let mut wrong = Vec::new();
    for source in code_files().into_iter().filter(|source| below.contains(&source.module())) {
        for (number, line) in source.code() {
            let texts = line.split('"').skip(1).step_by(2).filter(|text| text.contains(' '));
            let mut words = texts.flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
            if let Some(name) = words.find(|word| names.contains(word)) {
                wrong.push(format!("src/{}:{number}: {name}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "say it as a field (base::field::Why):\n{}", wrong.join("\n"));
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

/// Whoever follows a path from the documentation arrives.
#[test]
fn paths_in_the_documentation_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_docs = fs::read_dir(root.join("docs")).expect("docs/").map(|entry| entry.expect("readable").path());
    let pages = in_docs.chain(["README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md"].map(|name| root.join(name)));
    let mut lost = Vec::new();
    for page in pages.filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(&page).expect("text");
        for path in
            text.split('`').filter(|word| word.starts_with("src/") && word.ends_with(".rs") && !word.contains(['*', ' ']))
        {
            // GROUP and NAME stand for any.
            let is_pattern = path.split('/').any(|part| part.trim_end_matches(".rs").chars().all(|c| c.is_ascii_uppercase()));
            if !is_pattern && !root.join(path).exists() {
                lost.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(lost.is_empty(), "\n{}", lost.join("\n"));
}

/// Each step of a walk is one file.
#[test]
fn walks_name_a_file_for_each_step() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).expect("text");
    let steps: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| step ")).collect();
    let names_one = |step: &str| {
        let file = step.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        file.starts_with("`src/") && file.ends_with(".rs`") && file.matches('`').count() == 2
    };
    let others: Vec<_> = steps.iter().filter(|step| !names_one(step)).collect();
    assert!(steps.len() > 50 && others.is_empty(), "{} steps; not of one file: {others:#?}", steps.len());
}

//! The configuration file, and the environment over it.
//!
//! Owns: every setting, its default and its unit. Must not know: what is built from them. Read by app and admin, which pass plain values
//! on. Unknown keys are refused. Every key can come from the environment: `BULLA_`, then the path with `__` between its parts, e.g.
//! `BULLA_TOKEN__PIN_FILE`; a variable without `__` is none of ours, but for `BULLA_REGION`. Secrets are named by file, never given. A
//! path that does not begin with `/` begins in the folder of the configuration file, so that a folder can be moved and copied.

mod audit;
mod bounds;
mod client_keys;
mod database;
mod files;
mod rotation;
mod server;
mod token;
mod vault;

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use figment::value::{Dict, Value};
use serde::Deserialize;

pub use audit::Audit;
pub use bounds::{Keys, Limits, Quotas};
pub use client_keys::ClientKeys;
pub use database::Database;
pub use files::ConfigError;
use files::anchor;
pub use rotation::{Instance, Rotation};
pub use server::{Server, Tls};
pub use token::Token;
pub use vault::{CertificateLogin, JwtLogin, Vault};

use crate::base::ids::Region;
use crate::base::listen::Listen;
use crate::logging;

/// The longest wait that can be set, ms.
const A_DAY_MS: u64 = 86_400_000;

/// Everything that can be set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region that ARNs name and that this deployment answers as.
    pub region: Region,
    /// The API's listener.
    #[serde(default)]
    pub server: Server,
    /// The PKCS#11 token.
    pub token: Token,
    /// The database.
    pub database: Database,
    /// The audit files.
    pub audit: Audit,
    /// Bounds on callers.
    #[serde(default)]
    pub limits: Limits,
    /// Bounds on accounts.
    #[serde(default)]
    pub quotas: Quotas,
    /// Bounds on master keys.
    #[serde(default)]
    pub keys: Keys,
    /// The files that client keys leave in.
    #[serde(default)]
    pub client_keys: ClientKeys,
    /// The servers whose accounts are rotated.
    #[serde(default)]
    pub rotation: Rotation,
    /// The second door.
    #[serde(default)]
    pub vault: Vault,
    /// The log on standard error.
    #[serde(default)]
    pub log: logging::Options,
    /// Where it was read from.
    #[serde(skip)]
    pub file: PathBuf,
}

impl Config {
    /// Reads the file, and the environment over it.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown or missing, or a value has the wrong form.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let named = |e: &dyn std::fmt::Display| ConfigError(format!("{}: {e}", file.display()));
        if !file.exists() {
            return Err(ConfigError(format!("no configuration file {}", file.display())));
        }
        if !file.is_file() {
            return Err(named(&"it is no regular file; a configuration is read again at each SIGHUP"));
        }
        let whole = std::path::absolute(file).map_err(|e| named(&e))?;
        let figment = texts_of_environment(Figment::from(Toml::file_exact(file)).merge(environment()));
        if let Some(path) = figment.extract().ok().and_then(|all: Dict| empty_path(&all, "")) {
            return Err(files::blamed(file, &of_environment(), &format!("{path} is empty; leave it out where none is meant")));
        }
        let mut config: Self = figment.extract().map_err(|e| files::told(file, &figment, e))?;
        config.file.clone_from(&whole);
        config.anchor(whole.parent().unwrap_or(Path::new("/")));
        config.check().map_err(|ConfigError(why)| files::blamed(file, &of_environment(), &why))?;
        Ok(config)
    }

    /// The same, on another address.
    ///
    /// # Errors
    /// When the address is not loopback and plain HTTP is not allowed beyond.
    pub fn listening_on(mut self, listen: Listen) -> Result<Self, ConfigError> {
        self.server.listen = listen;
        self.check().map(|()| self)
    }

    /// What a server reads at its start alone, by name, each with a number that changes when it does.
    pub fn of_a_start(&self) -> [(&'static str, u64); 11] {
        // Of a text that may hold a password nothing else is kept.
        let of = |settings: &dyn Debug| {
            let mut hasher = DefaultHasher::new();
            format!("{settings:?}").hash(&mut hasher);
            hasher.finish()
        };
        [
            ("region", of(&self.region)),
            ("server", of(&self.server)),
            ("token", of(&self.token)),
            ("database", of(&self.database)),
            ("audit", of(&self.audit)),
            ("limits.nonces", of(&self.limits.nonces)),
            ("quotas", of(&self.quotas)),
            ("keys", of(&self.keys)),
            ("client_keys", of(&self.client_keys)),
            ("vault.enabled", of(&self.vault.enabled)),
            ("the mounts of vault", of(&(&self.vault.kv_mount, &self.vault.transit_mount))),
        ]
    }

    fn anchor(&mut self, folder: &Path) {
        self.server.tls.iter_mut().for_each(|tls| tls.anchor(folder));
        self.token.anchor(folder);
        self.database.anchor(folder);
        anchor(&mut self.audit.directory, folder);
        self.rotation.anchor(folder);
        self.vault.anchor(folder);
    }

    /// What cannot be less or more, with its value, the least and the most: what memory is set aside for, and what a clock can add up.
    fn bounds(&self) -> [(&'static str, u64, u64, u64); 16] {
        let Self { server, token, database, audit, limits, .. } = self;
        let of = |count: usize| count as u64;
        [
            ("server.threads", of(server.threads), 1, 10_000),
            ("server.max_concurrent", of(server.max_concurrent), 1, 1_000_000),
            ("server.max_connections", of(server.max_connections), 1, 10_000_000),
            ("server.max_body_bytes", of(server.max_body_bytes), 4_096, 1 << 30),
            ("server.head_timeout_ms", server.head_timeout_ms, 1, 60_000),
            ("server.body_timeout_ms", server.body_timeout_ms, 1, 60_000),
            ("server.keep_alive_ms", server.keep_alive_ms, 0, A_DAY_MS),
            ("server.answer_timeout_ms", server.answer_timeout_ms, 1, A_DAY_MS),
            ("server.stop_timeout_ms", server.stop_timeout_ms, 0, A_DAY_MS),
            ("token.sessions", of(token.sessions), 1, 10_000),
            ("token.session_wait_ms", token.session_wait_ms, 0, A_DAY_MS),
            ("database.connections", database.connections.into(), 1, 10_000),
            ("database.wait_ms", database.wait_ms, 1, A_DAY_MS),
            ("database.check_percent", database.check_percent.get().into(), 1, 100),
            ("audit.max_file_bytes", audit.max_file_bytes, 4_096, u64::MAX),
            ("limits.nonces", of(limits.nonces), 1, u64::MAX),
        ]
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        if self.token.label.is_none() && self.token.serial.is_none() {
            return wrong("token: name label or serial, or both where two tokens have one label".into());
        }
        if !(1..=60).contains(&self.keys.data_key_cache_seconds) || self.keys.data_key_cache_entries > 1_000_000 {
            return wrong("keys: data_key_cache_seconds is from 1 to 60, data_key_cache_entries at most 1000000".into());
        }
        let server = &self.server;
        if server.tls.is_none() && !server.listen.is_loopback() && !server.plain_http_beyond_loopback {
            return wrong(format!(
                "server.listen {} would be plain HTTP beyond loopback; set server.tls, or put a TLS proxy in front and set \
                 plain_http_beyond_loopback = true",
                server.listen
            ));
        }
        if let Some(tls) = &server.tls
            && tls.client_certificate_required == Some(true)
            && tls.client_ca_file.is_none()
        {
            return wrong(
                "server.tls.client_certificate_required = true needs server.tls.client_ca_file, the roots that clients' certificates \
                 must lead to: without it no client is asked for one"
                    .into(),
            );
        }
        if let Some(admin) = server.admin_listen.filter(|admin| !admin.is_loopback())
            && !server.admin_plain_http_beyond_loopback
            && !server.plain_http_beyond_loopback
        {
            return wrong(format!(
                "server.admin_listen {admin} would be plain HTTP beyond loopback, also with server.tls; where only probes and \
                 monitoring reach it, set admin_plain_http_beyond_loopback = true"
            ));
        }
        let Keys { rotate_after_uses: rotate, stop_after_uses: stop, quarantine_hours, .. } = self.keys;
        if quarantine_hours > 366 * 24 {
            return wrong("keys: quarantine_hours is at most a year, 8784".into());
        }
        if !(16..=1 << 30).contains(&rotate) || !(rotate + 1..=1 << 31).contains(&stop) {
            return wrong("keys: rotate_after_uses is from 16 to 2^30, stop_after_uses is more and at most 2^31".into());
        }
        for (name, value, least, most) in self.bounds() {
            if value < least {
                return wrong(format!("{name} is {value}, and {least} at least"));
            }
            if value > most {
                return wrong(format!("{name} is {value}, and {most} at most"));
            }
        }
        if self.database.url.is_some() == self.database.url_file.is_some() {
            return wrong("database: name url or url_file, one of them".into());
        }
        if server.admin_listen.is_some_and(|Listen(admin)| admin == server.listen.0 && admin.port() != 0) {
            return wrong("server.admin_listen is server.listen: without it all is on one address".into());
        }
        self.vault.check().map_err(ConfigError)?;
        if !self.vault.certificate.is_empty() && server.tls.as_ref().is_none_or(|tls| tls.client_ca_file.is_none()) {
            return wrong(
                "vault.certificate: set server.tls.client_ca_file, the roots that clients' certificates must lead to".into(),
            );
        }
        self.rotation.check()
    }
}

/// The settings in the environment: those with a section, and the region. Other programs have variables that begin `BULLA_` too,
/// so no other name is taken for a misspelt setting.
fn environment() -> Env {
    Env::prefixed("BULLA_").filter(|name| name == "region" || name.as_str().contains("__")).split("__")
}

/// Their paths.
fn of_environment() -> Vec<String> {
    environment().iter().map(|(name, _)| name.as_str().to_owned()).collect()
}

/// Whether a setting is a text whatever stands in it: a path, or what the vendor calls a token.
fn is_text(name: &str) -> bool {
    matches!(name, "label" | "serial" | "module" | "directory" | "unlock_socket")
        || name.ends_with("_file")
        || name.ends_with("_credential")
}

/// Texts of the environment as they stand there: a serial number of digits alone is no number.
fn texts_of_environment(figment: Figment) -> Figment {
    environment().iter().fold(figment, |figment, (name, value)| {
        let text = name.as_str().rsplit('.').next().is_some_and(is_text);
        let read_otherwise = !matches!(value.parse(), Ok(Value::String(..)));
        if text && read_otherwise { figment.merge((name.as_str().to_owned(), value)) } else { figment }
    })
}

/// The first path that is empty, which would be the folder of the file.
fn empty_path(all: &Dict, above: &str) -> Option<String> {
    let inside = |name: &str, value: &Value| match value {
        Value::String(_, text) => {
            (text.is_empty() && is_text(name.rsplit('.').next().unwrap_or_default())).then(|| name.to_owned())
        }
        Value::Dict(_, below) => empty_path(below, &format!("{name}.")),
        Value::Array(_, all) => {
            all.iter().find_map(|one| one.as_dict().and_then(|below| empty_path(below, &format!("{name}."))))
        }
        _ => None,
    };
    all.iter().find_map(|(name, value)| inside(&format!("{above}{name}"), value))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use std::path::PathBuf;

    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(text.as_bytes()).expect("write");
        Config::load(file.path())
    }

    const LEAST: &str = r#"
        region = "cn-hangzhou"
        token = { module = "/m.so", label = "bulla", pin_file = "/p" }
        database = { url = "sqlite:/x" }
        audit = { directory = "/a" }
    "#;

    #[test]
    fn defaults_fill_in_and_unknown_keys_are_refused() {
        let config = load(LEAST).expect("least");
        assert_eq!(config.token.sessions, 8);
        assert_eq!(config.database.location().expect("url"), "sqlite:/x");
        assert!(load(&format!("{LEAST}\n[server]\nlisten_on = 1")).is_err());
        assert!(load(&format!("{LEAST}\n[keys]\nrotate_after_uses = 1000")).is_ok());
        assert!(load(&format!("{LEAST}\n[keys]\nstop_after_uses = 3000000000")).is_err());
        assert!(load(&format!("{LEAST}\n[limits]\nrequests_per_second = 0")).is_err());
        let of_another_type = load(&format!("{LEAST}\n[server]\nhead_timeout_ms = \"10s\"")).expect_err("a text").to_string();
        assert!(
            of_another_type.contains("server.head_timeout_ms") && of_another_type.contains("a whole number"),
            "{of_another_type}"
        );
    }

    #[test]
    fn what_nothing_could_be_served_with_is_refused_with_the_least_that_could() {
        for (section, line, least) in [
            ("database", "wait_ms = 0", "database.wait_ms is 0, and 1 at least"),
            ("database", "connections = 0", "database.connections is 0"),
            ("server", "max_body_bytes = 0", "server.max_body_bytes is 0, and 4096 at least"),
            ("server", "answer_timeout_ms = 0", "server.answer_timeout_ms is 0"),
            ("server", "admin_listen = 8080\nlisten = 8080", "server.admin_listen is server.listen"),
            ("audit", "max_file_bytes = 0", "audit.max_file_bytes is 0"),
            ("token", "sessions = 9223372036854775807", "token.sessions is 9223372036854775807, and 10000 at most"),
            ("database", "connections = 4294967295", "database.connections is 4294967295, and 10000 at most"),
            ("database", "check_percent = 101", "database.check_percent is 101, and 100 at most"),
            ("server", "head_timeout_ms = 60001", "server.head_timeout_ms is 60001, and 60000 at most"),
            ("database", "url_file = \"/x\"", "name url or url_file, one of them"),
        ] {
            let inline = format!("        {section} = {{ ");
            let text = match LEAST.contains(&inline) {
                true => LEAST.replace(&inline, &format!("{inline}{line}, ")),
                false => format!("{LEAST}\n[{section}]\n{line}"),
            };
            let refused = load(&text).expect_err(line).to_string();
            assert!(refused.contains(least), "{line}: {refused}");
        }
    }

    #[test]
    fn a_requirement_that_nobody_would_meet_is_refused() {
        let tls = "[server.tls]\ncertificate_file = \"/c\"\nkey_file = \"/k\"";
        let of = |more: &str| load(&format!("{LEAST}\n{tls}\n{more}"));
        let refused = of("client_certificate_required = true").map(drop).expect_err("without roots").to_string();
        assert!(refused.contains("needs server.tls.client_ca_file"), "{refused}");
        for (more, required) in [
            ("", true),
            ("client_certificate_required = false", false),
            ("client_ca_file = \"/a\"", true),
            ("client_ca_file = \"/a\"\nclient_certificate_required = true", true),
        ] {
            let tls = of(more).expect(more).server.tls.expect("tls");
            assert_eq!(tls.requires_client_certificate(), required, "{more}");
        }
    }

    #[test]
    fn a_text_that_is_no_path_names_no_database() {
        let of = |url: &str| load(&LEAST.replace("sqlite:/x", url)).expect(url).database.location().map_err(|e| e.to_string());
        assert_eq!(of("sqlite:/x y"), Ok("sqlite:/x y".to_owned()));
        for (url, why) in [
            ("sqlite:/x?mode=ro", "sqlite: takes no parameters"),
            ("sqlite:/x ", "a blank before or behind"),
            (" postgresql://h/d", "a blank before or behind"),
            ("sqlite:/x\\ny", "control characters"),
        ] {
            let refused = of(url).expect_err(url);
            assert!(refused.contains(why) && refused.contains("database.url"), "{refused}");
        }
    }

    #[test]
    fn plain_http_stays_on_loopback_unless_told() {
        let beyond = format!("{LEAST}\n[server]\nlisten = \"0.0.0.0:80\"");
        assert!(load(&beyond).is_err());
        assert!(load(&format!("{beyond}\nplain_http_beyond_loopback = true")).is_ok());
        let tls = "[server.tls]\ncertificate_file = \"/c\"\nkey_file = \"/k\"";
        assert!(load(&format!("{beyond}\n{tls}")).is_ok());
        assert!(load(&format!("{beyond}\nadmin_listen = \"0.0.0.0:81\"\n{tls}")).is_err());
    }

    #[test]
    fn the_listener_of_probes_is_allowed_by_itself() {
        let tls = "[server.tls]\ncertificate_file = \"/c\"\nkey_file = \"/k\"";
        let text =
            |more: &str| format!("{LEAST}\n[server]\nlisten = \"0.0.0.0:80\"\nadmin_listen = \"0.0.0.0:81\"\n{more}\n{tls}");
        let refused = load(&text("")).expect_err("plain HTTP").to_string();
        assert!(refused.contains("server.admin_listen 0.0.0.0:81") && refused.contains("admin_plain_http"), "{refused}");
        assert!(load(&text("admin_plain_http_beyond_loopback = true")).is_ok());
        let without_tls = format!("{LEAST}\n[server]\nlisten = \"0.0.0.0:80\"\nadmin_plain_http_beyond_loopback = true");
        assert!(load(&without_tls).is_err(), "the API stays where it was");
    }

    /// What would let in more than was meant, or nobody.
    #[test]
    fn logins_say_whom_they_let_in() {
        let role =
            "[[vault.jwt.role]]\nname = \"r\"\naccount = \"1234567890123456\"\nuser = \"u\"\nbound_claims = { sub = \"a\" }";
        let jwt = format!("[[vault.jwt]]\nissuer = \"i\"\naudience = [\"a\"]\njwks_file = \"/k\"\n{role}");
        let certificate =
            "[[vault.certificate]]\nname = \"c\"\naccount = \"1234567890123456\"\nuser = \"u\"\ndns_names = [\"d\"]";
        let tls = "[server.tls]\ncertificate_file = \"/c\"\nkey_file = \"/k\"\nclient_ca_file = \"/a\"";
        let config = load(&format!("{LEAST}\n{tls}\n{jwt}\n{certificate}")).expect("logins");
        let login = &config.vault.jwt[0];
        assert_eq!((login.mount.as_str(), login.leeway_seconds, login.algorithms.len()), ("jwt", 60, 2));
        for (from, to) in [
            ("audience = [\"a\"]", "audience = []"),
            ("issuer = \"i\"", "issuer = \"\""),
            ("jwks_file = \"/k\"", ""),
            ("jwks_file = \"/k\"", "jwks_file = \"/k\"\npublic_keys_file = \"/p\""),
            ("jwks_file = \"/k\"", "jwks_file = \"/k\"\njwks_ca_file = \"/p\""),
            ("{ sub = \"a\" }", "{}"),
            ("{ sub = \"a\" }", "{ sub = [] }"),
            ("issuer =", "mount = \"approle\"\nissuer ="),
            ("issuer =", "mount = \"a/b\"\nissuer ="),
            ("user = \"u\"", ""),
        ] {
            assert!(jwt.contains(from), "{from}");
            assert!(load(&format!("{LEAST}\n{}", jwt.replace(from, to))).is_err(), "{from} -> {to}");
        }
        assert!(load(&format!("{LEAST}\n{jwt}\n{jwt}")).is_err(), "one mount twice");
        assert!(load(&format!("{LEAST}\n{certificate}")).is_err(), "nobody asks clients for certificates");
        let all = certificate.replace("dns_names = [\"d\"]", "");
        assert!(load(&format!("{LEAST}\n{tls}\n{all}")).is_err(), "every certificate");
    }

    #[test]
    fn paths_begin_in_the_folder_of_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("bulla.toml");
        let text = "region = \"cn-hangzhou\"\ntoken = { module = \"m.so\", label = \"b\", pin_file = \"pin\" }\n\
                    database = { url = \"sqlite:b.db\" }\naudit = { directory = \"audit\" }\n[server]\nlisten = 8081\n\
                    [server.tls]\ncertificate_file = \"tls/c\"\nkey_file = \"/k\"";
        std::fs::write(&file, text).expect("write");
        let config = Config::load(&file).expect("a configuration");
        let at = |name: &str| folder.path().join(name);
        assert_eq!(config.database.location().expect("url"), format!("sqlite:{}", at("b.db").display()));
        assert_eq!((config.audit.directory, config.token.pin_file), (at("audit"), Some(at("pin"))));
        assert_eq!(config.token.module, PathBuf::from("m.so"), "the loader knows where its modules are");
        let tls = config.server.tls.expect("tls");
        assert_eq!((tls.certificate_file, tls.key_file), (at("tls/c"), PathBuf::from("/k")));
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8081");
    }

    #[test]
    fn the_path_of_a_database_begins_there_too_wherever_it_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let (file, url) = (folder.path().join("bulla.toml"), folder.path().join("url"));
        std::fs::write(&file, LEAST.replace("url = \"sqlite:/x\"", "url_file = \"url\", plain = true")).expect("write");
        let of = |text: &str| {
            std::fs::write(&url, text).expect("write");
            Config::load(&file).expect("a configuration").database.location().expect("url")
        };
        assert_eq!(of("sqlite:b.db\n"), format!("sqlite:{}", folder.path().join("b.db").display()));
        assert_eq!(of("sqlite:///b.db"), "sqlite:/b.db");
        assert_eq!(of("postgresql://h/d?a=1\n"), "postgresql://h/d?a=1&sslmode=disable");
        assert_eq!(of("\u{feff}sqlite:/b.db\r\n"), "sqlite:/b.db");
        std::fs::write(&url, "sqlite:b.db\nsqlite:c.db\n").expect("write");
        let two = Config::load(&file).expect("a configuration").database.location().expect_err("two lines").to_string();
        assert!(two.contains("database.url_file") && two.contains("more than one line"), "{two}");
        assert_eq!(of("b.db"), "b.db", "refused by the store");
    }

    #[test]
    fn what_takes_a_restart_is_told_by_its_name() {
        let of = |text: &str| load(text).expect(text).of_a_start();
        let differing = |text: &str| {
            let (was, is) = (of(LEAST), of(text));
            was.into_iter().zip(is).filter(|(was, is)| was != is).map(|(was, _)| was.0).collect::<Vec<_>>()
        };
        assert_eq!(
            differing(&LEAST.replace("sqlite:/x", "sqlite:/y").replace("cn-hangzhou", "cn-beijing")),
            ["region", "database"]
        );
        assert_eq!(differing(&format!("{LEAST}\n[limits]\nnonces = 7\nrequests_per_second = 9")), ["limits.nonces"]);
        assert_eq!(differing(&format!("{LEAST}\n[log]\nlevel = \"warn\"")), Vec::<&str>::new());
    }

    #[test]
    fn a_proxy_is_trusted_by_its_network_or_its_address() {
        let of = |text: &str| load(&format!("{LEAST}\n[server]\ntrusted_proxies = [\"{text}\"]"));
        for (text, network) in [("10.0.0.0/8", "10.0.0.0/8"), ("127.0.0.1", "127.0.0.1/32"), ("::1", "::1/128")] {
            assert_eq!(of(text).expect(text).server.trusted_proxies, [network.parse().expect(network)]);
        }
        let refused = of("localhost").map(drop).expect_err("a name").to_string();
        assert!(refused.contains("is no network; write for example"), "{refused}");
    }

    #[test]
    fn no_error_quotes_what_may_hold_a_password() {
        let url = "postgresql://bulla:HUNTER2pw@h/x";
        let begin = "region = \"cn-hangzhou\"\n";
        for (text, said) in [
            (format!("{begin}[database]\nurl = \"{url}\n"), "line 3, column"),
            (format!("{begin}[database]\nurl={url}\n"), "line 3, column"),
            (LEAST.replace("url = \"sqlite:/x\"", &format!("connections = \"{url}\"")), "database.connections: "),
            (format!("{LEAST}\n[server]\nlisten = \"{url}\""), "server.listen: "),
            (format!("{LEAST}\n[log]\nformat = \"{url}\""), "log.format: "),
            (format!("{LEAST}\n[log]\nlevel = \"{url}\""), "log.level: "),
            (LEAST.replace("cn-hangzhou", url), "region: "),
        ] {
            let error = load(&text).map(drop).expect_err(&text).to_string();
            assert!(error.contains(said) && !error.contains("HUNTER2"), "{error}");
        }
        let error = load(&format!("{LEAST}\n[log]\nlevel = \"wran\"")).map(drop).expect_err("a level").to_string();
        assert!(error.contains("log.level: "), "{error}");
    }

    #[test]
    fn an_empty_path_is_no_path() {
        for (text, name) in [
            ("token = { module = \"\", label = \"b\" }\naudit = { directory = \"a\" }", "token.module"),
            ("token = { module = \"m\", label = \"b\" }\naudit = { directory = \"\" }", "audit.directory"),
            (
                "token = { module = \"m\", label = \"b\" }\naudit = { directory = \"a\" }\n[[rotation.instance]]\nca_file = \"\"",
                "rotation.instance.ca_file",
            ),
        ] {
            let all = format!("region = \"cn-hangzhou\"\ndatabase = {{ url = \"sqlite:b.db\" }}\n{text}");
            let error = load(&all).map(drop).expect_err("an empty path").to_string();
            assert!(error.contains(&format!("{name} is empty")), "{error}");
        }
    }

    /// The samples that people copy.
    #[test]
    fn samples_in_the_documentation_parse() {
        let tls = "[server.tls]\ncertificate_file = \"/c\"\nkey_file = \"/k\"\nclient_ca_file = \"/a\"";
        let part = format!("{LEAST}\n{tls}\n");
        let pages = [(include_str!("../../docs/operations.md"), ""), (include_str!("../../docs/vault.md"), part.as_str())];
        for (text, before) in pages {
            let samples: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
            assert!(!samples.is_empty());
            for sample in samples {
                if let Err(error) = load(&format!("{before}{sample}")) {
                    panic!("{error}\n{sample}");
                }
            }
        }
    }
}

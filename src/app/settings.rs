//! Settings of the configuration, as the parts take them.
//!
//! Owns: the translation. Must not know: defaults (`config`), what the parts make of them. Called by: app::server, admin
//! (`bulla check`).

use std::sync::Arc;
use std::time::Duration;

use crate::api::Limits;
use crate::app::vitals::Vital;
use crate::base::failure::{Failure, context};
use crate::base::ids::InstanceId;
use crate::config::{CertificateLogin, Config, Instance, JwtLogin, Quotas};
use crate::dialects::vault;
use crate::http;
use crate::keys::{DataKeyLimits, KeyLimits, UseLimits};
use crate::logins::{self, Logins};
use crate::process::open_files;
use crate::servers::{ServerOptions, Servers, Tls};

/// Upper bounds on keys and their uses.
pub(super) fn key_limits(config: &Config) -> KeyLimits {
    let uses = UseLimits { rotate: config.keys.rotate_after_uses.into(), stop: config.keys.stop_after_uses.into() };
    let quarantine_ms = i64::from(config.keys.quarantine_hours) * 3_600_000;
    let data_keys = DataKeyLimits {
        entries: config.keys.data_key_cache_entries,
        age: Duration::from_secs(config.keys.data_key_cache_seconds),
    };
    let Quotas { keys, aliases, token_objects, .. } = config.quotas;
    KeyLimits { keys, aliases, token_objects, uses, data_keys, quarantine_ms }
}

/// The second door, where it is open. It calls itself sealed while the token is away.
pub(super) fn vault(config: &Config, token: &Arc<Vital>) -> Option<vault::Settings> {
    let settings = &config.vault;
    let token = Arc::clone(token);
    settings.enabled.then(|| vault::Settings {
        kv_mount: settings.kv_mount.clone(),
        transit_mount: settings.transit_mount.clone(),
        sealed: Arc::new(move || token.now().is_err()),
    })
}

/// Logins with the proofs of others, where the second door is open.
///
/// # Errors
/// When an algorithm is none for public keys, or a file of keys cannot be read.
pub(super) fn logins(config: &Config) -> Result<Logins, Failure> {
    Logins::new(login_options(config)?).map_err(|reason| Failure::local(format!("vault.jwt: {reason}")))
}

/// The same, as the service learns of them while it runs.
///
/// # Errors
/// When an algorithm is none for public keys.
pub(super) fn login_options(config: &Config) -> Result<logins::Options, Failure> {
    if !config.vault.enabled {
        return Ok(logins::Options::default());
    }
    let certificate = |login: &CertificateLogin| logins::CertificateRole {
        name: login.name.clone(),
        speaks: logins::Speaks { account: login.account.clone(), user: login.user.clone() },
        common_names: login.common_names.clone(),
        dns_names: login.dns_names.clone(),
        uris: login.uris.clone(),
    };
    Ok(logins::Options {
        issuers: config.vault.jwt.iter().map(issuer).collect::<Result<_, _>>()?,
        certificates: config.vault.certificate.iter().map(certificate).collect(),
    })
}

fn issuer(login: &JwtLogin) -> Result<logins::Issuer, Failure> {
    let algorithm = |name: &String| {
        logins::Algorithm::named_as(name).ok_or_else(|| {
            let known = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and EdDSA";
            Failure::local(format!("vault.jwt {:?}: algorithms are {known}; {name:?} is none of them", login.mount))
        })
    };
    let roles = login.role.iter().map(|role| logins::JwtRole {
        name: role.name.clone(),
        speaks: logins::Speaks { account: role.account.clone(), user: role.user.clone() },
        bound_claims: role.bound_claims.iter().map(|(name, values)| (name.clone(), values.to_vec())).collect(),
    });
    let keys = match (&login.jwks_url, &login.jwks_file, &login.public_keys_file) {
        (Some(url), ..) => logins::KeysFrom::Url { url: url.clone(), authorities: login.jwks_ca_file.clone() },
        (None, Some(file), _) => logins::KeysFrom::File(file.clone()),
        (None, None, Some(file)) => logins::KeysFrom::Pem(file.clone()),
        (None, None, None) => {
            return Err(Failure::local(format!(
                "vault.jwt {:?}: name its keys: jwks_url, jwks_file or public_keys_file",
                login.mount
            )));
        }
    };
    Ok(logins::Issuer {
        mount: login.mount.clone(),
        issuer: login.issuer.clone(),
        audience: login.audience.clone(),
        keys,
        algorithms: login.algorithms.iter().map(algorithm).collect::<Result<_, _>>()?,
        leeway_s: login.leeway_seconds,
        roles: roles.collect(),
    })
}

/// The servers whose accounts are rotated.
///
/// # Errors
/// When the file of a password is not named.
pub fn servers(config: &Config) -> Result<Servers, Failure> {
    Ok(Servers::new(server_options(config)?))
}

/// The same, as the service learns of them while it runs.
///
/// # Errors
/// As [`servers`].
pub(super) fn server_options(config: &Config) -> Result<Vec<(InstanceId, ServerOptions)>, Failure> {
    let options = |instance: &Instance| {
        let options = ServerOptions {
            engine: instance.engine,
            host: instance.host.clone(),
            port: instance.port(),
            database: instance.database.clone(),
            administrator: instance.administrator.clone(),
            password_file: instance.password()?,
            tls: instance.ca_file.clone().map_or(Tls::Off, Tls::Verified),
            account_host: instance.account_host.clone(),
            accounts: instance.accounts.clone(),
        };
        Ok((instance.id.clone(), options))
    };
    config.rotation.instance.iter().map(options).collect()
}

/// Bounds on callers.
pub(super) fn limits(config: &Config) -> Limits {
    let (requests_per_second, refusals_per_second) = (config.limits.requests_per_second, config.limits.refusals_per_second);
    Limits { requests_per_second, refusals_per_second, min_free_bytes: config.audit.min_free_bytes }
}

/// Files that the service has open at its busiest, besides connections of clients: of SQLite three a connection; of the token two
/// a session, as SoftHSM opens an object's file and a lock for most calls; the audit log with a rotation under way; the runtime,
/// certificates being read, servers whose accounts are rotated, the log.
fn own_files(config: &Config) -> usize {
    let sqlite = config.database.location().is_ok_and(|url| !url.starts_with("postgres"));
    let connections = config.database.connections as usize + 2;
    let database = connections * if sqlite { 3 } else { 1 };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    database + 2 * (config.token.sessions + 2) + 6 * workers + 48
}

/// The files that the service keeps of those that it may open; clients have the rest.
pub(super) fn reserved_files(config: &Config) -> usize {
    own_files(config) + http::SPARE_CONNECTIONS
}

/// How many connections of clients there may be: as many as are set, if so many files may be open.
///
/// # Errors
/// When hardly one fits.
pub(super) fn max_connections(config: &Config) -> Result<usize, Failure> {
    open_files::connections_within(config.server.max_connections, reserved_files(config))
        .map_err(|error| Failure::local(format!("open files: {error}")))
}

/// The certificates of the listener, where it has any.
///
/// # Errors
/// When a file cannot be read, or they do not fit together.
pub(super) fn tls(config: &Config) -> Result<Option<http::Tls>, Failure> {
    let tls = config.server.tls.as_ref().map(|tls| {
        http::Tls::load(http::TlsFiles {
            certificate: tls.certificate_file.clone(),
            key: tls.key_file.clone(),
            client_ca: tls.client_ca_file.clone(),
            client_required: tls.requires_client_certificate(),
        })
    });
    tls.transpose().map_err(context("server.tls"))
}

/// How the HTTP server listens, and its limits.
///
/// # Errors
/// As [`max_connections`] and [`tls`].
pub(super) fn http(config: &Config) -> Result<http::Config, Failure> {
    let server = &config.server;
    let max_connections = max_connections(config)?;
    if max_connections < server.max_connections {
        log::warn!(
            "server.max_connections is {max_connections} instead of {}: token, database and audit log keep {} of the files that the \
             system allows (LimitNOFILE, ulimit -n)",
            server.max_connections,
            reserved_files(config)
        );
    }
    let ms = Duration::from_millis;
    Ok(http::Config {
        tls: tls(config)?.map(Arc::new),
        admin_listen: server.admin_listen.map(|listen| listen.0),
        threads: server.threads,
        max_concurrent: server.max_concurrent,
        max_connections,
        max_body_bytes: server.max_body_bytes,
        head_timeout: ms(server.head_timeout_ms),
        body_timeout: ms(server.body_timeout_ms),
        keep_alive: ms(server.keep_alive_ms),
        answer_timeout: ms(server.answer_timeout_ms),
        stop_timeout: ms(server.stop_timeout_ms),
        trusted_proxies: server.trusted_proxies.clone(),
        ..http::Config::new(server.listen.0)
    })
}

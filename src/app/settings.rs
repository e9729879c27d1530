//! Settings of the configuration, as the parts take them.
//!
//! Owns: the translation. Must not know: defaults (`config`), what the parts make of them. Called by: app::server, admin
//! (`bulla check`).

use std::sync::Arc;
use std::time::Duration;

use crate::base::failure::{Failure, context};
use crate::config::{Config, Instance};
use crate::http;
use crate::keys::{KeyLimits, UseLimits};
use crate::servers::{ServerOptions, Servers, Tls};

/// Upper bounds on keys and their uses.
pub(super) fn key_limits(config: &Config) -> KeyLimits {
    let uses = UseLimits { rotate: config.keys.rotate_after_uses.into(), stop: config.keys.stop_after_uses.into() };
    let quarantine_ms = i64::from(config.keys.quarantine_hours) * 3_600_000;
    KeyLimits { keys: config.quotas.keys, aliases: config.quotas.aliases, uses, quarantine_ms }
}

/// The servers whose accounts are rotated.
///
/// # Errors
/// When the file of a password is not named.
pub fn servers(config: &Config) -> Result<Servers, Failure> {
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
    let servers: Result<Vec<_>, Failure> = config.rotation.instance.iter().map(options).collect();
    Ok(Servers::new(servers?))
}

/// How the HTTP server listens, and its limits.
///
/// # Errors
/// When a file of TLS cannot be read.
pub(super) fn http(config: &Config) -> Result<http::Config, Failure> {
    let server = &config.server;
    let ms = Duration::from_millis;
    let tls = server.tls.as_ref().map(|tls| {
        http::Tls::load(http::TlsFiles {
            certificate: tls.certificate_file.clone(),
            key: tls.key_file.clone(),
            client_ca: tls.client_ca_file.clone(),
            client_required: tls.client_certificate_required,
        })
    });
    Ok(http::Config {
        tls: tls.transpose().map_err(context("server.tls"))?.map(Arc::new),
        admin_listen: server.admin_listen.map(|listen| listen.0),
        threads: server.threads,
        max_concurrent: server.max_concurrent,
        max_connections: server.max_connections,
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

//! What is looked at on this host: files, folders, addresses, limits of the process.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::remote::database_url;
use super::{Found, Opened};
use crate::app::settings::{self, servers};
use crate::app::start_retry::StartRetry;
use crate::app::token;
use crate::app::unlock;
use crate::audit::{self, Receiver};
use crate::base::certificate::{self, Validity};
use crate::base::clock::Clock;
use crate::base::disk::free_bytes;
use crate::base::failure::{Failure, context};
use crate::base::listen::Listen;
use crate::process;

/// A certificate that ends within so many days is worth a warning.
const SOON_DAYS: u32 = 30;

pub(super) fn pin(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let settings = &opened.config.token;
    let local = |e: &dyn std::fmt::Display| Failure::local(e.to_string());
    if let Some(socket) = &settings.unlock_socket {
        unlock::check(socket, opened.retry == StartRetry::Server)?;
    }
    let Some(path) = settings.pin_path().map_err(|e| local(&e))? else {
        return Ok(Found::Fine("is asked for at the terminal".to_owned()));
    };
    settings.pin().map_err(|e| local(&e).hint("the file holds the PIN of the token's user, one line"))?;
    Ok(match readable_by_others(&path) {
        Some(odd) => odd,
        None => Found::Fine(format!("in {}", path.display())),
    })
}

/// That others may read a file that is a secret. A group of this user's own may: files of root that it reads have no other way.
fn readable_by_others(path: &Path) -> Option<Found> {
    let metadata = fs::metadata(path).ok()?;
    let (mode, mine) = (metadata.mode(), metadata.gid() == rustix::process::getegid().as_raw());
    let found = format!("others may read {} (mode {:04o})", path.display(), mode & 0o7777);
    let (forbidden, right) = if mine { (0o037, "0640") } else { (0o077, "0600") };
    (mode & forbidden != 0).then(|| Found::Odd(found, format!("chmod {right} {}", path.display())))
}

pub(super) fn module(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    token::module_is_there(&opened.config.token.module)?;
    Ok(Found::Fine(opened.config.token.module.display().to_string()))
}

pub(super) fn listeners(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let server = &opened.config.server;
    let running = audit::holder(&opened.config.audit.directory, "audit");
    let mut told = Vec::new();
    for (name, listen) in [("listen", Some(server.listen)), ("admin_listen", server.admin_listen)] {
        let Some(Listen(address)) = listen else { continue };
        match TcpListener::bind(address) {
            Ok(_) => told.push(format!("{name} {address}")),
            Err(e) if e.kind() == ErrorKind::AddrInUse && running.is_some() => {
                let pid = running.as_deref().unwrap_or_default();
                told.push(format!("{name} {address}, held by the server that runs (process {pid})"));
            }
            Err(e) => {
                let failure = Failure::local(format!("server.{name} {address}: {e}"));
                return Err(match e.kind() {
                    ErrorKind::AddrInUse => failure.hint("another program listens there; `ss -ltnp` says which"),
                    ErrorKind::PermissionDenied => failure.hint("ports below 1024 need CAP_NET_BIND_SERVICE"),
                    ErrorKind::AddrNotAvailable => failure.hint("this host has no such address; 0.0.0.0 is all of them"),
                    _ => failure,
                });
            }
        }
    }
    Ok(Found::Fine(told.join("; ")))
}

pub(super) fn certificates(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let hint = "server.tls names PEM files: the certificate with those between it and its root, and its own private key";
    settings::tls(opened.config).map_err(|failure| Failure::local(failure.reason).hint(hint))?;
    let Some(tls) = &opened.config.server.tls else { return Ok(Found::Fine("none; plain HTTP".to_owned())) };
    let now = Clock::System.now();
    // Clients refuse what is not valid; a start does not, so that a clock that is wrong does not end the service.
    let odd = |what: &str, file: &Path| match certificate::validity(file) {
        Err(e) => Some(format!("when {what} is valid cannot be told: {e}")),
        Ok(Validity { from, .. }) if from > now => Some(format!("{what} is not valid before {from}")),
        Ok(Validity { until, .. }) if until < now => Some(format!("{what} ended {until}")),
        Ok(Validity { until, .. }) if until < now.plus_days(SOON_DAYS) => Some(format!("{what} ends {until}")),
        Ok(_) => None,
    };
    let own = odd("the certificate", &tls.certificate_file);
    let clients = tls.client_ca_file.as_deref().and_then(|file| odd("a root of client_ca_file", file));
    let renew = "put new files in their place; a running server takes them within a second";
    let mut odd: Vec<_> = own.into_iter().chain(clients).map(|found| (found, renew.to_owned())).collect();
    if let Some(Found::Odd(found, hint)) = readable_by_others(&tls.key_file) {
        odd.push((found, hint));
    }
    if odd.is_empty() {
        let Validity { until, .. } = certificate::validity(&tls.certificate_file).map_err(context("server.tls"))?;
        return Ok(Found::Fine(format!("fit together, until {until}")));
    }
    let (found, mut hints): (Vec<_>, Vec<_>) = odd.into_iter().unzip();
    hints.dedup();
    Ok(Found::Odd(found.join("; "), hints.join("; ")))
}

/// That the file of SQLite can be written, those beside it, and its folder, where they are made and taken away.
pub(super) fn database_file(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let Ok(url) = database_url(opened.config) else { return Ok(Found::Unseen("the database's URL")) };
    let Some(file) = url.strip_prefix("sqlite:") else { return Ok(Found::Fine("none; a server".to_owned())) };
    for path in ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{file}{end}"))) {
        may_use("database", &path, Access::READ_OK | Access::WRITE_OK)?;
    }
    if let Some(folder) = Path::new(file).parent() {
        may_use("database", folder, Access::WRITE_OK | Access::EXEC_OK)?;
    }
    Ok(Found::Fine(format!("{file} can be written")))
}

/// Refuses what is there and may not be used so.
fn may_use(subject: &str, path: &Path, how: Access) -> Result<(), Failure> {
    let failure = |e: Errno| Failure::local(format!("{subject}: {}: {}", path.display(), std::io::Error::from(e)));
    match access(path, how) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ACCESS) => Err(forbidden(failure(Errno::ACCESS), path)),
        Err(e) => Err(failure(e)),
    }
}

/// What to do where a path's owner or mode is in the way.
fn forbidden(failure: Failure, path: &Path) -> Failure {
    let me = rustix::process::geteuid().as_raw();
    let Ok(metadata) = fs::metadata(path) else { return failure };
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != me {
        return failure.hint(format!("it belongs to uid {owner}, and this is uid {me}"));
    }
    let right = if metadata.is_dir() { "u+rwx" } else { "u+rw" };
    failure.hint(format!("its mode is {mode:04o}: chmod {right} {}", path.display()))
}

pub(super) fn audit_folder(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let folder = &opened.config.audit.directory;
    let named = |e: &dyn std::fmt::Display| format!("audit.directory {}: {e}", folder.display());
    let metadata = match fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let above = folder.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("/"));
            tempfile::tempfile_in(above).map_err(|e| Failure::local(named(&e)).hint("it is not there and cannot be made"))?;
            return Ok(Found::Fine(format!("{} is made at the first start", folder.display())));
        }
        Err(e) => return Err(Failure::local(named(&e)).hint_of_file(folder, e.kind())),
    };
    if !metadata.is_dir() {
        return Err(Failure::local(named(&"it is no folder")).hint("name another, or take away what stands there"));
    }
    audit::sound_folder(folder)
        .map_err(|e| Failure::local(format!("audit: {e}")).hint(format!("chmod 0700 {}", folder.display())))?;
    let me = rustix::process::geteuid().as_raw();
    match tempfile::tempfile_in(folder) {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            return Ok(Found::Odd(named(&e), "a start waits for space".to_owned()));
        }
        Err(e) => {
            let failure = Failure::local(named(&e));
            return Err(match e.kind() {
                ErrorKind::PermissionDenied => forbidden(failure, folder),
                _ => failure,
            });
        }
    }
    // Where nothing can be recorded, nothing is answered; and before, refusals of strangers are recorded by their number alone.
    let (free, least) = (free_bytes(folder), opened.config.audit.min_free_bytes);
    if let Some(free) = free.filter(|free| *free < least) {
        let found = named(&format!("its disk has {free} bytes left, and fewer than audit.min_free_bytes ({least})"));
        return Ok(Found::Odd(found, "make room before it is full: a server answers 503 then".to_owned()));
    }
    for name in ["audit.lock", "audit.jsonl"] {
        may_use("audit", &folder.join(name), Access::READ_OK | Access::WRITE_OK)?;
    }
    if metadata.uid() != me {
        let found = format!("{} belongs to uid {}, and this is uid {me}", folder.display(), metadata.uid());
        return Ok(Found::Odd(found, "run commands as the user that serves: sudo -u bulla bulla …".to_owned()));
    }
    Ok(Found::Fine(format!("{} can be written", folder.display())))
}

/// That somebody takes the lines that are shipped. A start does not need it: they wait on the disk.
pub(super) fn receiver(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let (place, reached) = match &opened.config.audit.ship {
        None => return Ok(Found::Fine("none; lines stay in their folder".to_owned())),
        Some(Receiver::Syslog(path)) => (path, UnixDatagram::unbound().and_then(|socket| socket.connect(path))),
        Some(Receiver::Socket(path)) => (path, UnixStream::connect(path).map(drop)),
    };
    let place = place.display();
    Ok(match reached {
        Ok(()) => Found::Fine(format!("{place} takes lines")),
        Err(e) => {
            let hint = "lines wait in their folder, and are sent when it is there";
            Found::Odd(format!("audit.ship: {place}: {e}"), hint.to_owned())
        }
    })
}

pub(super) fn memory(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let wanted = opened.config.server.lock_memory;
    let hint = "systemd: LimitMEMLOCK=infinity, or CapabilityBoundingSet=CAP_IPC_LOCK";
    if process::may_lock_all() {
        return Ok(Found::Fine("is kept out of swap".to_owned()));
    }
    match wanted {
        process::LockMemory::Always => {
            Err(Failure::local("server.lock_memory: this process may not lock its memory").hint(hint))
        }
        process::LockMemory::WhereAllowed => {
            Ok(Found::Odd("may be written to swap".to_owned(), format!("{hint}; or lock_memory = \"never\"")))
        }
        process::LockMemory::Never => Ok(Found::Fine("may be written to swap, as configured".to_owned())),
    }
}

/// That no core dump is made of this process, as every command and server forbids it at its start.
pub(super) fn core_dumps(_: &mut Opened<'_>) -> Result<Found, Failure> {
    Ok(match process::core_dump().map_err(context("core dumps"))? {
        None => Found::Fine("are forbidden, whatever the kernel's core pattern says".to_owned()),
        Some(pattern) => {
            let found = format!("a crash would leave memory, with its secrets, to {pattern:?} (kernel.core_pattern)");
            Found::Odd(found, "sysctl kernel.core_pattern=core, and ulimit -c 0".to_owned())
        }
    })
}

pub(super) fn managed_servers(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let count = servers(opened.config).map_err(|failure| Failure::local(failure.reason))?.all().len();
    Ok(Found::Fine(count.to_string()))
}

pub(super) fn logins(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let vault = &opened.config.vault;
    opened.logins = Some(settings::logins(opened.config)?);
    match (vault.enabled, vault.jwt.len(), vault.certificate.len()) {
        (false, 0, 0) => Ok(Found::Fine("Vault's API is not served".to_owned())),
        (false, ..) => {
            Ok(Found::Odd("Vault's API is not served, and has logins".to_owned(), "set vault.enabled = true".to_owned()))
        }
        (true, jwt, certificate) => {
            Ok(Found::Fine(format!("AppRole; {jwt} issuers of JWTs, {certificate} roles of certificates")))
        }
    }
}

pub(super) fn permissions(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let config = opened.config;
    let files = config.rotation.instance.iter().filter_map(|instance| instance.password_file.as_deref());
    // Only what the file says counts: what the environment says lies nowhere.
    let in_the_configuration = (config.database.holds_password() && std::env::var_os("BULLA_DATABASE__URL").is_none())
        .then_some(config.file.as_path());
    let keys = config.server.tls.iter().map(|tls| tls.key_file.as_path());
    let files = files.chain(config.database.url_file.as_deref()).chain(in_the_configuration).chain(keys);
    Ok(files
        .into_iter()
        .find_map(readable_by_others)
        .unwrap_or_else(|| Found::Fine("no secret is for others to read".to_owned())))
}

pub(super) fn open_files(opened: &mut Opened<'_>) -> Result<Found, Failure> {
    let hint = "systemd: LimitNOFILE=65536; or ulimit -n";
    let config = opened.config;
    let fit = settings::max_connections(config).map_err(|failure| {
        Failure::local(failure.reason).hint(format!("{hint}; or set lower token.sessions and database.connections"))
    })?;
    let wanted = config.server.max_connections;
    // A start says it where it listens.
    if fit < wanted && opened.retry == StartRetry::Command {
        let found = format!(
            "server.max_connections is {fit} instead of {wanted}: token, database and audit log keep {} of the files that the system allows",
            settings::reserved_files(config)
        );
        return Ok(Found::Odd(found, format!("{hint}; or set a lower server.max_connections")));
    }
    Ok(Found::Fine(format!("enough for {wanted} connections")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_others_may_read_are_told() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pin");
        fs::write(&file, "1234").expect("written");
        for (mode, is_told) in
            [(0o600, false), (0o640, false), (0o400, false), (0o644, true), (0o660, true), (0o604, true), (0o602, true)]
        {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(readable_by_others(&file).is_some(), is_told, "{mode:o}");
        }
        assert!(readable_by_others(&folder.path().join("absent")).is_none());
    }
}

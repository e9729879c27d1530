//! `bulla dev`: everything in one folder, to try the service and to develop against it.
//!
//! Owns: the folder's files below. Never touches the system's SoftHSM configuration. The folder holds the token, its PIN and the
//! database together, so whoever has it has the secrets: for trying things, not for keeping any. It can be moved and copied.
//!
//! ```text
//! bulla.toml      the configuration; any command takes it by --data DIR
//! softhsm2.conf   and tokens/: the SoftHSM token
//! pin             its user PIN
//! bulla.db        the database, unless --database names another
//! audit/          the audit logs
//! tls/            with --tls: ca.crt, for clients; server.crt, server.key
//! dev.lock        held by the process that serves the folder, with its id
//! profile.toml    endpoint, region and access key, for clients; env.sh: the same as variables for shells
//! ```

mod announce;
mod authority;
mod folder;
mod full_disk;
mod hold;
mod root;
mod seed;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, getpid, kill_process};

use crate::admin::init;
use crate::app::{Failure, Server, context};
use crate::audit;
use crate::base::failure::Class;
use crate::base::private_folder;
use crate::cli;
use crate::token::softhsm;
use announce::{Announcement, Target};
use root::Root;

/// Region that the deployment answers as.
const REGION: &str = "cn-hangzhou";

/// The configuration file of a data folder.
pub fn config_file(folder: &Path) -> PathBuf {
    folder.join("bulla.toml")
}

/// Runs the command.
///
/// # Errors
/// Why it does not start.
pub fn run(dev: &cli::Dev, json: bool) -> Result<(), Failure> {
    if !dev.listen.is_loopback() && !dev.listen_to_everyone {
        let failure = Failure::new(format!("--listen {}: `bulla dev` stays on loopback", dev.listen)).class(Class::Usage);
        return Err(
            failure.hint("in a container, or where everyone who reaches it may try the access key: --listen-to-everyone")
        );
    }
    if let Some(id) = dev.access_key_id.as_ref().filter(|id| !id.is_made_here() || id.is_client_key()) {
        let failure = Failure::new(format!("--access-key-id {id}: it is no id of an access key")).class(Class::Usage);
        return Err(failure.hint("BLLA and 20 of the letters A to Z without I and O and the digits 2 to 9"));
    }
    // What is no file can be read once, so the process that goes on reads it; a file, before anything is made.
    let entered = dev.data.as_deref().is_some_and(is_entered);
    let readable = |file: &&Path| entered || fs::metadata(file).map_or(true, |file| file.is_file());
    let seed = dev.seed.as_deref().filter(readable).map(seed::read).transpose()?;
    let Some(data) = dev.data.clone() else {
        let data = tempfile::Builder::new().prefix("bulla-dev-").tempdir()?.keep();
        return Err(restart(&data, &["--temporary"]));
    };
    serve(dev, &data, seed.unwrap_or_default(), json).map_err(|failure| full_disk::named(failure, &data))
}

/// Serves a folder, with what it lacks made first.
fn serve(dev: &cli::Dev, data: &Path, seed: seed::Seed, json: bool) -> Result<(), Failure> {
    private_folder::make(data).map_err(Failure::of_file(data))?;
    // Before anything is made or looked for in the folder.
    let _held = hold::hold(data)?;
    if let Some(pid) = audit::holder(&data.join("audit"), "audit") {
        return Err(hold::served(data, &pid));
    }
    enter_made(data)?;
    let mut config = folder::prepare(data, dev.database.as_deref())?;
    if dev.tls {
        config.server.tls = Some(authority::prepare(data, dev.listen)?);
    }
    config.server.plain_http_beyond_loopback |= dev.listen_to_everyone;
    let config = config.listening_on(dev.listen)?;
    let (base, _) = init::whole(&config, &"dev".parse()?)?;
    let chosen = dev.access_key_id.as_ref().zip(dev.access_key_secret_file.as_deref());
    let root = match chosen {
        Some((id, file)) => Root::of_choice(&base, id, file)?,
        None => Root::of(&base, data)?,
    };
    let server = Server::on(&config, base)?;
    let address = server.address()?;
    let target = Target {
        // Of all addresses, loopback is the one that this process can be sure of.
        endpoint: if address.ip().is_unspecified() { format!("127.0.0.1:{}", address.port()) } else { address.to_string() },
        authority: dev.tls.then(|| authority::certificate(data)),
    };
    let announcement = Announcement { root, target, folder: data.to_owned(), seed, json };
    announcement.write_files()?;
    let announced = std::thread::spawn(move || {
        announcement.make().inspect_err(|_| {
            let _ = kill_process(getpid(), Signal::TERM);
        })
    });
    let served = server.run();
    // What was still waiting for the server ends with it, and is no reason.
    let is_reason = announced.is_finished();
    let announced = match announced.join() {
        Ok(Err(failure)) if is_reason => Err(failure),
        _ => Ok(()),
    };
    if dev.temporary {
        fs::remove_dir_all(data).map_err(context(data.display()))?;
    }
    announced.and(served)
}

/// Makes sure that this process sees the SoftHSM token of a data folder: SoftHSM finds its configuration through the environment,
/// which a process can only set for the program that it becomes.
///
/// # Errors
/// When the program cannot be started again. On success it either returns, or the process has become another.
pub fn enter(folder: &Path) -> Result<(), Failure> {
    // A word that is typed wrong makes no folder.
    let file = config_file(folder);
    if let Err(e) = fs::metadata(&file) {
        let failure = Failure::local(format!("{}: {e}", file.display()));
        return Err(failure.hint("`bulla dev --data DIR` makes such a folder; --config names a configuration elsewhere"));
    }
    enter_made(folder)
}

/// Where a configuration is a data folder's, and the environment names that folder's token: brings SoftHSM's configuration to where the
/// folder is now. That of a copy names the tokens of the folder it was copied from. Where it may not be written, it stays as it is.
pub fn follow(config: &Path) {
    let folder = config.parent().filter(|folder| hold::file(folder).exists() && is_entered(folder));
    let _ = folder.map(softhsm::prepare);
}

/// [`enter`] of a folder that may have no configuration yet.
fn enter_made(folder: &Path) -> Result<(), Failure> {
    let conf = softhsm::prepare(folder).map_err(Failure::of_file(folder))?;
    if is_entered(folder) {
        return Ok(());
    }
    Err(become_self(&conf, std::env::args_os().skip(1)))
}

/// Whether this process sees the token of a data folder.
fn is_entered(folder: &Path) -> bool {
    let set = std::env::var_os(softhsm::CONF_VARIABLE).and_then(|set| std::path::absolute(set).ok());
    set.is_some_and(|set| softhsm::conf_file(folder).is_ok_and(|conf| conf == set))
}

/// Starts `bulla dev` again on a folder of its own.
fn restart(folder: &Path, more: &[&str]) -> Failure {
    match softhsm::prepare(folder) {
        Ok(conf) => {
            let folder = [std::ffi::OsString::from("--data"), folder.into()];
            become_self(&conf, std::env::args_os().skip(1).chain(folder).chain(more.iter().map(Into::into)))
        }
        Err(e) => Failure::of_file(folder)(e),
    }
}

fn become_self(conf: &Path, args: impl Iterator<Item = std::ffi::OsString>) -> Failure {
    crate::logging::flush(std::time::Duration::from_secs(1));
    match std::env::current_exe() {
        Ok(program) => Command::new(program).args(args).env(softhsm::CONF_VARIABLE, conf).exec().into(),
        Err(e) => e.into(),
    }
}

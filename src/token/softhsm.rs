//! A throw-away SoftHSM token in a folder of its own, for `bulla dev` and for tests.
//!
//! Owns: where SoftHSM's module is, and its configuration file. Must not know: keys, what the token is for. Called by: admin (dev),
//! tests. SoftHSM never syncs what it writes and loses keys at power loss: it is no token for production.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::private_folder;
use crate::base::whole_file::{self, Access};

/// The environment variable that SoftHSM reads at C_Initialize. A process cannot set it safely for itself, so it is set for a child
/// process.
pub const CONF_VARIABLE: &str = "SOFTHSM2_CONF";

/// The template of the configuration file; `@TOKENS@` is the folder of the tokens.
const TEMPLATE: &str = include_str!("../../softhsm/softhsm2.conf.in");

/// Where distributions put the module.
const MODULES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// Where else modules are, by the documentation of their makers.
const OTHERS: [&str; 6] = [
    "/opt/nfast/toolkits/pkcs11/libcknfast.so",
    "/usr/safenet/lunaclient/lib/libCryptoki2_64.so",
    "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so",
    "/opt/utimaco/lib/libcs_pkcs11_R3.so",
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
];

/// PKCS#11 modules on this machine, SoftHSM's first.
pub fn modules() -> Vec<PathBuf> {
    MODULES.iter().chain(&OTHERS).map(PathBuf::from).filter(|path| path.exists()).collect()
}

/// SoftHSM's module on this machine, if it is installed.
pub fn module() -> Option<PathBuf> {
    MODULES.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The configuration file of `home`, there or not.
///
/// # Errors
/// Where there is no current folder.
pub fn conf_file(home: &Path) -> io::Result<PathBuf> {
    std::path::absolute(home.join("softhsm2.conf"))
}

/// Makes a folder for tokens and a configuration file in `home`, if they are not there, and answers the path of the file: what
/// [`CONF_VARIABLE`] must be for the process that opens the token. Tokens that are there stay.
///
/// # Errors
/// What the file system says; a path that the configuration file cannot express.
pub fn prepare(home: &Path) -> io::Result<PathBuf> {
    let tokens = std::path::absolute(home)?.join("tokens");
    private_folder::make(&tokens)?;
    let folder = tokens.to_str().filter(|path| !path.contains(['\n', '#']));
    let folder = folder.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a path for softhsm2.conf"))?;
    keep_copies(&tokens)?;
    let conf = conf_file(home)?;
    let text = TEMPLATE.replace("@TOKENS@", folder);
    // Never written in place: another process may be starting on it.
    if fs::read_to_string(&conf).is_ok_and(|found| found == text) {
        return Ok(conf);
    }
    whole_file::write(&conf, text.as_bytes(), &Access::PRIVATE)?;
    Ok(conf)
}

/// Keeps a copy of the file that a login rewrites in place, and puts it back where a process that was killed in the middle of one has
/// left it empty: without it every key of the token is lost.
fn keep_copies(tokens: &Path) -> io::Result<()> {
    for token in fs::read_dir(tokens)? {
        let folder = token?.path();
        let (file, copy) = (folder.join("token.object"), folder.join("token.object.bulla-copy"));
        let Ok(mut bytes) = fs::read(&file) else { continue };
        if bytes.is_empty() {
            // Another process may be logging in this moment, which takes less than a millisecond.
            std::thread::sleep(std::time::Duration::from_millis(300));
            bytes = fs::read(&file)?;
        }
        let (from, to) = if bytes.is_empty() { (&copy, &file) } else { (&file, &copy) };
        if let Ok(bytes) = fs::read(from)
            && !bytes.is_empty()
            && fs::read(to).is_ok_and(|there| there != bytes) | !to.exists()
        {
            if to == &file {
                log::warn!(
                    "SoftHSM's {} was left empty by a process that was killed; its copy takes its place",
                    file.display()
                );
            }
            whole_file::write(to, &bytes, &Access::PRIVATE)?;
        }
    }
    Ok(())
}

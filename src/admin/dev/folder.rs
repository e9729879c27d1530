//! What the folder of `bulla dev` holds before anything starts: configuration, PIN, token.

use std::fs;
use std::path::Path;

use super::{REGION, config_file};
use crate::app::{Failure, context};
use crate::base::secret::Pin;
use crate::base::whole_file::{self, Access};
use crate::config::Config;
use crate::token::{Token, softhsm};

/// Label of the token.
const LABEL: &str = "bulla-dev";

/// Makes what the folder lacks, and reads its configuration.
pub(super) fn prepare(folder: &Path, database: Option<&str>) -> Result<Config, Failure> {
    let module = softhsm::module().ok_or(Failure::new("SoftHSM is not installed (Debian: apt-get install softhsm2)"))?;
    let pin_file = folder.join("pin");
    if !pin_file.exists() {
        private_file(&pin_file, &random_text()?)?;
    }
    let file = config_file(folder);
    if !file.exists() || database.is_some() {
        private_file(&file, &configuration(&module, database.unwrap_or("sqlite:bulla.db")))?;
    }
    let config = Config::load(&file)?;
    let tokens = folder.join("tokens");
    let mut found = fs::read_dir(&tokens).map_err(context(tokens.display()))?.peekable();
    let is_new = found.peek().is_none();
    // A first start that ended while it made the token: no deployment has ever used what is there.
    let is_half_made = || -> Result<bool, Failure> {
        let was_used = folder.join("bulla.db").exists() || config.audit.directory.exists();
        Ok(!was_used && !Token::is_initialised(&config.token.module, LABEL).map_err(context("token"))?)
    };
    if is_new || is_half_made()? {
        for half in found {
            let half = half.map_err(context(tokens.display()))?.path();
            fs::remove_dir_all(&half).map_err(context(half.display()))?;
        }
        let so_pin = Pin::new(random_text()?);
        Token::initialise(&config.token.module, LABEL, &so_pin, &config.token.pin()?).map_err(context("token"))?;
        // The copy of its file, before the first login rewrites that.
        softhsm::prepare(folder).map_err(context(folder.display()))?;
    }
    Ok(config)
}

/// Paths are relative to the file, so that the folder can be moved, and a copy is one of its own.
fn configuration(module: &Path, database: &str) -> String {
    format!(
        "# Written by `bulla dev`. Paths begin in this folder.\n\
         region = \"{REGION}\"\n\n\
         [token]\nmodule = {}\nlabel = \"{LABEL}\"\npin_file = \"pin\"\n\n\
         [database]\nurl = {}\nmigrate_at_start = true\n\n\
         [audit]\ndirectory = \"audit\"\n\n\
         [vault]\nenabled = true\n",
        toml_text(&module.to_string_lossy()),
        toml_text(database),
    )
}

/// A TOML basic string; JSON's escapes are among TOML's.
pub(super) fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes a file that only its owner may read: whoever reads it meanwhile reads the old one.
pub(super) fn private_file(path: &Path, text: &str) -> Result<(), Failure> {
    whole_file::write(path, text.as_bytes(), &Access::PRIVATE).map(drop).map_err(context(path.display()))
}

fn random_text() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::new("no random bytes"))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn who_reads_a_file_while_it_is_written_anew_reads_the_old_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("env.sh");
        private_file(&file, "before").expect("written");
        let mut opened = fs::File::open(&file).expect("there");
        private_file(&file, "after").expect("written");
        let mut read = String::new();
        opened.read_to_string(&mut read).expect("text");
        assert_eq!((read.as_str(), fs::read_to_string(&file).expect("there").as_str()), ("before", "after"));
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1, "and nothing else stays");
    }
}

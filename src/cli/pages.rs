//! What is made of the table of commands: completions for shells, and man pages.

use std::io;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use super::Cli;

/// What is made of the table of commands.
#[derive(Subcommand)]
pub enum Pages {
    /// Print the completion of a shell, to be sourced or installed.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Write the man pages into a folder.
    #[command(hide = true)]
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

/// The completion of a shell, as a script.
pub fn completion(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "bulla", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes a man page for the program and one for each command into a folder.
///
/// # Errors
/// When it cannot be written.
pub fn man(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
}

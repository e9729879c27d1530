//! What is made of the table of commands: completions for shells, and man pages.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Subcommand};
use clap_complete::Shell;

use super::Cli;
use crate::base::failure::{Class, Failure};
use crate::base::locale::t;

/// What is made of the table of commands.
#[derive(Subcommand)]
pub enum Pages {
    /// Print the completion of a shell, to be sourced or installed.
    Completion {
        /// The shell.
        shell: Shell,
        /// Of bash, zsh and fish: complete names of secrets and keys too. Each time the server is asked, for a second at most.
        #[arg(long)]
        names: bool,
    },
    /// Write the man pages into a folder.
    #[command(hide = true)]
    Man {
        /// The folder.
        folder: PathBuf,
    },
}

/// The completion of a shell, as a script.
///
/// # Errors
/// Where names are asked for, of a shell for which there is no such script.
pub fn completion(shell: Shell, names: bool) -> Result<String, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut offered(), "bulla", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let more = match (names, shell) {
        (false, _) => "",
        (true, Shell::Bash) => BASH_NAMES,
        (true, Shell::Zsh) => ZSH_NAMES,
        (true, Shell::Fish) => FISH_NAMES,
        (true, other) => {
            let failure = Failure::new(t!("names are not completed in %{shell}", shell = other)).class(Class::Usage);
            return Err(failure.hint(t!("bash, zsh or fish; or without --names")));
        }
    };
    Ok(script + more)
}

/// The table without the commands that are hidden, of which a completion would know nothing.
fn offered() -> Command {
    let all = Cli::command();
    let root = Command::new("bulla").version(env!("CARGO_PKG_VERSION")).args(all.get_arguments());
    root.subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()))
}

/// Names have no character that a shell would read as another.
const BASH_NAMES: &str = r#"
_bulla_names() {
    _bulla "$@"
    local names
    names=$("${COMP_WORDS[0]}" complete-names -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    [[ -n $names ]] || return 0
    COMPREPLY=($names)
    # A folder goes on.
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace 2>/dev/null; fi
    return 0
}
complete -F _bulla_names -o bashdefault -o default bulla
"#;

const ZSH_NAMES: &str = r#"
_bulla_names() {
    local -a names
    names=(${(f)"$($words[1] complete-names -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#names )); then
        # A folder goes on.
        compadd -S '' -- ${(M)names:#*/}
        compadd -- ${names:#*/}
    else
        _bulla "$@"
    fi
}
compdef _bulla_names bulla
"#;

const FISH_NAMES: &str = r#"
function __bulla_names
    set -l words (commandline -opc) (commandline -ct)
    $words[1] complete-names -- $words[2..] 2>/dev/null
end
complete -c bulla -a '(__bulla_names)'
"#;

/// Writes a man page for the program and one for each command into a folder.
///
/// # Errors
/// When it cannot be written.
pub fn man(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)
}

//! `bulla inject`: a template with values in it.

use std::io::Read;

use bulla_client::Value;

use super::resolve::resolve;
use super::template::Template;
use super::{Session, terminal, usage};
use crate::base::failure::Failure;
use crate::base::locale::{self, t};
use crate::cli::Inject;

/// Runs the command.
pub(super) fn run(session: &Session, asked: &Inject) -> Result<(), Failure> {
    let mut template = String::new();
    if asked.input.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .read_to_string(&mut template)
            .map_err(|e| Failure::local(t!("standard input: %{reason}", reason = locale::os(&e))))?;
    } else {
        template = std::fs::read_to_string(&asked.input).map_err(Failure::of_file(&asked.input))?;
    }
    let template = Template::parse(&template).map_err(|reason| usage(reason, "{{ bulla://NAME[#FIELD][@VERSION] }}"))?;
    let references = template.references();
    let values = if references.is_empty() { Vec::new() } else { resolve(session, &references)?.values };
    let text = template.filled(&values);
    match terminal::file_named(&asked.output) {
        Some(file) => terminal::write_private(file, &text),
        None => terminal::print_value(&Value::new(text.to_vec())),
    }
}

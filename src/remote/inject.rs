//! `bulla inject`: a template with values in it.

use std::io::{Read, Write};

use bulla_client::Value;
use zeroize::Zeroizing;

use super::reference::{Reference, SCHEME};
use super::resolve::resolve;
use super::{Session, terminal, usage};
use crate::base::failure::Failure;
use crate::cli::Inject;

/// Runs the command.
pub(super) fn run(session: &Session, asked: &Inject) -> Result<(), Failure> {
    let mut template = String::new();
    if asked.input.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut template).map_err(|e| Failure::local(format!("standard input: {e}")))?;
    } else {
        template =
            std::fs::read_to_string(&asked.input).map_err(|e| Failure::local(format!("{}: {e}", asked.input.display())))?;
    }
    let pieces = parse(&template).map_err(|reason| usage(reason, "{{ bulla://NAME[#FIELD][@VERSION] }}"))?;
    let references: Vec<Reference> = pieces.iter().filter_map(|piece| piece.as_ref().err().cloned()).collect();
    let values = if references.is_empty() { Vec::new() } else { resolve(session, &references)?.values };
    let text = filled(&pieces, &values);
    if asked.output.as_os_str() == "-" {
        let mut out = std::io::stdout().lock();
        return out.write_all(&text).and_then(|()| out.flush()).map_err(|e| Failure::local(format!("standard output: {e}")));
    }
    terminal::write_private(&asked.output, &text)
}

/// Text that stays, or the value that comes in its place.
type Piece<'t> = Result<&'t str, Reference>;

/// Cuts a template into pieces. Double braces around anything else are text: other templates have them too.
fn parse(template: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    let mut from = 0;
    while let Some(open) = rest[from..].find("{{").map(|at| from + at) {
        let inside = rest[open + 2..].trim_start();
        if !inside.starts_with(SCHEME) {
            from = open + 2;
            continue;
        }
        let line = |at: usize| 1 + template[..at].matches('\n').count();
        let here = template.len() - rest.len() + open;
        let close = rest[open..].find("}}").ok_or_else(|| format!("line {}: {{{{ without }}}}", line(here)))?;
        let text = rest[open + 2..open + close].trim();
        pieces.push(Ok(&rest[..open]));
        pieces.push(Err(Reference::parse(text).map_err(|reason| format!("line {}: {reason}", line(here)))?));
        rest = &rest[open + close + 2..];
        from = 0;
    }
    pieces.push(Ok(rest));
    Ok(pieces)
}

fn filled(pieces: &[Piece<'_>], values: &[Value]) -> Zeroizing<Vec<u8>> {
    let length = pieces.iter().map(|piece| piece.as_ref().map_or(0, |text| text.len())).sum::<usize>()
        + values.iter().map(|value| value.expose().len()).sum::<usize>();
    let (mut out, mut next) = (Zeroizing::new(Vec::with_capacity(length)), values.iter());
    for piece in pieces {
        match piece {
            Ok(text) => out.extend_from_slice(text.as_bytes()),
            Err(_) => out.extend_from_slice(next.next().map(Value::expose).unwrap_or_default()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_replaced() {
        let template = "a={{ bulla://x#f }}\nb={{bulla://y@v1}} {{ other }} bulla://z {{ {{ bulla://x }} }}";
        let pieces = parse(template).expect("sound");
        let names: Vec<String> = pieces.iter().filter_map(|p| p.as_ref().err()).map(ToString::to_string).collect();
        assert_eq!(names, ["x#f", "y@v1", "x"]);
        let values = ["1", "2", "3"].map(|v| Value::new(v.as_bytes().to_vec()));
        assert_eq!(*filled(&pieces, &values), b"a=1\nb=2 {{ other }} bulla://z {{ 3 }}");
        assert_eq!(parse("\n\n {{ bulla://x").map(drop), Err("line 3: {{ without }}".to_owned()));
        assert!(parse("\n{{ bulla:// }}").is_err_and(|reason| reason.starts_with("line 2: ")));
    }
}

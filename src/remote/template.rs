//! A text with `{{ bulla://NAME[#FIELD][@VERSION] }}` where values go.

use bulla_client::Value;
use zeroize::Zeroizing;

use super::reference::{Reference, SCHEME};
use crate::base::locale::t;

/// A text that is cut into what stays and what is replaced.
pub struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Value(Reference),
}

impl Template {
    /// Cuts a text. Double braces around anything else are text: other templates have them too.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        let mut from = 0;
        while let Some(open) = rest[from..].find("{{").map(|at| from + at) {
            let inside = rest[open + 2..].trim_start();
            if !inside.starts_with(SCHEME) {
                from = open + 2;
                continue;
            }
            let line = 1 + text[..text.len() - rest.len() + open].matches('\n').count();
            let close = rest[open..].find("}}").ok_or_else(|| t!("line %{line}: {{ without }}", line = line).into_owned())?;
            let reference = Reference::parse(rest[open + 2..open + close].trim());
            pieces.push(Piece::Text(rest[..open].to_owned()));
            pieces.push(Piece::Value(
                reference.map_err(|reason| t!("line %{line}: %{reason}", line = line, reason = reason).into_owned())?,
            ));
            rest = &rest[open + close + 2..];
            from = 0;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The values that it asks for, in order.
    pub fn references(&self) -> Vec<Reference> {
        let reference = |piece: &Piece| if let Piece::Value(reference) = piece { Some(reference.clone()) } else { None };
        self.0.iter().filter_map(reference).collect()
    }

    /// The text with these values, one for each reference.
    pub fn filled(&self, values: &[Value]) -> Zeroizing<Vec<u8>> {
        let length = self.0.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum::<usize>()
            + values.iter().map(|value| value.expose().len()).sum::<usize>();
        let (mut out, mut next) = (Zeroizing::new(Vec::with_capacity(length)), values.iter());
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Value(_) => out.extend_from_slice(next.next().map(Value::expose).unwrap_or_default()),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_are_replaced() {
        let text = "a={{ bulla://x#f }}\nb={{bulla://y@v1}} {{ other }} bulla://z {{ {{ bulla://x }} }}";
        let template = Template::parse(text).expect("sound");
        let names: Vec<String> = template.references().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["x#f", "y@v1", "x"]);
        let values = ["1", "2", "3"].map(|v| Value::new(v.as_bytes().to_vec()));
        assert_eq!(*template.filled(&values), b"a=1\nb=2 {{ other }} bulla://z {{ 3 }}");
        assert_eq!(Template::parse("\n\n {{ bulla://x").map(drop), Err("line 3: {{ without }}".to_owned()));
        assert!(Template::parse("\n{{ bulla:// }}").is_err_and(|reason| reason.starts_with("line 2: ")));
    }
}

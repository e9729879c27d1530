//! Whether a token lets itself be told an attribute, asked of it with a key that lives for the moment.
//!
//! Owns: which key that is. Must not know: what follows from the answer. Called by: `readback`, for what was made by another process.

use cryptoki::object::{Attribute, ObjectHandle};

use super::concessions::Concessions;
use super::errors::Failure;
use super::left_out::Maker;
use super::session::Session;
use super::templates::{self, Half, ObjectKind, Shape};

/// Whether the token takes this attribute when it makes what this half belongs to. No, where nothing is made for the moment: then what
/// the token says of it has to do.
///
/// # Errors
/// A lost session, login or token.
pub(super) fn takes(session: &Session, half: Half, attribute: &Attribute, conceded: &Concessions) -> Result<bool, Failure> {
    let (maker, kind) = match half {
        Half::Secret => (Maker::Key, ObjectKind::Sys),
        Half::Private | Half::Public => (Maker::Pair, ObjectKind::Aud),
    };
    for shape in kind.shapes() {
        let templates = templates::of_session(shape);
        let made = conceded.takes(session, maker, &templates, attribute, &mut |t| make(session, shape, t))?;
        if let Some(takes) = made {
            return Ok(takes);
        }
    }
    conceded.cannot_be_asked(maker, attribute.attribute_type());
    Ok(false)
}

/// Makes what these templates describe; their order is that of [`Shape::halves`].
pub(super) fn make(session: &Session, shape: Shape, templates: &[Vec<Attribute>]) -> Result<Vec<ObjectHandle>, Failure> {
    let mechanism = shape.maker();
    match templates {
        [private, public] => {
            let (public, private) = session.generate_key_pair(&mechanism, public, private)?;
            Ok(vec![private, public])
        }
        [secret, ..] => Ok(vec![session.generate_key(&mechanism, secret)?]),
        [] => Ok(vec![]),
    }
}

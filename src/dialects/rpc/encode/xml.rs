//! Reply structs as XML.
//!
//! Owns: a serde `Serializer` that writes elements. Must not know: replies. Called by: encode.
//!
//! | in the struct | in XML |
//! |---|---|
//! | field, map entry | `<Name>…</Name>` |
//! | list in a field | the field's element, once for each entry; nothing when empty |
//! | none, unit | nothing |
//! | empty text, struct without fields | `<Name></Name>` |
//!
//! Carriage returns are written as `&#13;`, or a parser would turn them into line feeds (XML 1.0 section 2.11). Characters that
//! XML 1.0 cannot carry in any way (section 2.2) are an error.

use std::fmt;

use serde::ser::{self, Impossible, Serialize, Serializer};

use super::buffer::Buffer;

/// Whether XML 1.0 has all characters of a text (section 2.2).
pub(in crate::dialects::rpc) fn can_hold(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n' | '\r') || !is_foreign(c))
}

/// Characters that XML 1.0 does not have in any form, but for the three of white space.
fn is_foreign(c: char) -> bool {
    matches!(c, '\0'..' ' | '\u{fffe}' | '\u{ffff}')
}

/// Writes a whole document.
pub(super) fn document(out: &mut Buffer, root: &str, content: &impl Serialize) -> Result<(), XmlError> {
    out.push(br#"<?xml version="1.0" encoding="UTF-8"?>"#);
    content.serialize(Element { out, name: root })
}

/// Why something has no XML form.
#[derive(Debug)]
pub(super) enum XmlError {
    /// A character that XML 1.0 does not have.
    Character,
    /// A shape that the API has no form for; text of the serializer, without values.
    Shape(String),
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            XmlError::Character => f.write_str("a character that XML does not have"),
            XmlError::Shape(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for XmlError {}

impl ser::Error for XmlError {
    fn custom<T: fmt::Display>(why: T) -> Self {
        XmlError::Shape(why.to_string())
    }
}

/// Writes a value as an element of this name.
struct Element<'o, 'n> {
    out: &'o mut Buffer,
    name: &'n str,
}

impl Element<'_, '_> {
    fn open(&mut self) {
        for piece in ["<", self.name, ">"] {
            self.out.push(piece.as_bytes());
        }
    }

    fn close(&mut self) {
        for piece in ["</", self.name, ">"] {
            self.out.push(piece.as_bytes());
        }
    }

    fn child<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), XmlError> {
        value.serialize(Element { out: self.out, name })
    }

    fn display(self, value: impl fmt::Display) -> Result<(), XmlError> {
        self.serialize_str(&value.to_string())
    }
}

fn escape(out: &mut Buffer, text: &str) -> Result<(), XmlError> {
    let mut written = 0;
    for (at, character) in text.char_indices() {
        let escaped: &[u8] = match character {
            '<' => b"&lt;",
            '>' => b"&gt;",
            '&' => b"&amp;",
            '\r' => b"&#13;",
            '\t' | '\n' => continue,
            foreign if is_foreign(foreign) => return Err(XmlError::Character),
            _ => continue,
        };
        out.push(&text.as_bytes()[written..at]);
        out.push(escaped);
        written = at + character.len_utf8();
    }
    out.push(&text.as_bytes()[written..]);
    Ok(())
}

fn no_form<T>(what: &str) -> Result<T, XmlError> {
    Err(XmlError::Shape(format!("{what} has no form in replies")))
}

macro_rules! by_display {
    ($($method:ident: $kind:ty,)*) => {$(
        fn $method(self, value: $kind) -> Result<(), XmlError> {
            self.display(value)
        }
    )*};
}

impl<'o, 'n> Serializer for Element<'o, 'n> {
    type Ok = ();
    type Error = XmlError;
    type SerializeSeq = List<'o, 'n>;
    type SerializeTuple = Impossible<(), XmlError>;
    type SerializeTupleStruct = Impossible<(), XmlError>;
    type SerializeTupleVariant = Impossible<(), XmlError>;
    type SerializeMap = Map<'o, 'n>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), XmlError>;

    by_display! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
    }

    fn serialize_str(mut self, text: &str) -> Result<(), XmlError> {
        self.open();
        escape(self.out, text)?;
        self.close();
        Ok(())
    }

    fn serialize_none(self) -> Result<(), XmlError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), XmlError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), XmlError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), XmlError> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), XmlError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), XmlError> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'o, 'n>, XmlError> {
        Ok(List(self))
    }

    fn serialize_map(mut self, _: Option<usize>) -> Result<Map<'o, 'n>, XmlError> {
        self.open();
        Ok(Map { element: self, key: String::new() })
    }

    fn serialize_struct(mut self, _: &'static str, _: usize) -> Result<Self, XmlError> {
        self.open();
        Ok(self)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), XmlError> {
        no_form("a byte string")
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), XmlError> {
        no_form("an enum with content")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, XmlError> {
        no_form("a tuple")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, XmlError> {
        no_form("a tuple")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, XmlError> {
        no_form("an enum with content")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, XmlError> {
        no_form("an enum with content")
    }
}

impl ser::SerializeStruct for Element<'_, '_> {
    type Ok = ();
    type Error = XmlError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), XmlError> {
        self.child(name, value)
    }

    fn end(mut self) -> Result<(), XmlError> {
        self.close();
        Ok(())
    }
}

/// Entries that each are an element of the list's name.
struct List<'o, 'n>(Element<'o, 'n>);

impl ser::SerializeSeq for List<'_, '_> {
    type Ok = ();
    type Error = XmlError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), XmlError> {
        let name = self.0.name;
        self.0.child(name, value)
    }

    fn end(self) -> Result<(), XmlError> {
        Ok(())
    }
}

/// A struct that serde hands over as a map, as it does where structs are flattened: the keys are field names.
struct Map<'o, 'n> {
    element: Element<'o, 'n>,
    key: String,
}

impl ser::SerializeMap for Map<'_, '_> {
    type Ok = ();
    type Error = XmlError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), XmlError> {
        match serde_json::to_value(key) {
            Ok(serde_json::Value::String(name)) => self.key = name,
            _ => return no_form("a key that is no text"),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), XmlError> {
        self.element.child(&self.key, value)
    }

    fn end(mut self) -> Result<(), XmlError> {
        self.element.close();
        Ok(())
    }
}

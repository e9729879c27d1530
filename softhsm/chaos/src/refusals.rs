//! What a token refuses to be asked: attributes, values, sessions that only read, more objects than it has room for.
//!
//! Owns: the list of refusals, and whether a template meets one. Called by: `attributes`, `special`, `command`.

use std::collections::HashSet;

use cryptoki_sys::{CK_ATTRIBUTE, CK_RV, CK_TRUE, CKA_TOKEN};

/// A template that names this attribute is refused; with a value, only one that names this value.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) attribute: u64,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) code: CK_RV,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Refusals {
    pub(crate) templates: Vec<Refusal>,
    /// Sessions that only read are refused with this.
    pub(crate) read_only: Option<CK_RV>,
    /// Token objects that there may be of those made by this process, and the code of one more; none: as many as the module takes.
    pub(crate) most_objects: Option<(usize, CK_RV)>,
    /// The clock is text that is no time.
    pub(crate) no_clock: bool,
    objects: HashSet<u64>,
}

impl Refusals {
    /// Why templates are refused, if they are.
    pub(crate) fn of(&self, templates: &[&[CK_ATTRIBUTE]]) -> Option<CK_RV> {
        for attribute in templates.iter().copied().flatten() {
            let value = value(attribute);
            let meets = |refusal: &&Refusal| {
                refusal.attribute == attribute.type_ && refusal.value.as_ref().is_none_or(|refused| *refused == value)
            };
            if let Some(refusal) = self.templates.iter().find(meets) {
                return Some(refusal.code);
            }
        }
        let more = templates.iter().filter(|template| is_token_object(template)).count();
        match self.most_objects {
            Some((most, code)) if more > 0 && self.objects.len() + more > most => Some(code),
            _ => None,
        }
    }

    /// An object was made of a template, under the module's own handle.
    pub(crate) fn made(&mut self, template: &[CK_ATTRIBUTE], object: u64) {
        if is_token_object(template) {
            self.objects.insert(object);
        }
    }

    /// An object was destroyed.
    pub(crate) fn destroyed(&mut self, object: u64) {
        self.objects.remove(&object);
    }
}

fn is_token_object(template: &[CK_ATTRIBUTE]) -> bool {
    template.iter().any(|attribute| attribute.type_ == CKA_TOKEN && value(attribute) == [CK_TRUE])
}

fn value(attribute: &CK_ATTRIBUTE) -> Vec<u8> {
    if attribute.pValue.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller of the function that has the template says that so many bytes are there.
    unsafe { std::slice::from_raw_parts(attribute.pValue.cast::<u8>(), attribute.ulValueLen as usize) }.to_vec()
}

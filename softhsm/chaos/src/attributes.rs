//! The functions that tell and take attributes: lies, attributes that are kept from the module, keys that hide.
//!
//! Owns: what the difference is. Must not know: rules. Called by: whoever holds the function list.

#![allow(non_snake_case, reason = "PKCS#11's own names")]

use std::collections::HashMap;

use cryptoki_sys::*;

use crate::forward::{Function as F, call};
use crate::{chaos, real};

/// The length that says: not to be had.
const UNAVAILABLE: CK_ULONG = CK_ULONG::MAX;

/// Tells of some attributes what is not so, and of those that the module was not given what it should have been given.
pub(crate) unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    call(F::C_GetAttributeValue, || {
        let (session, object, lies, kept) = {
            let state = chaos().plug.state();
            (state.session(session)?, state.object(object)?, state.lies.clone(), state.kept.clone())
        };
        let asked: Vec<CK_ULONG> = if template.is_null() {
            Vec::new()
        } else {
            // SAFETY: the caller says that `count` attributes are there.
            unsafe { std::slice::from_raw_parts(template, count as usize) }.iter().map(|a| a.ulValueLen).collect()
        };
        // SAFETY: the caller's arguments.
        let answer = unsafe { real::function(|list| list.C_GetAttributeValue)?(session, object, template, count) };
        if template.is_null() {
            return Ok(answer);
        }
        // SAFETY: as above.
        let attributes = unsafe { std::slice::from_raw_parts_mut(template, count as usize) };
        for (attribute, room) in attributes.iter_mut().zip(asked) {
            if let Some(value) = kept.get(&attribute.type_)
                && (attribute.pValue.is_null() || room >= value.len() as CK_ULONG)
            {
                attribute.ulValueLen = value.len() as CK_ULONG;
                tell(attribute, value);
            }
            if let Some(lie) = lies.get(&attribute.type_)
                && attribute.ulValueLen == lie.len() as CK_ULONG
            {
                tell(attribute, lie);
            }
        }
        let complete = attributes.iter().all(|attribute| attribute.ulValueLen != UNAVAILABLE);
        Ok(if answer == CKR_ATTRIBUTE_TYPE_INVALID && complete { CKR_OK } else { answer })
    })
}

/// Writes a value of the attribute's own length, where there is a place for it.
fn tell(attribute: &mut CK_ATTRIBUTE, value: &[u8]) {
    if !attribute.pValue.is_null() {
        // SAFETY: the caller gave room for as many bytes: the module said so, or its own length was looked at.
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast(), value.len()) };
    }
}

/// A template without the attributes that are kept from the module.
///
/// # Safety
/// `template` has `count` attributes.
unsafe fn without(kept: &HashMap<u64, Vec<u8>>, template: *mut CK_ATTRIBUTE, count: CK_ULONG) -> Vec<CK_ATTRIBUTE> {
    if template.is_null() {
        return Vec::new();
    }
    // SAFETY: see above.
    let all = unsafe { std::slice::from_raw_parts(template, count as usize) };
    all.iter().filter(|attribute| !kept.contains_key(&attribute.type_)).copied().collect()
}

pub(crate) unsafe extern "C" fn C_GenerateKey(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    call(F::C_GenerateKey, || {
        let generate = real::function(|list| list.C_GenerateKey)?;
        let (session, kept) = {
            let state = chaos().plug.state();
            (state.session(session)?, state.kept.clone())
        };
        // SAFETY: the caller's arguments; after CKR_OK a handle stands in `key`.
        unsafe {
            chaos().plug.state().offers(mechanism)?;
            let mut given = without(&kept, template, count);
            if let Some(code) = chaos().plug.state().refusals.of(&[&given]) {
                return Err(code);
            }
            let answer = generate(session, mechanism, given.as_mut_ptr(), given.len() as CK_ULONG, key);
            if answer == CKR_OK {
                let mut state = chaos().plug.state();
                state.made(&given, *key);
                *key = state.objects.show(*key);
            }
            Ok(answer)
        }
    })
}

pub(crate) unsafe extern "C" fn C_CreateObject(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    call(F::C_CreateObject, || {
        let create = real::function(|list| list.C_CreateObject)?;
        let session = chaos().plug.state().session(session)?;
        // SAFETY: the caller's arguments; after CKR_OK a handle stands in `object`.
        unsafe {
            let given = without(&HashMap::new(), template, count);
            if let Some(code) = chaos().plug.state().refusals.of(&[&given]) {
                return Err(code);
            }
            let answer = create(session, template, count, object);
            if answer == CKR_OK {
                let mut state = chaos().plug.state();
                state.made(&given, *object);
                *object = state.objects.show(*object);
            }
            Ok(answer)
        }
    })
}

#[allow(clippy::too_many_arguments, reason = "PKCS#11's own")]
pub(crate) unsafe extern "C" fn C_UnwrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    by: CK_OBJECT_HANDLE,
    wrapped: *mut CK_BYTE,
    length: CK_ULONG,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    call(F::C_UnwrapKey, || {
        let unwrap = real::function(|list| list.C_UnwrapKey)?;
        let (session, by) = {
            let state = chaos().plug.state();
            (state.session(session)?, state.object(by)?)
        };
        // SAFETY: the caller's arguments; after CKR_OK a handle stands in `key`.
        unsafe {
            chaos().plug.state().offers(mechanism)?;
            let given = without(&HashMap::new(), template, count);
            if let Some(code) = chaos().plug.state().refusals.of(&[&given]) {
                return Err(code);
            }
            let answer = unwrap(session, mechanism, by, wrapped, length, template, count, key);
            if answer == CKR_OK {
                let mut state = chaos().plug.state();
                state.made(&given, *key);
                *key = state.objects.show(*key);
            }
            Ok(answer)
        }
    })
}

pub(crate) unsafe extern "C" fn C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> CK_RV {
    call(F::C_DestroyObject, || {
        let destroy = real::function(|list| list.C_DestroyObject)?;
        let (session, object) = {
            let state = chaos().plug.state();
            (state.session(session)?, state.object(object)?)
        };
        // SAFETY: takes numbers.
        let answer = unsafe { destroy(session, object) };
        if answer == CKR_OK {
            chaos().plug.state().refusals.destroyed(object);
        }
        Ok(answer)
    })
}

pub(crate) unsafe extern "C" fn C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public_key: *mut CK_OBJECT_HANDLE,
    private_key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    call(F::C_GenerateKeyPair, || {
        let generate = real::function(|list| list.C_GenerateKeyPair)?;
        let (session, kept) = {
            let state = chaos().plug.state();
            (state.session(session)?, state.kept.clone())
        };
        // SAFETY: the caller's arguments; after CKR_OK a handle stands in `public_key` and in `private_key`.
        unsafe {
            chaos().plug.state().offers(mechanism)?;
            let (mut public, mut private) = (without(&kept, public, public_count), without(&kept, private, private_count));
            if let Some(code) = chaos().plug.state().refusals.of(&[&public, &private]) {
                return Err(code);
            }
            let given = [public.clone(), private.clone()];
            let (public_count, private_count) = (public.len() as CK_ULONG, private.len() as CK_ULONG);
            let (public, private) = (public.as_mut_ptr(), private.as_mut_ptr());
            let answer = generate(session, mechanism, public, public_count, private, private_count, public_key, private_key);
            if answer == CKR_OK {
                let mut state = chaos().plug.state();
                for (key, given) in [public_key, private_key].into_iter().zip(&given) {
                    state.made(given, *key);
                    *key = state.objects.show(*key);
                }
            }
            Ok(answer)
        }
    })
}

/// Leaves out keys that are too young to be found.
pub(crate) unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    most: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    call(F::C_FindObjects, || {
        let session = chaos().plug.state().session(session)?;
        let find = real::function(|list| list.C_FindObjects)?;
        loop {
            // SAFETY: the caller's arguments.
            let answer = unsafe { find(session, objects, most, count) };
            if answer != CKR_OK {
                return Ok(answer);
            }
            // SAFETY: the module has written `*count` handles, and a count.
            let (found, count) = unsafe { (std::slice::from_raw_parts_mut(objects, *count as usize), &mut *count) };
            let mut state = chaos().plug.state();
            let mut shown = 0;
            for at in 0..found.len() {
                if !state.hides(found[at]) {
                    found[shown] = state.objects.show(found[at]);
                    shown += 1;
                }
            }
            // None where the module found some would end the search.
            if shown > 0 || *count == 0 {
                *count = shown as CK_ULONG;
                return Ok(CKR_OK);
            }
        }
    })
}

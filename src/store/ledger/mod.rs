//! What finds rows that were deleted or put back as they were, which no MAC of a row can; and proofs of the whole.
//!
//! Every write changes digests of the sets that its rows belong to, in its own transaction (`digests`). Who may do what is compared with
//! them exactly whenever it is read (`rights`, `families`); what belongs to a secret is bound in its row (`contents`); the secrets
//! themselves, of which there may be millions, are compared part by part, in a pass that never ends. `rekey` brings all of it under
//! another key.

pub mod contents;
pub mod digests;
pub mod families;
pub mod head;
pub mod pass;
pub mod rekey;
pub mod relations;
pub mod rights;
pub mod verify;
pub mod whole;

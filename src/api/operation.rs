//! What an operation is.
//!
//! Owns: the trait, and how an operation's input is read from its parameters. Must not know: protocols, who calls. Called by: every
//! operation, which implements it; the pipeline, which runs it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::context::Context;
use crate::api::effect::Effect;
use crate::api::target::Target;
use crate::error::Error;

/// One operation of the API.
pub trait Operation {
    /// Its name, the `Action` of a request, and what records call it.
    const NAME: &'static str;
    /// The permission that it needs, behind `kms:`; its own name, unless it is what another does in another way.
    const PERMISSION: &'static str = Self::NAME;
    /// Whether it writes.
    const EFFECT: Effect;
    /// Whether callers may rehearse it (DryRun). Such an operation is a read: what it does before [`Context::rehearse`] is done in a
    /// rehearsal too, and its answer is dropped.
    const DRY_RUN: bool = false;
    /// What it works on, read once from the parameters; its request struct where there is nothing more to read.
    type Input: Input;
    /// Its answer, without RequestId.
    type Response;

    /// What it acts on; the caller needs the permission on each.
    fn target(input: &Self::Input) -> Target<'_>;

    /// Does it. The caller is authorised; for a write the intent is recorded.
    ///
    /// # Errors
    /// Any of the operation's own.
    fn run(cx: &Context<'_>, input: Self::Input) -> Result<Self::Response, Error>;
}

/// The answer of an operation that has nothing to tell.
#[derive(Serialize)]
pub struct Done {}

/// What an operation works on, with the rules over several parameters applied and their values read.
pub trait Input: Sized {
    /// The parameters as a dialect decodes them; each a type that has parsed its own grammar.
    type Request;

    /// Reads the parameters together.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Invalid`], [`Error::UnsupportedOperation`] and its relatives: nothing that depends on what is
    /// stored.
    fn read(request: Self::Request) -> Result<Self, Error>;
}

/// A request struct with no rules over several parameters is its own input.
impl<T: DeserializeOwned> Input for T {
    type Request = T;

    fn read(request: T) -> Result<T, Error> {
        Ok(request)
    }
}

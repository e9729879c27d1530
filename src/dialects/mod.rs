//! The doors: each is a folder that speaks one protocol over the same operations.
//!
//! Owns: what a door is, and which one a request takes. Must not know: what operations do. Called by: app, which gives them to http.
//!
//! A dialect finds the operation, proves who calls, decodes and encodes, and spells the core's words (`Field`, `Code`) in its own.
//! A new one is a folder and a line in [`Doors::new`].

pub mod rpc;
pub mod vault;

use crate::api::{Limits, Outcome, Service};
use crate::base::ids::RequestId;
use crate::code::Code;
use crate::error::Error;
use crate::http::{Call, Method, Reply};

/// A protocol.
pub trait Dialect: Send + Sync {
    /// Whether requests for this path are its own.
    fn owns(&self, path: &str) -> bool;

    /// Whether it takes a request like this; asked before the body is read.
    ///
    /// # Errors
    /// [`Error::MethodNotSupported`], [`Error::PathNotFound`].
    fn accepts(&self, method: Method, path: &str) -> Result<(), Error>;

    /// Answers a call.
    fn call(&self, service: &Service, call: &Call) -> Answer;

    /// The answer to a request that did not become a call, or whose answer must not leave.
    fn refuse(&self, error: &Error, request_id: &RequestId) -> Reply;
}

/// An answer, and what is told of it.
pub struct Answer {
    /// What to send.
    pub reply: Reply,
    /// The operation; none if there is none of that name.
    pub action: Option<&'static str>,
    /// What it came to.
    pub done: Outcome<()>,
}

/// All doors of a deployment, over one service.
pub struct Doors {
    service: Service,
    /// In the order in which they are asked; the last one takes what no other does.
    doors: Vec<Box<dyn Dialect>>,
}

impl Doors {
    /// The doors that are served: the first always, Vault's with its settings.
    pub fn new(service: Service, vault: Option<vault::Settings>) -> Self {
        let mut doors: Vec<Box<dyn Dialect>> = Vec::new();
        if let Some(settings) = vault {
            doors.push(Box::new(vault::Vault::new(settings)));
        }
        doors.push(Box::new(rpc::Rpc));
        Self { service, doors }
    }

    /// Bounds callers otherwise from now on.
    pub fn limit(&self, limits: Limits) {
        self.service.limit(limits);
    }

    fn door(&self, path: &str) -> &dyn Dialect {
        let owner = self.doors.iter().find(|door| door.owns(path)).or(self.doors.last());
        &**owner.expect("`new` makes one")
    }

    /// Whether a request like this can be answered at all.
    ///
    /// # Errors
    /// As [`Dialect::accepts`].
    pub fn accepts(&self, method: Method, path: &str) -> Result<(), Error> {
        self.door(path).accepts(method, path)
    }

    /// Answers a call.
    pub fn call(&self, call: &Call) -> Answer {
        self.door(&call.path).call(&self.service, call)
    }

    /// As [`Dialect::refuse`]; with the error's code.
    pub fn refuse(&self, path: &str, error: &Error, request_id: &RequestId) -> (Reply, Code) {
        (self.door(path).refuse(error, request_id), Code::of(error))
    }
}

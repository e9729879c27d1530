//! The body of a request, read into memory within its limits.
//!
//! Owns: length, time and memory that bodies may take. Must not know: what is in them. Called by: handler, before it asks for a
//! permit, so that a body that trickles in holds none.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::web::Payload;
use futures_core::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::Error;

/// Unit in which memory for bodies is claimed, bytes. The first of each request is free: a connection's own buffers are as big.
const BLOCK: usize = 16 * 1024;

/// A body in memory and the claim on that memory.
pub(super) struct Body {
    pub bytes: Zeroizing<Vec<u8>>,
    pub claim: Option<OwnedSemaphorePermit>,
}

/// How long a body is, by the head. The parser has refused heads with both lengths, two lengths or none that is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Unknown,
}

impl Length {
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        // The parser takes what follows CONNECT for a stream without end.
        if headers.contains_key(TRANSFER_ENCODING) || *method == Method::CONNECT {
            return Length::Unknown;
        }
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Length::Known(length.unwrap_or(0))
    }
}

/// Reads bodies, and knows how much of them is in memory.
pub(super) struct Bodies {
    longest: usize,
    timeout: Duration,
    /// One permit for each [`BLOCK`].
    memory: Arc<Semaphore>,
}

impl Bodies {
    /// Bodies of at most `longest` bytes, all together of at most `memory` bytes, each within `timeout`.
    pub fn new(longest: usize, memory: usize, timeout: Duration) -> Self {
        Self { longest, timeout, memory: Arc::new(Semaphore::new(memory / BLOCK)) }
    }

    /// The whole body.
    ///
    /// # Errors
    /// `BodyTooLarge`, `RequestTimeout`, `MalformedRequest` if it breaks off or its chunks are malformed, `Unavailable` if there
    /// is no memory for it. After each the rest is not read and the connection must end.
    pub async fn read(&self, length: Length, payload: Payload) -> Result<Body, Error> {
        let declared = match length {
            Length::Known(0) => return Ok(Body { bytes: Zeroizing::default(), claim: None }),
            Length::Known(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Length::Unknown => 0,
        };
        if declared > self.longest {
            return Err(Error::BodyTooLarge);
        }
        timeout(self.timeout, self.collect(declared, payload)).await.unwrap_or(Err(Error::RequestTimeout))
    }

    async fn collect(&self, declared: usize, mut payload: Payload) -> Result<Body, Error> {
        // What is declared is only address space until it is written to: what counts, and is claimed, is what has come.
        let mut bytes = Zeroizing::new(Vec::with_capacity(declared));
        let mut claim: Option<OwnedSemaphorePermit> = None;
        let mut claimed = BLOCK;
        while let Some(chunk) = poll_fn(|cx| Pin::new(&mut payload).poll_next(cx)).await {
            let chunk = chunk.map_err(|_| Error::MalformedRequest("The body broke off, or its chunks are not well formed."))?;
            let length = bytes.len() + chunk.len();
            if length > self.longest {
                return Err(Error::BodyTooLarge);
            }
            while length > claimed {
                let block = Arc::clone(&self.memory).try_acquire_owned();
                let block = block.map_err(|_| Error::Unavailable("memory"))?;
                match &mut claim {
                    Some(claim) => claim.merge(block),
                    None => claim = Some(block),
                }
                claimed += BLOCK;
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Body { bytes, claim })
    }
}

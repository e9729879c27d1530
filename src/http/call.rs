//! A request as bytes and an answer as bytes: what stands between sockets and dialects.
//!
//! Owns: the two structs. Must not know: what is in them. Called by: handler; the dialects.

use std::net::IpAddr;
use std::sync::Arc;

use zeroize::{Zeroize, Zeroizing};

use crate::base::clock::Moment;
use crate::base::ids::RequestId;

/// A request as it arrived, with nothing decided yet. Query and body can hold secrets and are wiped when it is dropped.
pub struct Call {
    /// Made on arrival; in every answer and record of this request.
    pub request_id: RequestId,
    /// When the head had arrived.
    pub arrival: Moment,
    /// The client's address.
    pub peer: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The client's certificate in DER, whose chain the handshake has proved; none behind a proxy, whose own it would be.
    pub client_certificate: Option<Arc<[u8]>>,
    /// The method.
    pub method: Method,
    /// The path, as received.
    pub path: String,
    /// The query text as received, without `?`.
    pub query: String,
    /// Header names in lower case and their values, in order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body as received.
    pub body: Vec<u8>,
}

impl Call {
    /// The first value of a header; its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.query.zeroize();
        self.body.zeroize();
    }
}

/// A method of HTTP that some dialect knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// HEAD.
    Head,
    /// LIST, an extension that some APIs have.
    List,
}

impl Method {
    const ALL: [Method; 7] =
        [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Head, Method::List];

    /// The method of this name, in upper case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// As it stands on the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Head => "HEAD",
            Method::List => "LIST",
        }
    }
}

/// An answer ready to be sent.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Content-Type of the body.
    pub media_type: &'static str,
    /// Headers of the dialect's own, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body. It can hold a secret.
    pub body: Zeroizing<Vec<u8>>,
    /// Seconds after which the same request may be sent again, on 429 and 503.
    pub retry_after_s: Option<u32>,
}

//! The wire protocol of Alibaba Cloud RPC APIs, pure: bytes in, [`Call`] out; a reply struct in, bytes out.
//!
//! Owns: parameters, signatures, encodings, the table of faults. Must not know: tokens, databases, sockets.
//! Called by: http and api.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::ids::RequestId;

/// A request as it arrived, with nothing decided yet.
pub struct Call {
    /// Made on arrival; in every answer and record of this request.
    pub request_id: RequestId,
    /// When the head had arrived.
    pub received_at: Timestamp,
    /// The client's address.
    pub peer: IpAddr,
    /// Whether it came over TLS (acs:SecureTransport).
    pub secure: bool,
    /// GET or POST.
    pub method: Method,
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

/// The two methods of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

impl Method {
    /// As it stands in the string to sign.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// JSON, the default.
    #[default]
    Json,
    /// XML, on `Format=XML` of the RPC scheme.
    Xml,
}

/// An answer ready to be sent.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Form of the body.
    pub format: Format,
    /// The body.
    pub body: Vec<u8>,
    /// Seconds after which the same request may be sent again, on 429 and 503.
    pub retry_after_s: Option<u32>,
}

//! The wire protocol of Alibaba Cloud RPC APIs, pure: bytes in, [`Call`] out; a reply struct in, bytes out.
//!
//! Owns: parameters, signatures, encodings, the table of faults. Must not know: tokens, databases, sockets.
//! Called by: http and api.

pub mod encode;
pub mod fault;
pub mod params;
pub mod signature;

use std::net::IpAddr;

use zeroize::Zeroize;

use crate::base::clock::Timestamp;
use crate::base::ids::RequestId;

/// The one version of the API that is served.
pub const API_VERSION: &str = "2016-01-20";

/// A request as it arrived, with nothing decided yet. Query and body can hold secrets and are wiped when it is dropped.
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

impl Drop for Call {
    fn drop(&mut self) {
        self.query.zeroize();
        self.body.zeroize();
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

impl Format {
    /// The form that a request asks for, known even if its signature turns out to be wrong: `Format` of the RPC scheme in any
    /// letter case, where anything but XML means JSON (one SDK sends `None`). ACS3 is always answered in JSON.
    pub fn requested(call: &Call, params: &params::Params) -> Self {
        let rpc = !call.header("authorization").is_some_and(|text| text.starts_with(signature::ACS));
        let xml = params.iter().any(|(name, value)| name == "Format" && value.eq_ignore_ascii_case("xml"));
        if rpc && xml { Format::Xml } else { Format::Json }
    }

    /// The Content-Type of an answer in this form.
    ///
    /// Never `text/xml;charset=utf-8`, at which Tea SDKs switch to another reading of errors.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json;charset=utf-8",
            Format::Xml => "application/xml",
        }
    }
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

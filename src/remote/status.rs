//! `bulla whoami` and `bulla status`.

use super::{Session, failure};
use crate::base::failure::Failure;
use crate::base::locale::t;
use crate::output::Output;

/// Who asks, as the server sees it.
pub(super) fn whoami(session: &Session) -> Result<Output, Failure> {
    let caller = session.client.caller().map_err(failure(""))?;
    Ok(Output::one([
        ("Arn", caller.arn.into()),
        ("AccountId", caller.account_id.into()),
        ("IdentityType", caller.identity_type.into()),
        ("AccessKeyId", session.client.access_key_id().into()),
        ("Endpoint", session.client.endpoint().into()),
        ("RegionId", session.client.region().map_err(failure(""))?.into()),
        ("Source", session.source.as_str().into()),
    ]))
}

/// Whether the server is ready, of which version it is, and who asks it.
pub(super) fn status(session: &Session) -> Result<Output, Failure> {
    let client = &session.client;
    let look = client.readiness().map_err(failure(""))?;
    let ready = look.status == 200;
    // The listener of probes can be another one.
    let said = if look.status == 404 {
        t!("ready (it answers; its page of reasons is on another listener)").into_owned()
    } else {
        look.text
    };
    if !ready && look.status != 404 {
        return Err(Failure::unavailable(t!(
            "%{endpoint} is not ready: %{said}",
            endpoint = client.endpoint(),
            said = said.trim()
        )));
    }
    // Signed: a stranger learns neither.
    let caller = client.caller().map_err(failure(""))?;
    Ok(Output::one([
        ("Endpoint", client.endpoint().into()),
        ("ServerVersion", caller.server_version.into()),
        ("RegionId", client.region().map_err(failure(""))?.into()),
        // The page is JSON: typed for programs, and the same text for people.
        ("Status", serde_json::from_str(&said).unwrap_or_else(|_| said.trim().into())),
        ("ClockAheadSeconds", look.clock_ahead.into()),
        ("RoundTripMs", look.round_trip_ms.into()),
        ("AccessKey", t!("accepted").into()),
        ("AccountId", caller.account_id.into()),
        ("Arn", caller.arn.into()),
    ]))
}

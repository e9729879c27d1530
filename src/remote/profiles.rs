//! `bulla profiles`.

use super::profile::{self, Kept};
use crate::base::failure::Failure;
use crate::output::Output;

/// What is kept of each, but for secrets.
pub(super) fn list() -> Result<Output, Failure> {
    let taken = profile::named(None).unwrap_or_else(|| profile::DEFAULT.to_owned());
    let kept = profile::kept(&profile::folder_of_config()?)?;
    let rows = kept.into_iter().map(|Kept { name, endpoint, access_key_id }| {
        let is_default = name == taken;
        Output::row([
            ("Profile", name.into()),
            ("Endpoint", endpoint.into()),
            ("AccessKeyId", access_key_id.into()),
            ("Default", is_default.into()),
        ])
    });
    Ok(Output::List(rows.collect()))
}

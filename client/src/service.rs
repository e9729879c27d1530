//! What is asked of the service itself.

use std::time::Instant;

use serde::Deserialize;

use crate::client::{Client, Request};
use crate::error::{Error, clock_ahead};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Regions {
    regions: RegionList,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RegionList {
    region: Vec<Region>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Region {
    region_id: String,
}

/// Who calls, as the service sees it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Caller {
    /// The account.
    pub account_id: String,
    /// `acs:ram::ACCOUNT:root`, `…:user/NAME`, or `acs:kms:REGION:ACCOUNT:applicationaccesspoint/NAME`.
    pub arn: String,
    /// `Account`, `RAMUser` or `ApplicationAccessPoint`.
    pub identity_type: String,
    /// The version of the program that answered; none of one that does not say it yet.
    #[serde(default)]
    pub server_version: Option<String>,
}

/// What the page of readiness says, where it is on the listener of the API.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// 200 where all is well.
    pub status: u16,
    /// In words.
    pub text: String,
    /// How far this side's clock is ahead of the server's, in seconds; negative where it is behind.
    pub clock_ahead: Option<i64>,
    /// From asking to the answer's end, in milliseconds; connecting included.
    pub round_trip_ms: u64,
}

impl Client {
    /// GetCallerIdentity: who signs the calls of this client. An addition of Bulla's, needs no permission.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn caller(&self) -> Result<Caller, Error> {
        self.call(&Request::new("GetCallerIdentity"))
    }

    /// Whether token, database and audit log answer. Not signed, asked once.
    ///
    /// # Errors
    /// Of the connection.
    pub fn readiness(&self) -> Result<Readiness, Error> {
        let begun = Instant::now();
        let answer = self.transport.exchange("/readyz", "/readyz", &[], None)?;
        Ok(Readiness {
            status: answer.status,
            text: String::from_utf8_lossy(&answer.body).into_owned(),
            clock_ahead: answer.date.as_deref().and_then(clock_ahead),
            round_trip_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// DescribeRegions: the region that the service answers as. Every access key that is accepted may ask it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn region(&self) -> Result<String, Error> {
        let answer: Regions = self.call(&Request::new("DescribeRegions"))?;
        Ok(answer.regions.region.into_iter().next().map(|region| region.region_id).unwrap_or_default())
    }
}

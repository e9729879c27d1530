//! GetCallerIdentity: who signed the request. An addition of this service's, under the name that the platform has for it in another
//! service; needs no permission. It says the program's version too: whoever has signed may know it, and strangers learn nothing.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Target};
use crate::auth::Principal;
use crate::base::ids::AccountId;
use crate::error::Error;

pub struct GetCallerIdentity;

/// Parameters: none.
#[derive(Deserialize)]
pub struct Request {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Response {
    account_id: AccountId,
    arn: String,
    identity_type: &'static str,
    server_version: &'static str,
}

impl Operation for GetCallerIdentity {
    const NAME: &'static str = "GetCallerIdentity";
    const EFFECT: Effect = Effect::Read;
    type Input = Request;
    type Response = Response;

    fn target(_: &Request) -> Target<'_> {
        Target::nothing()
    }

    fn run(cx: &Context<'_>, _: Request) -> Result<Response, Error> {
        let caller = cx.caller;
        let (arn, identity_type) = match &caller.principal {
            who @ Principal::Root => (format!("acs:ram::{}:{who}", caller.account), "Account"),
            who @ Principal::User(_) => (format!("acs:ram::{}:{who}", caller.account), "RAMUser"),
            Principal::AccessPoint(name) => {
                (caller.arn(None, &format!("applicationaccesspoint/{name}")), "ApplicationAccessPoint")
            }
        };
        let server_version = env!("CARGO_PKG_VERSION");
        Ok(Response { account_id: caller.account.clone(), arn, identity_type, server_version })
    }
}

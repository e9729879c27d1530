//! Operations whose resource a deployment of its own does not have: each answers `UnsupportedOperation`, and says what is missing, to
//! whoever has the permission. A caller without it learns nothing.

use serde::{Deserialize, Serialize};

use crate::api::{Context, Effect, Operation, Resource, Target};
use crate::error::Error;

const INSTANCE: &str = "KMS instance: keys are on the token of this deployment, in one place for all accounts";
const ENCLAVE: &str = "enclave attestation";
const MANAGED_DATA_KEY: &str = "managed data key";

/// Parameters, none of which is looked at.
#[derive(Deserialize)]
pub struct Request {}

/// There is none.
#[derive(Serialize)]
pub enum Response {}

macro_rules! lacking {
    ($($name:ident: $what:expr,)+) => {$(
        #[doc = stringify!($name)]
        pub struct $name;

        impl Operation for $name {
            const NAME: &'static str = stringify!($name);
            const EFFECT: Effect = Effect::Read;
            type Input = Request;
            type Response = Response;

            fn target(_: &Request) -> Target<'_> {
                Target::of(Resource::Everything)
            }

            fn run(_: &Context<'_>, _: Request) -> Result<Response, Error> {
                Err(Error::Lacking($what.into()))
            }
        }
    )+};
}

lacking! {
    ConnectKmsInstance: INSTANCE,
    GetChallenge: ENCLAVE,
    GetDefaultKmsInstance: INSTANCE,
    GetKmsInstance: INSTANCE,
    GetKmsInstanceQuotaInfos: INSTANCE,
    GetManagedDataKey: MANAGED_DATA_KEY,
    ListManagedDataKeyVersions: MANAGED_DATA_KEY,
    ReleaseKmsInstance: INSTANCE,
    UpdateKmsInstanceBindVpc: INSTANCE,
}

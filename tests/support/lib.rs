//! What the tests need around the service: real servers, started for the test and gone with it.
pub mod postgres;

//! What real clients send, and what must not pass.

#![allow(clippy::unwrap_used)]

mod client;
mod forms;
mod samples;
mod vectors;

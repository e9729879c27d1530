//! The front as clients meet it: the real server on a port of its own, raw bytes over TCP.
#![allow(clippy::unwrap_used)]

mod deadlines;
mod harness;
mod pages;
mod refusals;
mod requests;
mod stopping;

//! `bulla serve`: the server, until it is told to stop.

use crate::app::{Failure, Server};
use crate::config::Config;
use crate::logging;

/// Runs the command.
///
/// # Errors
/// Why it does not start.
pub fn run(config: &Config) -> Result<(), Failure> {
    logging::set(config.log);
    let server = Server::open(config)?;
    log::info!("serving on {}", server.address()?);
    server.run()
}

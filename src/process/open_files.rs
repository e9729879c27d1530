//! Open files: how many the system allows, and how many of them strangers may have.
//!
//! Owns: the limit (RLIMIT_NOFILE) and its division. Must not know: what the files are. Called by: app.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections that a server must at least have room for.
const LEAST_CONNECTIONS: u64 = 8;

/// Raises the limit as far as the system lets this process, and says how many connections fit beside `reserve` files that the
/// service itself needs open at its busiest: `wanted`, or fewer. Nothing that clients do then takes a file from the token, the
/// database or the audit log.
///
/// # Errors
/// When hardly a connection fits; what to do, in words for the administrator.
pub fn connections_within(wanted: usize, reserve: usize) -> io::Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let Some(limit) = limit.maximum else { return Ok(wanted) };
    fit(wanted, reserve, limit)
}

fn fit(wanted: usize, reserve: usize, limit: u64) -> io::Result<usize> {
    let reserve = reserve as u64;
    let left = limit.saturating_sub(reserve);
    if left < LEAST_CONNECTIONS {
        let least = reserve + LEAST_CONNECTIONS;
        return Err(io::Error::other(format!(
            "the system allows {limit} open files, and the service needs {least} at least (LimitNOFILE, ulimit -n)"
        )));
    }
    Ok(usize::try_from(left).map_or(wanted, |left| wanted.min(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_the_service_does_not_need() {
        assert_eq!(fit(4096, 100, 20_000).ok(), Some(4096));
        assert_eq!(fit(4096, 100, 1024).ok(), Some(924));
        assert_eq!(fit(4096, 100, 108).ok(), Some(8));
        let refused = fit(4096, 100, 64).map_err(|e| e.to_string());
        assert!(refused.is_err_and(|e| e.contains("needs 108")), "a limit that nothing fits into is said");
    }
}

//! The arguments of `bulla token`.

use clap::Subcommand;

use crate::base::ids::UserName;

/// `bulla token`
#[derive(Subcommand)]
pub enum BearerToken {
    /// Makes a bearer token for Vault's API; it is shown once.
    Create {
        /// The user; without it, the account's root.
        #[arg(long)]
        user: Option<UserName>,
        /// How long it lives: a number and m, h or d, at most 366d. It cannot be renewed.
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = ttl_ms)]
        ttl: i64,
        /// What it is called in lists.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Lists tokens by their accessors.
    List,
    /// Ends a token, and those that were made with it.
    Revoke {
        /// Its accessor.
        accessor: String,
    },
}

/// A time in ms.
fn ttl_ms(text: &str) -> Result<i64, String> {
    let units = [("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let found = units.iter().find_map(|(unit, ms)| text.strip_suffix(unit)?.parse::<i64>().ok()?.checked_mul(*ms));
    found
        .filter(|ms| (60_000..=366 * 86_400_000).contains(ms))
        .ok_or_else(|| "for example 30m, 12h or 30d; from a minute to 366 days".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ms) in [("1m", 60_000), ("12h", 43_200_000), ("366d", 366 * 86_400_000)] {
            assert_eq!(ttl_ms(text), Ok(ms), "{text}");
        }
        for wrong in ["", "0m", "367d", "h", "1s", "-1h", "99999999999999999d"] {
            assert!(ttl_ms(wrong).is_err(), "{wrong}");
        }
    }
}

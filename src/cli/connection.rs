//! Which server a command asks, and as whom.

use std::path::PathBuf;

use clap::Args;

use super::words::named;

/// Which server, and who asks.
#[derive(Args, Clone, Default, Debug)]
pub struct Connection {
    /// A profile of ~/.config/bulla/config.toml, or a folder with a profile.toml, as `bulla dev` writes it; else $BULLA_PROFILE.
    #[arg(long, value_name = "NAME", global = true, display_order = 901, value_parser = named)]
    pub profile: Option<String>,
    /// The server, http(s)://HOST:PORT; else $BULLA_ENDPOINT, else the profile's.
    #[arg(long, value_name = "URL", global = true, display_order = 902, value_parser = named)]
    pub endpoint: Option<String>,
    /// The file of the authority that signed the server's certificate; else $BULLA_CA_FILE, else the profile's.
    #[arg(long, value_name = "FILE", global = true, display_order = 903)]
    pub ca: Option<PathBuf>,
}

/// The same before the command's name: `bulla --profile dev secret list`.
#[derive(Args, Clone, Default, Debug)]
pub struct Leading {
    /// Of the commands that ask a server: which profile.
    #[arg(long = "profile", id = "leading_profile", value_name = "NAME", hide = true, value_parser = named)]
    profile: Option<String>,
    /// Of the commands that ask a server: which server.
    #[arg(long = "endpoint", id = "leading_endpoint", value_name = "URL", hide = true, value_parser = named)]
    endpoint: Option<String>,
    /// Of the commands that ask a server: whom its certificate is signed by.
    #[arg(long = "ca", id = "leading_ca", value_name = "FILE", hide = true)]
    ca: Option<PathBuf>,
}

impl Connection {
    /// With what stood before the command's name, where nothing stands behind it.
    pub fn or(self, leading: Leading) -> Self {
        Self {
            profile: self.profile.or(leading.profile),
            endpoint: self.endpoint.or(leading.endpoint),
            ca: self.ca.or(leading.ca),
        }
    }
}

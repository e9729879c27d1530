//! The arguments of `bulla secret import` and `export`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::words::{named, pair, subdomain};

/// `bulla secret import`
#[derive(Args)]
#[command(group = ArgGroup::new("source").args(["file", "from_vault", "from_alibaba"]).required(true))]
pub struct Import {
    /// A file; - is standard input.
    pub file: Option<PathBuf>,
    /// The current versions of a mount of KV version 2 on a server of Vault's API. The token is $VAULT_TOKEN, else it is asked for;
    /// $VAULT_NAMESPACE and $VAULT_CACERT count as with `vault`.
    #[arg(long, value_name = "URL", value_parser = named)]
    pub from_vault: Option<String>,
    /// With --from-vault: which mount; secret where nothing is said.
    #[arg(long, value_name = "NAME", requires = "from_vault", value_parser = named)]
    pub mount: Option<String>,
    /// The current versions on a server of this API: Alibaba Cloud's, or another Bulla. The access key is that of --from-profile.
    #[arg(long, value_name = "URL", requires = "from_profile", value_parser = named)]
    pub from_alibaba: Option<String>,
    /// With --from-alibaba: the profile that reads there.
    #[arg(long, value_name = "NAME", requires = "from_alibaba", value_parser = named)]
    pub from_profile: Option<String>,
    /// With --from-vault and --from-alibaba: the file of the authority that signed the certificate there.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub from_ca: Option<PathBuf>,
    /// With --from-vault and --from-alibaba: only those whose names begin so there.
    #[arg(long, value_name = "PREFIX", conflicts_with = "file", value_parser = named)]
    pub from_prefix: Option<String>,
    /// What the file is; by its name and its first words where nothing is said.
    #[arg(long, requires = "file")]
    pub format: Option<Format>,
    /// What all names begin with here, before those of the source.
    #[arg(long, value_name = "PREFIX", value_parser = named)]
    pub prefix: Option<String>,
    /// Write secrets that have another value as new versions; without it they stay, are named, and the exit code is 5.
    #[arg(long)]
    pub overwrite: bool,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// The key of new secrets: id, alias/NAME or ARN; without it, the account's default key.
    #[arg(long, value_name = "KEY", value_parser = named)]
    pub key: Option<String>,
    /// A tag of new secrets.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    pub tags: Vec<(String, String)>,
}

/// `bulla secret export`
#[derive(Args)]
pub struct Export {
    /// The secrets.
    #[arg(required_unless_present = "prefix", conflicts_with = "prefix", value_parser = named)]
    pub names: Vec<String>,
    /// All whose names begin so, without that beginning.
    #[arg(long, value_name = "PREFIX", value_parser = named)]
    pub prefix: Option<String>,
    /// What to write.
    #[arg(long, default_value = "json")]
    pub format: Format,
    /// Into this file, for its owner alone; else, or with -, standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What the manifest's Secret is called.
    #[arg(long, value_name = "NAME", default_value = "bulla", value_parser = subdomain)]
    pub name: String,
}

/// How many secrets stand in one file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Format {
    /// Lines NAME=VALUE.
    Env,
    /// An object: texts by name, what is no text as JSON, bytes as an object with their Base64.
    Json,
    /// A manifest of Kubernetes: Secrets, in YAML or JSON.
    K8s,
}

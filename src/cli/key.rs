//! The arguments of `bulla key`. What is encrypted or signed comes from standard input or a file.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::words::{self, named, pair};

/// `bulla key`. KEY is an id, alias/NAME or an ARN.
#[derive(Subcommand)]
pub enum Key {
    /// The keys, oldest first, with their aliases.
    List {
        /// Only the ids, one a line.
        #[arg(short, long)]
        quiet: bool,
    },
    /// Make a key.
    Create {
        /// Aliyun_AES_256 (the default), RSA_2048, EC_P256, HMAC_SHA_256, ….
        #[arg(long, value_parser = named)]
        spec: Option<String>,
        /// encrypt, sign, or mac; what the spec is for where nothing is said.
        #[arg(long)]
        usage: Option<Usage>,
        /// The material comes from outside, later.
        #[arg(long)]
        external: bool,
        /// SOFTWARE or HSM.
        #[arg(long, value_name = "LEVEL", value_parser = named)]
        protection: Option<String>,
        /// What it is for.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A new version by itself each time so many days are over: 7d to 730d.
        #[arg(long, value_name = "DAYS", value_parser = named)]
        rotate_every: Option<String>,
        /// Another name for it: alias/NAME, or NAME; one that no key has yet.
        #[arg(long, value_name = "NAME", value_parser = alias)]
        alias: Option<String>,
        /// A tag.
        #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
        tags: Vec<(String, String)>,
    },
    /// What is known of a key.
    Show {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
    },
    /// The versions of a key, oldest first.
    Versions {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
    },
    /// Make a new version, which encrypts from then on; the others still decrypt.
    Rotate {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
    },
    /// Refuse every use of a key.
    Disable {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
    },
    /// Allow the uses of a key again.
    Enable {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
    },
    /// Refuse the deletion of a key.
    Protect {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
        /// Why, for who reads `key show`.
        #[arg(long, value_name = "TEXT", conflicts_with = "off")]
        reason: Option<String>,
        /// Allow its deletion again.
        #[arg(long)]
        off: bool,
    },
    /// Delete a key after some days, with all that it protects. Asks for the key as it was named, unless --yes.
    Delete {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
        /// After so many days (7d to 366d); 30d where nothing is said.
        #[arg(long = "in", value_name = "DAYS", value_parser = days, default_value = "30d")]
        after: u32,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
        /// Take a deletion back, while its days last.
        #[arg(long, conflicts_with_all = ["after", "yes"])]
        cancel: bool,
    },
    /// The other names of keys: show them, set one (NAME KEY), take one away.
    Alias {
        /// alias/NAME, or NAME.
        #[arg(value_parser = alias)]
        name: Option<String>,
        /// The key that it is to be a name of; another one's before.
        #[arg(conflicts_with = "delete", value_parser = named)]
        key: Option<String>,
        /// Take the name away.
        #[arg(long, requires = "name")]
        delete: bool,
    },
    /// Encrypt bytes (up to 6 KiB; with a key pair as many as its algorithm takes). Prints Base64.
    Encrypt {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
        /// What.
        #[command(flatten)]
        input: Input,
        /// What must be named again to decrypt; of symmetric keys.
        #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair)]
        context: Vec<(String, String)>,
        /// Of a key pair: which version and how.
        #[command(flatten)]
        pair: Pair,
    },
    /// Decrypt what `encrypt` printed. The ciphertext names its key, but for key pairs.
    Decrypt {
        /// The key, of a key pair only.
        #[arg(value_parser = named)]
        key: Option<String>,
        /// What.
        #[command(flatten)]
        input: Input,
        /// The context that it was encrypted with.
        #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair)]
        context: Vec<(String, String)>,
        /// Of a key pair: which version and how.
        #[command(flatten)]
        pair: Pair,
    },
    /// Sign bytes of any length, by their SHA-256. Prints Base64.
    Sign {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
        /// What.
        #[command(flatten)]
        input: Input,
        /// Which version and how.
        #[command(flatten)]
        pair: Pair,
    },
    /// Verify a signature, or with a MAC key a MAC. Exit code 1 where it is another's.
    Verify {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
        /// The signature or MAC, in Base64; @FILE for a file that holds it.
        #[arg(long, value_parser = named)]
        signature: String,
        /// Of what.
        #[command(flatten)]
        input: Input,
        /// Which version and how.
        #[command(flatten)]
        pair: Pair,
    },
    /// The MAC of bytes. Prints Base64.
    Mac {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
        /// Of what.
        #[command(flatten)]
        input: Input,
        /// HMAC_SHA_256, ….; the key's own where nothing is said.
        #[arg(long, value_parser = named)]
        algorithm: Option<String>,
    },
    /// The public half of a key pair, in PEM.
    PublicKey {
        /// The key.
        #[arg(value_parser = named)]
        key: String,
        /// Which version; the newest where nothing is said.
        #[arg(long, value_name = "ID", value_parser = named)]
        version: Option<String>,
    },
}

/// Where bytes come from.
#[derive(Args)]
pub struct Input {
    /// A file; else standard input. Either byte for byte.
    #[arg(long = "in-file", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// What a key pair wants to know.
#[derive(Args)]
pub struct Pair {
    /// Which version; the newest where nothing is said.
    #[arg(long, value_name = "ID", value_parser = named)]
    pub version: Option<String>,
    /// For example RSA_PSS_SHA_256, ECDSA_SHA_256, RSAES_OAEP_SHA_256; the best that the key has where nothing is said.
    #[arg(long, value_parser = named)]
    pub algorithm: Option<String>,
}

/// What a key is for.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Usage {
    /// ENCRYPT/DECRYPT
    Encrypt,
    /// SIGN/VERIFY
    Sign,
    /// GENERATE/VERIFY_MAC
    Mac,
}

/// The window in which a deletion can be taken back.
fn days(text: &str) -> Result<u32, String> {
    words::days(text, 7..=366)
}

/// With its prefix.
fn alias(text: &str) -> Result<String, String> {
    let text = named(text)?;
    Ok(if text.starts_with("alias/") { text } else { format!("alias/{text}") })
}

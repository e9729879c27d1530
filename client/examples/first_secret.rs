//! A first secret from Rust: writes it, reads it, says which version that was.
//!
//! ```sh
//! . d/env.sh                                   # of `bulla dev --data d`
//! cargo run -p bulla-client --example first_secret
//! ```

use std::error::Error;
use std::io::Write;

use bulla_client::{AccessKey, Client, NewSecret, Selector, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("${name} is not set"));
    let key = AccessKey::new(variable("ALIBABA_CLOUD_ACCESS_KEY_ID")?, variable("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?);
    let endpoint = variable("BULLA_ENDPOINT")?;
    let client = match std::env::var("BULLA_CA_FILE") {
        Ok(file) => Client::builder(&format!("https://{endpoint}")).ca_file(file),
        Err(_) => Client::builder(&format!("http://{endpoint}")),
    };
    let client = client.access_key(key).build()?;

    let new = NewSecret { name: "app/rust", version: "v1", ..NewSecret::default() };
    match client.create_secret(&new, &Value::new(b"s3cret".to_vec()), false) {
        Err(error) if error.code() == "Rejected.ResourceExist" => {}
        other => other?,
    }
    let found = client.secret_value("app/rust", &Selector::Current)?;
    writeln!(std::io::stdout(), "{} of version {}", found.data.text().unwrap_or("(bytes)"), found.version)?;
    Ok(())
}

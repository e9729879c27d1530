//! A secret that a program uses again and again: asked for once a minute at most, read anew in the background, served while the server is
//! away. Says so when there is another version, until it is ended.
//!
//! ```sh
//! . d/env.sh                                   # of `bulla dev --data d`
//! cargo run -p bulla-client --example cached_secret app/db
//! ```

use std::error::Error;
use std::io::Write;
use std::thread;
use std::time::Duration;

use bulla_client::{AccessKey, Cache, Client, Selector};

fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("${name} is not set"));
    let key = AccessKey::new(variable("ALIBABA_CLOUD_ACCESS_KEY_ID")?, variable("ALIBABA_CLOUD_ACCESS_KEY_SECRET")?);
    let endpoint = variable("BULLA_ENDPOINT")?;
    let client = match std::env::var("BULLA_CA_FILE") {
        Ok(file) => Client::builder(&format!("https://{endpoint}")).ca_file(file),
        Err(_) => Client::builder(&format!("http://{endpoint}")),
    };
    let name = std::env::args().nth(1).ok_or("which secret?")?;
    let cache = Cache::builder(client.access_key(key).build()?).ttl(Duration::from_secs(60)).build();

    let mut known = String::new();
    loop {
        let value = cache.secret_value(&name, &Selector::Current)?;
        if value.version != known {
            known.clone_from(&value.version);
            writeln!(std::io::stdout(), "{name} is of version {known}, {} bytes", value.data.expose().len())?;
        }
        if let Some(reason) = cache.failure() {
            writeln!(std::io::stderr(), "served from memory: {reason}")?;
        }
        thread::sleep(Duration::from_secs(1));
    }
}

//! `bulla ceremony`: makes the system keys before witnesses, and writes down what was made.
//!
//! The transcript names the module by its hash, the token by its serial number and firmware, and every attribute of every system key as
//! the token says it, so that whoever signs it signs what was there. Its own hash stands in the log `admin`, which AUD signs.

use std::fmt::Write as _;
use std::fs;

use aws_lc_rs::digest::{SHA256, digest};

use crate::admin::{LOCK_WAIT_MS, init};
use crate::app::{Base, Failure, context, names_of, system_keys};
use crate::audit::{Kind, Record, Verdict};
use crate::base::clock::Clock;
use crate::base::ids::{KeyVersionId, RequestId};
use crate::base::whole_file::{self, Access};
use crate::config::Config;
use crate::output::Output;
use crate::token::LeftOut;

/// Runs the command: makes the system keys unless that was done, and records them as they are.
pub fn run(config: &Config) -> Result<Output, Failure> {
    let base = init::begin(config)?;
    let text = transcript(config, &base)?;
    let fingerprint = hex::encode(digest(&SHA256, text.as_bytes()));
    let log = base.audit(config, "admin", LOCK_WAIT_MS)?;
    let principal = format!("host/uid={}", rustix::process::getuid().as_raw());
    let resource = format!("ceremony/sha256:{fingerprint}");
    let record = Record {
        principal: Some(&principal),
        resource: Some(&resource),
        decision: Some(Verdict::Allowed),
        by: Some("host"),
        code: Some("OK"),
        ..Record::new(Kind::Admin, RequestId::new(), "Ceremony")
    };
    log.audit.submit(&record).wait().map_err(context("audit"))?;
    let file = config.audit.directory.join(format!("ceremony-{}.txt", &fingerprint[..16]));
    whole_file::write(&file, text.as_bytes(), &Access::of_mode(0o640)).map_err(context(file.display()))?;
    let tail = format!(
        "\nSHA-256 of all above: {fingerprint}\nKept in {}; recorded in the audit log \"admin\" as {resource}.\n\n\
         Witnesses: name, date, signature\n\n\
         1. ______________________________\n\n2. ______________________________\n\n3. ______________________________\n",
        file.display()
    );
    Ok(Output::Text("Transcript", text + &tail))
}

fn transcript(config: &Config, base: &Base) -> Result<String, Failure> {
    let described = base.token.description().map_err(context("token"))?;
    if !config.token.module.is_absolute() {
        // The loader looks for a name in folders of its own: another file than the one that would be read here.
        let why =
            format!("token.module {}: the hash of what is loaded by a name cannot be told", config.token.module.display());
        return Err(Failure::local(why).hint("name the module by its whole path"));
    }
    let module = fs::read(&config.token.module).map_err(context(config.token.module.display()))?;
    let token = &described.token;
    let row = &base.deployment;
    let mut text = String::new();
    let now = jiff::Timestamp::from_millisecond(Clock::System.now().0).map_or_else(|_| String::new(), |t| format!("{t:.0}"));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<24}{value}");
    };
    line("Key ceremony", "system keys of a Bulla deployment");
    line("Time", &now);
    line("Program", concat!("bulla ", env!("CARGO_PKG_VERSION")));
    line("Deployment", &row.id.to_string());
    line("Region", row.region.as_str());
    line(
        "Keys made",
        &jiff::Timestamp::from_millisecond(row.created_at.0).map_or_else(|_| String::new(), |t| format!("{t:.0}")),
    );
    line("Module", &config.token.module.display().to_string());
    line("Module SHA-256", &hex::encode(digest(&SHA256, &module)));
    line("Module says", &described.module);
    line("Token label", &token.label);
    line("Token serial", &token.serial);
    line("Token", &format!("{}, {}", token.manufacturer, token.model));
    line("Hardware version", &format!("{}.{}", token.hardware.0, token.hardware.1));
    line("Firmware version", &format!("{}.{}", token.firmware.0, token.firmware.1));
    line("Suite", row.suite.name());
    line("Attributes left out", &names_of(&LeftOut::read(&row.left_out).names()));
    for (name, id, _) in system_keys(row) {
        attributes(&mut text, base, name, &id)?;
    }
    let public = base.token.public_key(&row.aud_key).map_err(context("token"))?;
    let _ = writeln!(text, "\nPublic key of AUD, SHA-256 {}:", hex::encode(digest(&SHA256, public.as_der())));
    text.push_str(&public.to_pem());
    Ok(text)
}

/// Every object of a system key, as the token describes it.
fn attributes(text: &mut String, base: &Base, name: &str, id: &KeyVersionId) -> Result<(), Failure> {
    for object in base.token.inspect(id).map_err(context(format!("token: {name}")))? {
        let class = object.attributes.get("CKA_CLASS").map_or("", String::as_str);
        let _ = writeln!(text, "\n{name} {id} ({class})");
        for (attribute, value) in &object.attributes {
            let _ = writeln!(text, "  {attribute:<24}{value}");
        }
    }
    Ok(())
}

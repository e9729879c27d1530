//! Parameters of managed secrets.
//!
//! Owns: the bounds of RotationInterval, what ExtendedConfig must have. Called by: CreateSecret, UpdateSecretRotationPolicy.

use std::str::FromStr;

use serde::Deserialize;

use crate::api::interval::{HOUR_S, interval_s};
use crate::base::ids::{InstanceId, Malformed};
use crate::base::words::SecretSubType;
use crate::secrets::{MAX_CUSTOM_DATA_ENTRIES, MAX_EXTENDED_CONFIG_CHARS};

/// RotationInterval of secrets: 6 hours to 8,760 hours.
#[derive(Debug, Clone, Copy)]
pub struct RotationInterval {
    /// Milliseconds.
    pub ms: i64,
}

impl FromStr for RotationInterval {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let seconds = interval_s(text).filter(|s| (6 * HOUR_S..=8760 * HOUR_S).contains(s));
        seconds.map(|s| Self { ms: s * 1000 }).ok_or(Malformed("6h to 8760h"))
    }
}

/// ExtendedConfig of an Rds secret: JSON text of at most 1,024 characters. Members that it does not need are dropped.
#[derive(Debug)]
pub struct ExtendedConfig {
    /// Between how many accounts.
    pub sub_type: SecretSubType,
    /// The server.
    pub instance: InstanceId,
    /// CustomData: a JSON object of at most ten pairs.
    pub custom_data: String,
}

impl FromStr for ExtendedConfig {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Given {
            secret_sub_type: SecretSubType,
            #[serde(rename = "DBInstanceId")]
            instance: InstanceId,
            #[serde(default)]
            custom_data: serde_json::Map<String, serde_json::Value>,
        }
        let given = Some(text)
            .filter(|t| t.chars().count() <= MAX_EXTENDED_CONFIG_CHARS)
            .and_then(|t| serde_json::from_str::<Given>(t).ok());
        let given = given.filter(|given| given.custom_data.len() <= MAX_CUSTOM_DATA_ENTRIES);
        let given = given.ok_or(Malformed("SecretSubType, DBInstanceId and at most ten pairs of CustomData"))?;
        let custom_data = serde_json::Value::Object(given.custom_data).to_string();
        Ok(Self { sub_type: given.secret_sub_type, instance: given.instance, custom_data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let ms = |text: &str| text.parse::<RotationInterval>().map(|i| i.ms).ok();
        assert_eq!(ms("6h"), Some(21_600_000));
        assert_eq!(ms("21600s"), ms("360m"));
        assert_eq!(ms("365d"), ms("8760h"));
        for wrong in
            ["", "h", "6", "5h", "8761h", "366d", "-6h", "+6h", "6 h", "6H", "6.5h", "6h6h", "9223372036854775807d", "6時"]
        {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn extended_configs() {
        let config: ExtendedConfig = r#"{"SecretSubType":"DoubleUsers","DBInstanceId":"pg-1","CustomData":{"b":"1","a":{}},"More":1}"#.parse().expect("whole");
        assert_eq!((config.sub_type, config.instance.as_str()), (SecretSubType::DoubleUsers, "pg-1"));
        assert_eq!(config.custom_data, r#"{"a":{},"b":"1"}"#);
        let long =
            format!(r#"{{"SecretSubType":"SingleUser","DBInstanceId":"pg-1","CustomData":{{"a":"{}"}}}}"#, "x".repeat(1000));
        let many = format!(
            r#"{{"SecretSubType":"SingleUser","DBInstanceId":"pg-1","CustomData":{{{}}}}}"#,
            (0..11).map(|n| format!(r#""{n}":"""#)).collect::<Vec<_>>().join(",")
        );
        for wrong in
            ["", "{}", r#"{"SecretSubType":"SingleUser"}"#, r#"{"SecretSubType":"Other","DBInstanceId":"pg-1"}"#, &long, &many]
        {
            assert!(wrong.parse::<ExtendedConfig>().is_err(), "{wrong}");
        }
    }
}

//! What attackers try: forged and hostile input, replays, rows changed behind the service's back, memory, TLS.

pub mod answers;
pub mod audit_log;
pub mod forgery;
pub mod hostile_input;
pub mod intruder;
pub mod memory;
pub mod old_rows;
pub mod rekey;
pub mod replays;
pub mod rollback;
pub mod strangers;
pub mod system_keys;
pub mod tampering;
pub mod tls;
pub mod values;

//! What attackers try: forged and hostile input, replays, rows changed behind the service's back, memory, TLS.

pub mod forgery;
pub mod hostile_input;
pub mod memory;
pub mod replays;
pub mod strangers;
pub mod tampering;
pub mod tls;

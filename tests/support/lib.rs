//! What Bulla's tests share. Knows Bulla only from outside: its program, its wire protocol, its databases.

pub mod chaos;
pub mod client;
pub mod disk;
pub mod journal;
pub mod mariadb;
pub mod memory;
pub mod namespace;
pub mod node;
pub mod postgres;
pub mod power;
pub mod relay;
pub mod server;
pub mod sizes;

//! What Bulla's tests share. Knows Bulla only from outside: its program, its wire protocol, its databases.

pub mod client;
pub mod mariadb;
pub mod postgres;
pub mod server;

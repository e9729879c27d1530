//! The engine under the rows: connections, transactions, retries, the schema, and the MAC of a row.
//!
//! Owns: how a statement runs on either database. Must not know: any table but `deployment`'s schema number. Called by: the rows.

pub mod begin;
pub mod connection;
pub mod content;
pub mod copy;
pub mod digest;
pub mod disbelief;
pub mod error;
pub mod gate;
pub mod known;
pub mod level;
pub mod libpq_url;
pub mod location;
pub mod marks;
pub mod migrate;
pub mod migrate_lock;
pub mod migrations;
pub mod part_sum;
pub mod pool;
pub mod privileges;
pub mod room;
pub mod row_mac;
pub mod runner;
pub mod schema;
pub mod scope;
pub mod scope_digests;
pub mod setup_lock;
pub mod shape;
pub mod shared_commit;
pub mod statements;
pub mod together;
pub mod tx;
pub mod types;
pub mod update;
pub mod waits;
pub mod way;

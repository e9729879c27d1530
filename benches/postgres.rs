//! Bulla on PostgreSQL beside the floor program there, which also has a durable record of each request.
//!
//! Owns: these rows. The server is a throw-away one of the package, on the same machine, with its settings as they come: it syncs.

use std::path::Path;

use bulla_test_support::postgres::PostgresCluster;
use bulla_test_support::server::Server;

use crate::floor::Failure;
use crate::programs::{self, Program};
use crate::side::{Side, What, compare};
use crate::{CONNECTIONS, Plan, cell, print};

/// Prints the rows; with another build of Bulla beside this one where there is such.
///
/// # Errors
/// When a program does not start, or does not answer well.
pub fn rows(plan: &Plan, other: Option<&Path>) -> Result<(), Failure> {
    let cluster = match PostgresCluster::start() {
        Ok(cluster) => cluster,
        Err(error) => return print(&format!("\non PostgreSQL: left out, as it is not there ({error})")),
    };
    let folder = tempfile::tempdir()?;
    let bulla = |program: &Path, name: &str| {
        let database = cluster.database();
        let server = Server::dev(program, folder.path().join(name), Some(&database));
        (Side::new(Program::Bulla(Box::new(server))), database)
    };
    let database = cluster.database();
    let mut floor = (Side::new(Program::floor_on_postgres(&folder.path().join("floor"), &database)?), database);
    let mut now = bulla(&programs::bulla(), "now");
    let mut then = other.map(|program| bulla(program, "then"));
    let among = plan.stored[0];
    for (side, database) in [&mut floor, &mut now].into_iter().chain(&mut then) {
        side.fill(among)?;
        // As the server does by itself, within a minute.
        cluster.sql(database, "ANALYZE");
    }
    let (floor, now, mut then) = (&mut floor.0, &mut now.0, then.as_mut().map(|(side, _)| side));
    let beside = if then.is_some() { "  the other                      of it" } else { "" };
    print(&format!(
        "\non PostgreSQL, the floor with a durable record; {among} stored\n\
         what        conns  floor                          Bulla                          ratio{beside}"
    ))?;
    for (what, word) in [(What::Read { among }, "read"), (What::Create, "create"), (What::Put { among }, "put")] {
        for connections in CONNECTIONS {
            let (row, then) = match &mut then {
                Some(then) => {
                    let [floor, now, then] = compare([floor, now, then], what, connections, plan.runs, plan.time)?;
                    ([floor, now], Some(then))
                }
                None => (compare([floor, now], what, connections, plan.runs, plan.time)?, None),
            };
            let [floor, now] = row;
            let then = then.map(|then| format!("  {}  {:>5.2}", cell(&then), now.per_second / then.per_second));
            print(&format!(
                "{word:<10}  {connections:>5}  {}  {}  {:>5.2}{}",
                cell(&floor),
                cell(&now),
                now.per_second / floor.per_second,
                then.unwrap_or_default(),
            ))?;
        }
    }
    Ok(())
}

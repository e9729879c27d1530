//! `bulla level`: at which level the deployment is, which nodes serve which, and the raise.

use crate::admin::{Session, refuse};
use crate::app::Failure;
use crate::base::clock::Timestamp;
use crate::output::Output;
use crate::store::{Abort, Level, Levels, NodeRow, Tx};

/// Runs the command.
pub fn run(session: &Session, raise: bool) -> Result<Output, Failure> {
    if raise {
        session.change("RaiseLevel", "deployment", |tx| raise_in(tx, Levels::served(), session.now()))?;
    }
    let (row, nodes) = session.read(|tx| Ok((tx.deployment()?, tx.nodes()?)))?;
    let (now, level) = (session.now(), row.level.0);
    let nodes: Vec<NodeRow> = nodes.into_iter().filter(|node| node.runs(now)).collect();
    let program = format!("serves {}", Levels::served());
    let told: Vec<_> = nodes.iter().map(|node| tell(node, now)).collect();
    let text = Output::one([("Level", level.into()), ("ThisProgram", program.as_str().into()), ("Nodes", told.into())]).text();
    let typed = |node: &NodeRow| {
        let Levels { lowest, highest } = node.levels();
        serde_json::json!({ "Id": node.id.to_string(), "Lowest": lowest.0, "Highest": highest.0, "SeenSecondsAgo": seen_s(node, now) })
    };
    let nodes: Vec<_> = nodes.iter().map(typed).collect();
    let row = Output::row([("Level", level.into()), ("ThisProgram", program.into()), ("Nodes", nodes.into())]);
    Ok(Output::Report { text, row })
}

fn tell(node: &NodeRow, now: Timestamp) -> String {
    format!("{} serves {}, seen {} s ago", node.id, node.levels(), seen_s(node, now))
}

fn seen_s(node: &NodeRow, now: Timestamp) -> i64 {
    (now.0 - node.seen_at.0).max(0) / 1000
}

/// Raises the level by one, if this program and every node that may run serve the next.
fn raise_in(tx: &mut Tx<'_>, served: Levels, now: Timestamp) -> Result<(), Abort<Failure>> {
    let level = tx.deployment()?.level;
    let next = Level(level.0.saturating_add(1));
    if !served.contains(next) {
        return Err(refuse(format!("the deployment is at level {level}, the highest that this program serves")));
    }
    let cannot = tx.nodes()?.into_iter().filter(|node| node.runs(now) && !node.levels().contains(next));
    let cannot: Vec<_> = cannot.map(|node| tell(&node, now)).collect();
    if !cannot.is_empty() {
        let nodes = cannot.join("; ");
        return Err(refuse(format!(
            "not every node serves level {next}: {nodes}. Run the new program there; a node that was killed counts until it was not seen \
             for five minutes"
        )));
    }
    Ok(tx.deployment_raise(next)?)
}

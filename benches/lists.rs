//! ListSecrets with many secrets stored. The floor program has no lists; what counts here is that a page stays fast wherever it is.

use bulla_test_support::client::Client;

use crate::floor::Failure;
use crate::side::{Side, What, compare};
use crate::{Plan, cell, print};

/// Secrets on a page, the most that may be asked for.
const PAGE: usize = 100;

/// Prints what pages cost.
///
/// # Errors
/// When Bulla does not answer.
pub fn rows(bulla: &mut Side, plan: &Plan) -> Result<(), Failure> {
    let size = PAGE.to_string();
    let page = |client: &Client, number: usize| {
        client.request("ListSecrets", &[("PageNumber", &number.to_string()), ("PageSize", &size)]).get().bytes()
    };
    let last = bulla.stored / PAGE;
    let first = |client: &Client, _| page(client, 1);
    let end = |client: &Client, _| page(client, last);
    let filtered = |client: &Client, n: usize| {
        let filter = format!(r#"[{{"Key":"SecretName","Values":["bench/secret-{:07}"]}}]"#, n % 200);
        client.request("ListSecrets", &[("Filters", &filter)]).get().bytes()
    };
    print(&format!("\nListSecrets, {PAGE} on a page\nwhat         stored  conns  Bulla"))?;
    for (word, what) in
        [("first page", What::Asked(&first)), ("last page", What::Asked(&end)), ("one name", What::Asked(&filtered))]
    {
        for connections in [1, 8] {
            let [outcome] = compare([bulla], what, connections, plan.runs, plan.short)?;
            print(&format!("{word:<10} {:>8}  {connections:>5}  {}", bulla.stored, cell(&outcome)))?;
        }
    }
    Ok(())
}

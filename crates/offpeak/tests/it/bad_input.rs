//! Bad requests, one table: what each is answered, and that none leaves a
//! trace in any table.
//!
//! The rows stand in `bad_input/*.toml`. A row names its answer whole: status,
//! code, line, field and the fault's own code as [`Answer::problem`] shows
//! them, and the words for a person. Rows whose `want` is a bare status are the
//! other side of a limit: the last value that passes. Uploads of several chunks
//! and what is no HTTP at all have tests of their own beside the table.

use anyhow::{Context, Result, ensure};

use crate::api::Api;

mod below;
mod edges;
mod facts;
mod row;
mod send;
mod uploads;

use facts::Facts;
use row::Row;

/// Rows that are refused, at least.
const ENOUGH: usize = 150;

#[tokio::test]
async fn bad_requests_are_named_and_store_nothing() -> Result<()> {
    let rows = row::all()?;
    let (good, bad): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.passes());
    assert!(bad.len() >= ENOUGH, "only {} bad requests", bad.len());

    let mut api = Api::new().await?;
    let facts = Facts::new(&mut api).await?;
    let mut before = api.world.everything().await?;
    let mut wrong = Vec::new();
    for row in bad {
        if let Err(error) = refused(&api, &facts, row).await {
            wrong.push(format!("{} ({}): {error:#}", row.name, row.send));
        }
        let after = api.world.everything().await?;
        if after != before {
            wrong.push(format!("{} left a trace", row.name));
            before = after;
        }
    }
    for row in good {
        let answer = send::answer(&api, &facts, row).await?;
        if answer.status.to_string() != row.want {
            wrong.push(format!("{}: {} {}", row.name, answer.status, answer.text));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    Ok(())
}

async fn refused(api: &Api, facts: &Facts, row: &Row) -> Result<()> {
    let answer = send::answer(api, facts, row).await.context("no answer")?;
    ensure!((400..500).contains(&answer.status), "{answer:?}");
    let found = answer.problem();
    let says = answer.at("/detail");
    let id = answer.at("/request_id");
    ensure!(
        !id.is_empty() && answer.header("x-request-id") == id,
        "the id {id:?} is not the header's"
    );
    let needed = match answer.status {
        401 => "www-authenticate",
        405 => "allow",
        _ => "x-request-id",
    };
    ensure!(!answer.header(needed).is_empty(), "no {needed}");
    ensure!(
        found == row.want && row.is_said(&says),
        "\n  want = '{found}'\n  says = '{says}'"
    );
    // What another tenant has answers as what nobody has, byte for byte.
    if let Some(nobodys) = row.of_nobody() {
        let same = send::answer(api, facts, &nobodys).await?;
        let text = |answer: &crate::api::Answer| answer.text.replace(&answer.at("/request_id"), "");
        ensure!(
            (same.status, text(&same)) == (answer.status, text(&answer)),
            "differs from {same:?}"
        );
    }
    Ok(())
}

//! The books: what the stand-in billed, what the ledger holds, what the counts say.

use std::collections::HashMap;

use anyhow::Result;
use offpeak_testkit::world::World;

/// What must hold at the end of every story, whatever happened in it.
pub(crate) async fn are_right(world: &World) -> Result<()> {
    world.standin.settle_due().await;
    let journal = world.standin.journal()?;
    let mut billed: HashMap<Option<&str>, u32> = HashMap::new();
    for item in &journal {
        *billed.entry(item.custom_id.as_deref()).or_default() += 1;
    }
    assert!(
        billed.values().all(|times| *times == 1),
        "an attempt was billed twice: {billed:?}"
    );
    let ledger = world.number("SELECT count(*) FROM offpeak.ledger").await?;
    assert_eq!(
        ledger,
        i64::try_from(journal.len())?,
        "the ledger has what was billed, no more"
    );
    let input: u64 = journal.iter().map(|item| item.usage.input_tokens).sum();
    let booked = world.number("SELECT coalesce(sum(input_tokens), 0)::bigint FROM offpeak.ledger");
    assert_eq!(booked.await?, i64::try_from(input)?);
    // Counts are differences of differences: recount them from the rows.
    for (name, recount) in [
        (
            "queued",
            "SELECT count(*) FROM offpeak.job_state WHERE state = 'queued'",
        ),
        (
            "submitted",
            "SELECT count(*) FROM offpeak.job_state WHERE state = 'submitted'",
        ),
        (
            "processing",
            "SELECT count(*) FROM offpeak.job_state WHERE state = 'processing'",
        ),
        (
            "completed",
            "SELECT count(*) FROM offpeak.result WHERE outcome = 'completed'",
        ),
        (
            "failed",
            "SELECT count(*) FROM offpeak.result WHERE outcome = 'failed'",
        ),
        (
            "canceled",
            "SELECT count(*) FROM offpeak.result WHERE outcome = 'canceled'",
        ),
    ] {
        let counted = world.counted(name).await?;
        assert_eq!(counted, world.number(recount).await?, "count of {name}");
    }
    let ready = world.number(
        "SELECT (SELECT coalesce(sum(n), 0)::bigint
                   FROM (SELECT scope, n FROM offpeak.tally
                          UNION ALL SELECT scope, n FROM offpeak.delta) AS t
                  WHERE scope = 'bucket') - (SELECT count(*) FROM offpeak.ready)",
    );
    assert_eq!(ready.await?, 0, "bucket counts");
    Ok(())
}

//! Each direct call that was billed against the books. Nothing of it bears the id of
//! its job, so what tells it is the message that came back.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;
use sqlx::Row as _;

use super::Verdict;
use crate::world::World;

/// Each direct call that was billed is booked once, by the answer that was kept of
/// it; or it is one of those of which nobody knows what became.
pub(super) async fn called(world: &World, verdict: &mut Verdict) -> Result<()> {
    let mut kept: BTreeMap<String, i64> = BTreeMap::new();
    let rows = sqlx::query(
        "SELECT convert_from(line, 'UTF8')::json #>> '{result,message,id}' AS message
           FROM (SELECT coalesce(o.line, a.line) AS line
                   FROM offpeak.ledger l
                   LEFT JOIN offpeak.result r ON r.id = l.id AND r.batch_id = l.batch_id
                   LEFT JOIN offpeak.output o ON o.id = r.id
                   LEFT JOIN offpeak.attempt a ON a.id = l.id AND a.batch_id = l.batch_id
                                              AND a.line IS NOT NULL
                  WHERE l.lane = 'direct' AND l.source_id IS NULL) AS kept",
    )
    .fetch_all(&world.root)
    .await?;
    for row in rows {
        let message: Option<String> = row.try_get("message")?;
        *kept.entry(message.unwrap_or_default()).or_default() += 1;
    }
    let mut lost = 0;
    for message in messages(world)? {
        match kept.get_mut(&message) {
            Some(left) if *left > 0 => *left -= 1,
            Some(_) => verdict.break_by(format!("{message} was billed twice")),
            None => lost += 1,
        }
    }
    for (message, left) in kept {
        if left != 0 {
            verdict.break_by(format!("{message} is booked {left} times too often"));
        }
    }
    let unknown = world
        .number("SELECT count(*) FROM offpeak.call WHERE state = 'unknown'")
        .await?;
    if lost > unknown {
        verdict.break_by(format!(
            "{lost} calls were billed and {unknown} are in doubt"
        ));
    }
    // A call is in doubt once at most for a job that is not to be called for again,
    // and each time the operator knows.
    let wrong: Vec<String> = sqlx::query_scalar(
        "SELECT c.job_id || ' was called for again without leave'
           FROM offpeak.call c
           JOIN offpeak.job j ON j.tenant_id = c.tenant_id AND j.id = c.job_id
          WHERE c.state = 'unknown' AND j.on_unknown IS DISTINCT FROM 'retry'
            AND EXISTS (SELECT FROM offpeak.call later
                         WHERE later.job_id = c.job_id AND later.attempt > c.attempt)
          UNION ALL
         SELECT c.id || ' is in doubt without an incident'
           FROM offpeak.call c
          WHERE c.state = 'unknown'
            AND NOT EXISTS (SELECT FROM offpeak.incident i
                             WHERE i.kind = 'outcome_unknown'
                               AND i.upstream_batch_id = 'call_' || replace(c.id::text, '-', ''))
          UNION ALL
         SELECT id || ' was never settled' FROM offpeak.call WHERE state = 'sending'",
    )
    .fetch_all(&world.root)
    .await?;
    for line in wrong {
        verdict.break_by(line);
    }
    Ok(())
}

/// The messages of direct calls in the journal.
fn messages(world: &World) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(world.home.join("standin/journal.ndjson"))?;
    let mut messages = Vec::new();
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line)?;
        if entry["custom_id"].is_null() {
            messages.push(entry["message_id"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(messages)
}

//! The books: what the stand-in billed, what the ledger holds, what the counts say.

use std::collections::HashMap;

use anyhow::Result;
use offpeak_domain::batch::{Event, State};
use offpeak_domain::id::{BatchId, CustomId, JobId, TenantId};
use offpeak_domain::job::Lane;
use offpeak_domain::price::{Bill, Prices, Usage};
use offpeak_standin::Billed;
use offpeak_store::{export, result};
use offpeak_testkit::world::World;
use uuid::Uuid;

/// What must hold at the end of every story, whatever happened in it.
pub(crate) async fn are_right(world: &World) -> Result<()> {
    are_right_beside(world, 0).await
}

/// The same where late twins have billed so many lines, which no tenant pays.
pub(crate) async fn are_right_beside(world: &World, absorbed: i64) -> Result<()> {
    world.standin.settle_due().await;
    let journal = world.standin.journal()?;
    // By job, not by attempt: an attempt's id holds its batch, so that a job
    // which was paid for in two batches would look like two payments in order.
    let mut billed: HashMap<JobId, i64> = HashMap::new();
    for item in journal.iter().filter(|item| item.custom_id.is_some()) {
        let id: CustomId = item.custom_id.as_deref().unwrap_or_default().parse()?;
        *billed.entry(id.job).or_default() += 1;
    }
    let twins: HashMap<JobId, i64> = absorbed_by_job(world).await?;
    let calls = "SELECT count(*) FROM offpeak.absorbed WHERE custom_id LIKE 'call_%'";
    let calls = world.number(calls).await?;
    assert_eq!(
        twins.values().sum::<i64>() + calls,
        absorbed,
        "lines of late twins, and calls that were lost"
    );
    for (job, times) in billed {
        let booked = batched(world, job).await? + twins.get(&job).copied().unwrap_or(0);
        assert_eq!(
            times, booked,
            "{job} was billed {times} times and booked {booked} times"
        );
    }
    let mut billed = Bill::default();
    for item in &journal {
        let one = bill_of(&world.prices, item)?;
        billed.cost += one.cost;
        billed.sync += one.sync;
        billed.saved_batch += one.saved_batch;
        billed.saved_cache += one.saved_cache;
    }
    let cost = billed.cost.0;
    direct(world, &journal).await?;
    let twins = "SELECT coalesce(sum(cost_pico), 0)::bigint FROM offpeak.absorbed";
    let twins = i128::from(world.number(twins).await?);
    let noted = "SELECT coalesce(sum(absorbed_pico), 0)::bigint FROM offpeak.incident";
    assert_eq!(i128::from(world.number(noted).await?), twins, "as noted");
    let booked = world.number("SELECT coalesce(sum(cost_pico), 0)::bigint FROM offpeak.ledger");
    assert_eq!(i128::from(booked.await?) + twins, cost, "every pico-dollar");
    let sync = world.number(
        "SELECT coalesce(sum(sync_pico), 0)::bigint
           FROM (SELECT sync_pico FROM offpeak.ledger WHERE source_id IS NULL
                  UNION ALL SELECT sync_pico FROM offpeak.absorbed) AS t",
    );
    assert_eq!(
        i128::from(sync.await?),
        billed.sync.0,
        "and what it would have cost"
    );
    if absorbed == 0 {
        let saved = "SELECT coalesce(sum(saved_batch_pico), 0)::bigint FROM offpeak.ledger";
        assert_eq!(i128::from(world.number(saved).await?), billed.saved_batch.0);
        let saved = "SELECT coalesce(sum(saved_cache_pico), 0)::bigint FROM offpeak.ledger";
        assert_eq!(i128::from(world.number(saved).await?), billed.saved_cache.0);
    }
    let counted = world.number(
        "SELECT coalesce(sum(cost_pico), 0)::bigint
           FROM (SELECT scope, cost_pico FROM offpeak.tally
                  UNION ALL SELECT scope, cost_pico FROM offpeak.delta) AS t
          WHERE scope = 'tenant'",
    );
    assert_eq!(
        i128::from(counted.await?) + twins,
        cost,
        "and in the counts"
    );
    // Every change of a batch's state that the database has seen is in the table.
    for seen in world.transitions().await? {
        let (from, to) = seen.split_once(' ').unwrap_or_default();
        let (from, to): (State, State) = (from.parse()?, to.parse()?);
        assert!(
            Event::ALL.iter().any(|event| from.on(*event) == Ok(to)),
            "no event leads from {from} to {to}"
        );
    }
    // What reused another job's attempt was billed with that one.
    let ledger = "SELECT count(*) FROM offpeak.ledger WHERE source_id IS NULL";
    let ledger = world.number(ledger).await?;
    assert_eq!(
        ledger + absorbed,
        i64::try_from(journal.len())?,
        "the ledger has what was billed, no more"
    );
    let input: u64 = journal.iter().map(|item| item.usage.input_tokens).sum();
    let booked = world.number(
        "SELECT coalesce(sum(input_tokens), 0)::bigint
           FROM (SELECT input_tokens FROM offpeak.ledger
                  UNION ALL SELECT input_tokens FROM offpeak.absorbed) AS t",
    );
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
    world.check_invariants().await
}

/// What an item of the journal costs, and would have cost; read here on its own,
/// since it judges what the worker read.
pub(crate) fn bill_of(prices: &Prices, item: &Billed) -> Result<Bill> {
    let used = &item.usage;
    let written = used.cache_writes();
    let usage = Usage {
        input: used.input_tokens,
        output: used.output_tokens,
        cache_write_5m: written.0,
        cache_write_1h: written.1,
        cache_read: used.cache_read_input_tokens.unwrap_or(0),
        web_searches: 0,
        geo_us: used.inference_geo.as_deref() == Some("us"),
    };
    let lane = match item.batch_id {
        Some(_) => Lane::Batch,
        None => Lane::Direct,
    };
    Ok(prices.bill(&usage, &item.model, item.at.date(), lane)?)
}

/// The ids of the messages by which direct calls were answered that were booked to a tenant.
async fn answered(world: &World) -> Result<Vec<String>> {
    let booked = "SELECT concat_ws(' ', tenant_id, batch_id, id) FROM offpeak.ledger
                   WHERE lane = 'direct' AND source_id IS NULL ORDER BY 1";
    let mut ids = Vec::new();
    for row in world.texts(booked).await? {
        let id = |place| Uuid::parse_str(row.split(' ').nth(place).unwrap_or_default());
        let (call, job) = (Some(BatchId::from_uuid(id(1)?)), JobId::from_uuid(id(2)?));
        let mut tx = world.system.begin_for(TenantId::from_uuid(id(0)?)).await?;
        let ended = result::get(&mut tx, job).await?;
        let ended = ended.filter(|ended| ended.batch == call);
        let mut lines: Vec<Vec<u8>> = ended.and_then(|ended| ended.line).into_iter().collect();
        if lines.is_empty() {
            let aside = export::set_aside(&mut tx, &[job]).await?;
            let of_call = aside.into_iter().filter(|one| one.batch == call);
            // A canceled one that was retried has left its cancel there as well.
            lines.extend(of_call.filter_map(|one| one.line));
        }
        for line in lines {
            let line: serde_json::Value = serde_json::from_slice(&line)?;
            let id = line
                .pointer("/result/message/id")
                .and_then(|id| id.as_str());
            ids.extend(id.map(str::to_owned));
        }
    }
    Ok(ids)
}

/// Each direct call that was billed is booked by the answer that it gave, to a
/// tenant, or it was lost and its cost is absorbed, or it went ahead of a batch.
async fn direct(world: &World, journal: &[Billed]) -> Result<()> {
    let mut kept = answered(world).await?;
    let called = journal.iter().filter(|item| item.custom_id.is_none());
    let mut lost = 0;
    for item in called {
        match kept.iter().position(|id| *id == item.message_id) {
            Some(at) => drop(kept.swap_remove(at)),
            None => lost += 1,
        }
    }
    assert_eq!(kept, [""; 0], "booked and not billed");
    let absorbed = "SELECT count(*) FROM offpeak.absorbed WHERE custom_id LIKE 'call_%'";
    let primed = "SELECT count(*) FROM offpeak.ledger WHERE id = batch_id AND lane = 'direct'";
    let (absorbed, primed) = (world.number(absorbed).await?, world.number(primed).await?);
    assert_eq!(absorbed + primed, lost, "lost calls, and what went ahead");
    Ok(())
}

/// How often a job stands in the ledger for a line of a batch.
async fn batched(world: &World, job: JobId) -> Result<i64> {
    let direct = "SELECT id::text FROM offpeak.ledger WHERE lane = 'direct' AND source_id IS NULL";
    let called = world.texts(direct).await?;
    let direct = called.iter().filter(|id| **id == job.as_uuid().to_string());
    Ok(world.booked(job).await? - i64::try_from(direct.count())?)
}

/// How many lines of each job late twins have billed.
async fn absorbed_by_job(world: &World) -> Result<HashMap<JobId, i64>> {
    let mut by_job = HashMap::new();
    for id in world
        .texts("SELECT custom_id FROM offpeak.absorbed WHERE custom_id NOT LIKE 'call_%'")
        .await?
    {
        let id: CustomId = id.parse()?;
        *by_job.entry(id.job).or_default() += 1;
    }
    Ok(by_job)
}

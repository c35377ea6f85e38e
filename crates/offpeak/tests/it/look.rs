//! What wakes the loops: one look at the whole database, and the listing that
//! sees several batches at once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_standin::{Call, Fault, Faults, Rule, Status, Times};
use offpeak_store::look::{Work, look};
use offpeak_testkit::world::World;
use offpeak_worker::Loop;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::books;

/// One row of work, and what it rings for.
struct Row {
    what: &'static str,
    insert: &'static str,
    rings: Work,
}

const NONE: Work = Work {
    form: false,
    submit: false,
    poll: false,
    ingest: false,
    rescue: false,
    relay: false,
    fold: false,
    direct: false,
    escalate: false,
    share: false,
    reconcile: false,
    operate: false,
    enroll: false,
};

macro_rules! tally {
    ($scope:literal, $n:literal) => {
        concat!(
            "INSERT INTO offpeak.tally SELECT id, '",
            $scope,
            "', id, 'ready', ",
            $n,
            ", 0, 0, 0, 0, 0 FROM offpeak.tenant"
        )
    };
}

macro_rules! delta {
    ($scope:literal) => {
        concat!(
            "INSERT INTO offpeak.delta (tenant_id, scope, key, name, n) SELECT id, '",
            $scope,
            "', id, 'queued', 1 FROM offpeak.tenant"
        )
    };
}

/// A batch in a state; its other columns as SQL.
macro_rules! batch {
    ($state:literal, $next_poll:literal, $ended:literal, $ingested:literal, $freed:literal) => {
        concat!(
            "INSERT INTO offpeak.batch
                 (tenant_id, id, upstream_id, bucket_id, model, state, close_reason, items,
                  body_bytes, planned_at, not_before, sent_at, sender, send_deadline,
                  upstream_batch_id, created_at, expires_at, next_poll_at, ended_at, ingested_at,
                  freed_at)
             SELECT id, id, '00000000-0000-0000-0000-000000000000', id, 'm', '",
            $state,
            "', 'idle', 1, 1, now(), now(), now(), id, now(), 'msgbatch_1', now(), now(), ",
            $next_poll,
            ", ",
            $ended,
            ", ",
            $ingested,
            ", ",
            $freed,
            " FROM offpeak.tenant"
        )
    };
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { what: "jobs that wait", insert: tally!("bucket", "1"), rings: Work { form: true, ..NONE } },
    Row { what: "a claim folded before its submit", insert: tally!("bucket", "-1"),
          rings: Work { form: true, ..NONE } },
    Row { what: "an empty bucket", insert: tally!("bucket", "0"), rings: NONE },
    Row { what: "a group's counts", insert: tally!("group", "7"), rings: NONE },
    Row { what: "a direct call under way", insert:
          "INSERT INTO offpeak.call (tenant_id, id, upstream_id, job_id, model, attempt, state,
                                     sender, sent_at, send_deadline)
           SELECT id, id, '00000000-0000-0000-0000-000000000000', id, 'm', 1, 'sending', id, now(),
                  now() FROM offpeak.tenant",
          rings: Work { rescue: true, ..NONE } },
    Row { what: "to be called for", insert:
          "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, priority, not_before, bytes,
                                      attempt, lane)
           SELECT id, id, id, 0, now(), 1, 1, 'direct' FROM offpeak.tenant",
          rings: Work { direct: true, ..NONE } },
    Row { what: "to be called for later", insert:
          "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, priority, not_before, bytes,
                                      attempt, lane)
           SELECT id, id, id, 0, now() + interval '1 h', 1, 1, 'direct' FROM offpeak.tenant",
          rings: NONE },
    Row { what: "a deadline in the queue", insert:
          "INSERT INTO offpeak.ready (tenant_id, id, bucket_id, priority, not_before, bytes,
                                      attempt, deadline)
           SELECT id, id, id, 0, now(), 1, 1, now() FROM offpeak.tenant",
          rings: Work { escalate: true, ..NONE } },
    Row { what: "a deadline in a batch, to be called for", insert:
          "INSERT INTO offpeak.inflight (tenant_id, batch_id, id, attempt, tries, bytes, deadline,
                                         direct_from)
           SELECT id, id, id, 1, 0, 1, now(), now() FROM offpeak.tenant",
          rings: Work { direct: true, escalate: true, ..NONE } },
    Row { what: "followers to be served", insert:
          "INSERT INTO offpeak.shared (tenant_id, id, at) SELECT id, id, now() FROM offpeak.tenant",
          rings: Work { share: true, ..NONE } },
    Row { what: "jobs not folded yet", insert: delta!("bucket"),
          rings: Work { form: true, fold: true, ..NONE } },
    Row { what: "a count not folded yet", insert: delta!("tenant"),
          rings: Work { fold: true, ..NONE } },
    Row { what: "told and not numbered", insert:
          "INSERT INTO offpeak.event_in (tenant_id, kind, state, ids)
           SELECT id, 'job', 'queued', ARRAY[id] FROM offpeak.tenant",
          rings: Work { relay: true, ..NONE } },
    Row { what: "another database", insert:
          "INSERT INTO offpeak.comparison (upstream_id, incarnation, started_at, alive_at)
           SELECT id, 'another', now(), now() FROM offpeak.upstream",
          rings: Work { reconcile: true, ..NONE } },
    Row { what: "an operation", insert:
          "INSERT INTO offpeak.operation (tenant_id, id, action, asked_by, created_at, states, bound,
                                         expected, expected_whole, turn_at)
           SELECT id, id, 'cancel', id, now(), '{queued}', id, 1, true, now()
             FROM offpeak.tenant",
          rings: Work { operate: true, ..NONE } },
    Row { what: "one that was put off", insert:
          "INSERT INTO offpeak.operation (tenant_id, id, action, asked_by, created_at, states, bound,
                                         expected, expected_whole, turn_at)
           SELECT id, id, 'cancel', id, now(), '{queued}', id, 1, true, now() + interval '1 h'
             FROM offpeak.tenant",
          rings: NONE },
    Row { what: "one that is in use", insert:
          "INSERT INTO offpeak.upstream_key (tenant_id, version, state, last_four, sealed,
                                             creates_per_minute, max_queued_items)
           SELECT id, 1, 'current', 'WXYZ', 'x', 1, 1 FROM offpeak.tenant",
          rings: NONE },
    Row { what: "a key to be checked", insert:
          "INSERT INTO offpeak.upstream_key (tenant_id, version, state, last_four, sealed,
                                             creates_per_minute, max_queued_items)
           SELECT id, 1, 'checking', 'WXYZ', 'x', 1, 1 FROM offpeak.tenant",
          rings: Work { enroll: true, ..NONE } },
    Row { what: "whoever waited", insert:
          "INSERT INTO offpeak.share SELECT id, id, 7 FROM offpeak.tenant",
          rings: Work { form: true, ..NONE } },
    Row { what: "planned", insert: batch!("planned", "NULL", "NULL", "NULL", "NULL"),
          rings: Work { submit: true, ..NONE } },
    Row { what: "sending", insert: batch!("sending", "NULL", "NULL", "NULL", "NULL"),
          rings: Work { rescue: true, ..NONE } },
    Row { what: "uncertain", insert: batch!("uncertain", "NULL", "NULL", "NULL", "NULL"),
          rings: Work { rescue: true, ..NONE } },
    Row { what: "in progress, due", insert: batch!("in_progress", "now()", "NULL", "NULL", "NULL"),
          rings: Work { poll: true, ..NONE } },
    Row { what: "in progress, not due", insert:
          batch!("in_progress", "now() + interval '1 hour'", "NULL", "NULL", "NULL"), rings: NONE },
    Row { what: "canceling, due", insert: batch!("canceling", "now()", "NULL", "NULL", "NULL"),
          rings: Work { poll: true, ..NONE } },
    Row { what: "ended", insert: batch!("ended", "now()", "now()", "NULL", "NULL"),
          rings: Work { ingest: true, ..NONE } },
    Row { what: "ingested", insert: batch!("ingested", "now()", "now()", "now()", "NULL"), rings: NONE },
    Row { what: "refuted", insert: batch!("refuted", "NULL", "NULL", "NULL", "NULL"),
          rings: Work { rescue: true, ..NONE } },
    Row { what: "rejected", insert: batch!("rejected", "NULL", "NULL", "NULL", "NULL"),
          rings: Work { rescue: true, ..NONE } },
    Row { what: "rejected and freed", insert: batch!("rejected", "NULL", "NULL", "NULL", "now()"),
          rings: NONE },
];

#[tokio::test]
async fn a_look_rings_for_exactly_the_loops_that_have_work() -> Result<()> {
    let world = World::new().await?;
    assert_eq!(look(&world.system).await?, NONE, "an empty database");
    for row in TABLE {
        world.meddle(row.insert).await.context(row.what)?;
        assert_eq!(look(&world.system).await?, row.rings, "{}", row.what);
        for table in [
            "DELETE FROM offpeak.tally",
            "DELETE FROM offpeak.delta",
            "DELETE FROM offpeak.event_in",
            "DELETE FROM offpeak.share",
            "DELETE FROM offpeak.shared",
            "DELETE FROM offpeak.batch",
            "DELETE FROM offpeak.call",
            "DELETE FROM offpeak.ready",
            "DELETE FROM offpeak.inflight",
            "DELETE FROM offpeak.comparison",
            "DELETE FROM offpeak.operation",
            "DELETE FROM offpeak.upstream_key",
        ] {
            world.meddle(table).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn nothing_rings_once_everything_has_ended() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["a", "b"]).await?;
    world.run_out().await?;
    world.worker.settle_down().await?;
    assert_eq!(look(&world.system).await?, NONE);
    Ok(())
}

/// Asks until the statement gives at least one.
async fn until(world: &World, sql: &'static str) -> Result<()> {
    let mut looks = interval(Duration::from_millis(20));
    while world.number(sql).await? == 0 {
        looks.tick().await;
    }
    Ok(())
}

#[tokio::test]
async fn work_that_nobody_announced_waits_for_one_idle_time_and_not_for_many() -> Result<()> {
    let options = offpeak_worker::Options {
        idle: Duration::from_secs(1),
        ..offpeak_worker::Options::default()
    };
    let mut world = World::with(options).await?;
    // As a second process that submits without a word to this one.
    let stop = CancellationToken::new();
    let worker = world.second_worker(offpeak_worker::Options {
        idle: Duration::from_secs(1),
        ..offpeak_worker::Options::default()
    })?;
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { worker.run(stop).await }
    });
    for round in 1..=2 {
        world.submit(&["a"]).await?;
        world.pass(Duration::from_secs(10));
        let sent = if round == 1 {
            "SELECT count(*) FROM offpeak.batch WHERE state = 'in_progress'"
        } else {
            "SELECT count(*) / 2 FROM offpeak.batch WHERE state = 'in_progress'"
        };
        // By itself each loop would come round after twelve seconds.
        timeout(Duration::from_secs(10), until(&world, sent))
            .await
            .context("nobody looked")??;
    }
    stop.cancel();
    running.await?;
    Ok(())
}

/// Two batches, of which the second is sent twenty seconds after the first.
async fn two_batches() -> Result<World> {
    let mut world = World::new().await?;
    for text in ["a", "b"] {
        world.submit(&[text]).await?;
        world.pass(Duration::from_secs(10));
        world.worker.settle_down().await?;
        world.pass(Duration::from_secs(10));
    }
    assert_eq!(
        world
            .number("SELECT count(*) FROM offpeak.batch WHERE state = 'in_progress'")
            .await?,
        2
    );
    Ok(world)
}

/// From the older batch's next look to the newer one's, in seconds.
const APART: &str =
    "SELECT extract(epoch FROM max(next_poll_at) - min(next_poll_at))::bigint FROM offpeak.batch";

#[tokio::test]
async fn a_listing_that_is_made_anyway_looks_at_the_newer_batches_too() -> Result<()> {
    let mut world = two_batches().await?;
    assert_eq!(
        world.number(APART).await?,
        20,
        "each thirty seconds after it was sent"
    );
    // Only the first is due; a second list call, or a look at one batch alone, would fail.
    world.pass(Duration::from_secs(15));
    let refuse = |call, skip| Rule {
        times: Times::ALWAYS,
        skip,
        ..Rule::new(
            [call],
            Fault::Status(Status {
                status: 500,
                ..Status::default()
            }),
        )
    };
    world.standin.set_faults(Faults {
        rules: vec![refuse(Call::List, 1), refuse(Call::Retrieve, 0)],
        ..Faults::default()
    });
    world.worker.tick(Loop::Poll).await?;
    assert_eq!(
        world.number(APART).await?,
        0,
        "seen together, and so from now on"
    );
    // Nothing is due now, so nothing is asked.
    world.worker.tick(Loop::Poll).await?;
    world.standin.clear_faults();
    // Both have ended when they are due again: one listing sees it.
    world.pass(Duration::from_mins(1));
    world.worker.tick(Loop::Poll).await?;
    assert_eq!(
        world
            .texts("SELECT DISTINCT state FROM offpeak.batch")
            .await?,
        ["ended"]
    );
    world.run_out().await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn a_newer_batch_that_the_list_does_not_show_keeps_its_own_time() -> Result<()> {
    let mut world = two_batches().await?;
    world.pass(Duration::from_secs(5));
    let lag = Fault::ListLag { ms: 20_000 };
    world.standin.set_faults(Faults {
        rules: vec![Rule {
            times: Times::ALWAYS,
            ..Rule::new([Call::List], lag)
        }],
        ..Faults::default()
    });
    world.worker.tick(Loop::Poll).await?;
    // The first in a minute from now, the second as it was: in fifteen seconds.
    assert_eq!(world.number(APART).await?, 45);
    world.standin.clear_faults();
    world.run_out().await?;
    books::are_right(&world).await
}

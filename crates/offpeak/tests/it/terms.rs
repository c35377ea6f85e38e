//! Results that come slowly: the batch stays its reader's, and a reader that has
//! lost it stops without a trace.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use offpeak_standin::{Call, Fault, Rule, Times};
use offpeak_store::batch::Key;
use offpeak_store::open_batch::{self, Counts};
use offpeak_store::settle::Chunk;
use offpeak_store::{Error, batch, lease, uncertain, upstream};
use offpeak_testkit::world::World;
use offpeak_worker::{Loop, Options};

use crate::books;
use crate::quarantine::{read_out, rules, sent, small_chunks};

const UNTIL: &str = "SELECT coalesce(ingest_until::text, '') FROM offpeak.batch";
const INFLIGHT: &str = "SELECT count(*) FROM offpeak.inflight";

/// An ended batch whose results come in pieces of so many bytes, seldom.
async fn dripping(options: Options, jobs: i64, bytes: usize, every_ms: u64) -> Result<World> {
    let (world, _) = sent(options, jobs).await?;
    world.standin.set_faults(rules(vec![Rule {
        times: Times::ALWAYS,
        ..Rule::new([Call::Results], Fault::Drip { bytes, every_ms })
    }]));
    for _ in 0..10 {
        world.pass(Duration::from_secs(30));
        world.worker.tick(Loop::Poll).await?;
    }
    let ended = "SELECT count(*) FROM offpeak.batch WHERE state = 'ended'";
    assert_eq!(world.number(ended).await?, 1);
    Ok(world)
}

fn short_term() -> Options {
    Options {
        ingest_term: Duration::from_millis(200),
        ..Options::default()
    }
}

/// Until somebody reads the batch.
async fn taken(world: &World) -> Result<()> {
    let taken = "SELECT count(*) FROM offpeak.batch WHERE ingester IS NOT NULL";
    while world.number(taken).await? == 0 {}
    Ok(())
}

#[tokio::test]
async fn a_term_is_renewed_while_results_come_down() -> Result<()> {
    let world = dripping(short_term(), 3, 1, 60_000).await?;
    let renewed = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 4 {
            seen.extend(world.texts(UNTIL).await?);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = world.worker.tick(Loop::Ingest) => panic!("nothing came down: {done:?}"),
        renewed = renewed => renewed?,
    }
    world.standin.clear_faults();
    read_out(&world).await?;
    books::are_right(&world).await
}

#[tokio::test]
async fn a_reader_that_has_lost_its_batch_stops() -> Result<()> {
    for lost in [
        "UPDATE offpeak.batch SET ingester = '00000000-0000-0000-0000-000000000007'",
        // Given up, and adopted anew.
        "UPDATE offpeak.batch SET upstream_batch_id = 'msgbatch_another', ingester = NULL",
        // Given up, and nothing more is known.
        "UPDATE offpeak.batch SET state = 'uncertain', upstream_batch_id = NULL, created_at = NULL,
                expires_at = NULL, ended_at = NULL, ingester = NULL, ingest_until = NULL",
    ] {
        let world = dripping(short_term(), 3, 1, 60_000).await?;
        let lose = async {
            taken(&world).await?;
            world.meddle(lost).await
        };
        let (done, lose) = tokio::join!(world.worker.tick(Loop::Ingest), lose);
        lose?;
        assert_eq!(done?.done, 0, "{lost}");
        assert_eq!(world.number(INFLIGHT).await?, 3, "{lost}");
        let said = "SELECT count(*) FROM offpeak.batch WHERE last_error IS NOT NULL";
        assert_eq!(world.number(said).await?, 0, "nor given back: {lost}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_read_says_nothing_about_another_message_batch() -> Result<()> {
    let world = dripping(small_chunks(), 3, 1, 60_000).await?;
    let system = &world.system;
    let (term, process) = (Duration::from_mins(2), world.tenant.as_uuid());
    let ended = open_batch::take_ended(system, process, term, &[upstream::OWN], &[]).await?;
    let ended = ended.expect("it has ended");
    let items = batch::items_after(system, ended.key, None, 10).await?;
    let jobs: Vec<_> = items.iter().map(|item| item.job).collect();
    assert!(open_batch::keep(system, &ended, process, term).await?);
    // It is the batch that was taken: the chunk begins, and is dropped.
    let (_, released) = Chunk::begin(system, &ended, term, &jobs).await?;
    assert_eq!(released.len(), 3);

    // Between two chunks it proved to be another one.
    uncertain::disown(system, ended.key, &ended.upstream_batch_id).await?;
    let state = "SELECT state || ' ' || verified FROM offpeak.batch";
    assert_eq!(world.texts(state).await?, ["ended true"], "it is verified");
    world
        .meddle(
            "UPDATE offpeak.batch SET upstream_batch_id = 'msgbatch_another', verified = false,
                    ingester = NULL",
        )
        .await?;
    let before = world.everything().await?;
    let begun = Chunk::begin(system, &ended, term, &jobs).await;
    assert!(matches!(begun, Err(Error::Moved(_))), "{begun:?}");
    assert!(!open_batch::keep(system, &ended, process, term).await?);
    open_batch::verified(system, &ended).await?;
    open_batch::give_back(system, &ended, term, Some(1), "short").await?;
    uncertain::disown(system, ended.key, &ended.upstream_batch_id).await?;
    assert_eq!(world.everything().await?, before, "nothing has happened");
    world.meddle("DELETE FROM offpeak.inflight").await?;
    assert!(!open_batch::finish(system, &ended, 0, None).await?);
    assert!(!open_batch::ended(system, ended.key, ended.ended_at, Counts::default()).await?);
    Ok(())
}

#[tokio::test]
async fn a_process_that_was_held_up_lets_go_of_what_it_read() -> Result<()> {
    let world = dripping(small_chunks(), 3, 1, 60_000).await?;
    let (term, process) = (Duration::from_mins(2), world.tenant.as_uuid());
    let name = format!("process/{process}");
    let alive = async |reading: &[Key]| {
        let lease = lease::take(&world.system, &name, process, term).await?;
        let system = world.system.under(Arc::new(lease.expect("it is its own")));
        open_batch::take_ended(&system, process, term, &[upstream::OWN], reading).await
    };
    let read = alive(&[]).await?.expect("it has ended").key;
    assert!(alive(&[read]).await?.is_none(), "another copy of it reads");
    // The reading came to nothing, and could not even give it back.
    assert_eq!(alive(&[]).await?.expect("it is its own").key, read);
    assert!(alive(&[read]).await?.is_none());
    // It slept beyond its lease, and lives again: what it was reading then is free.
    world.expire_leases().await?;
    assert!(alive(&[read]).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_download_that_drips_is_given_up_and_read_again() -> Result<()> {
    let mut world = dripping(small_chunks(), 40, 100, 10).await?;
    let hasty = world.hasty_worker(small_chunks(), Duration::from_millis(100))?;
    let error = hasty.tick(Loop::Ingest).await.expect_err("too slow");
    let said = "upstream: the answer from the API comes too slowly";
    assert_eq!(error.to_string(), said);
    let last = "SELECT last_error FROM offpeak.batch";
    assert_eq!(world.texts(last).await?, [said]);
    assert!(
        world.number(INFLIGHT).await? > 0,
        "the rest is still to come"
    );
    world.standin.clear_faults();
    read_out(&world).await?;
    assert_eq!(world.counted("completed").await?, 40);
    books::are_right(&world).await
}

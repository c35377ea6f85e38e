//! What is told of jobs and batches: every change once, in order, numbered
//! without a gap, in few rows, and never what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::{JobId, Minter, TenantId};
use offpeak_domain::job::State;
use offpeak_store::job::{Entry, NewJob};
use offpeak_store::stream::{self, Event, What};
use offpeak_store::{cancel, event, job, retry, tend, upstream};
use offpeak_testkit::world::{MODEL, World, params};
use offpeak_worker::Loop;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use tokio::task::JoinSet;

use crate::books;

/// Everything that was numbered for this tenant, page by page.
async fn all(world: &World, tenant: TenantId) -> Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let mut tx = world.tenants.begin(tenant).await?;
        let last = events.last().map_or(0, |event| event.seq);
        let page = stream::after(&mut tx, last, 4_000).await?;
        if page.is_empty() {
            return Ok(events);
        }
        events.extend(page);
    }
}

/// What was told of each job, in order.
fn of_jobs(events: &[Event]) -> BTreeMap<JobId, Vec<State>> {
    let mut of_jobs = BTreeMap::<_, Vec<State>>::new();
    for event in events {
        if let What::Jobs { state, jobs, .. } = &event.what {
            for job in jobs {
                of_jobs.entry(job.id).or_default().push(*state);
            }
        }
    }
    of_jobs
}

fn assert_dense(events: &[Event]) {
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    let expected: Vec<u64> = (1..=events.len() as u64).collect();
    assert_eq!(numbers, expected);
}

/// Jobs of these users, in one transaction that is still open.
fn new_jobs(seed: u64, at: time::OffsetDateTime, users: &[Option<&str>]) -> Vec<NewJob> {
    let mut minter = Minter::new(at, StdRng::seed_from_u64(seed));
    users
        .iter()
        .map(|user| NewJob {
            id: minter.mint(),
            group: None,
            job_type: None,
            user: user.map(str::to_owned),
            model: MODEL.to_owned(),
            upstream: upstream::OWN,
            lane: offpeak_domain::job::Lane::Batch,
            terms: offpeak_domain::deliver::Terms::default(),
            priority: 0,
            metadata: None,
            params: params("Secret words."),
            structured: false,
            prefix: None,
            sharing: None,
            expected: None,
        })
        .collect()
}

#[tokio::test]
async fn a_life_is_told_in_order_and_in_few_rows() -> Result<()> {
    let mut world = World::new().await?;
    let texts: Vec<String> = (0..1_200).map(|n| format!("Secret {n}.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let ids = world.submit(&texts).await?;
    world.run_out().await?;
    world.worker.tick(Loop::Relay).await?;
    let events = all(&world, world.tenant).await?;
    assert_dense(&events);
    let told = of_jobs(&events);
    assert_eq!(told.len(), ids.len());
    for states in told.values() {
        use State::{Completed, Processing, Queued, Submitted};
        assert_eq!(states, &[Queued, Submitted, Processing, Completed]);
    }
    // Four states of 1,200 jobs, at most 500 in a row, and a batch's own.
    let (of_jobs, others): (Vec<_>, Vec<_>) = events
        .iter()
        .partition(|event| matches!(event.what, What::Jobs { .. }));
    assert_eq!(of_jobs.len(), 12);
    let batches: Vec<String> = others
        .iter()
        .filter_map(|event| match &event.what {
            What::Batch { state, .. } => Some(state.to_string()),
            What::Jobs { .. }
            | What::Usage(_)
            | What::Budget(_)
            | What::Operation { .. }
            | What::Other => None,
        })
        .collect();
    assert_eq!(
        batches,
        ["planned", "sending", "in_progress", "ended", "ingested"]
    );
    // What was billed in all is what the ledger says.
    let billed: i128 = others
        .iter()
        .filter_map(|event| match &event.what {
            What::Usage(usage) => Some(usage.cost.0),
            What::Jobs { .. }
            | What::Batch { .. }
            | What::Budget(_)
            | What::Operation { .. }
            | What::Other => None,
        })
        .sum();
    let cost: i64 = world
        .number("SELECT sum(cost_pico)::bigint FROM offpeak.ledger")
        .await?;
    assert_eq!(billed, i128::from(cost));
    // Nothing of what is in them.
    let words = "SELECT count(*) FROM offpeak.event e WHERE e::text ~* 'secret'";
    assert_eq!(world.number(words).await?, 0);
    books::are_right(&world).await
}

#[tokio::test]
async fn every_commit_is_numbered_whenever_it_comes() -> Result<()> {
    let world = World::new().await?;
    let mut writers = JoinSet::new();
    for writer in 0..8_u64 {
        let (tenants, tenant) = (world.tenants.clone(), world.tenant);
        writers.spawn(async move {
            let mut ids = Vec::new();
            for round in 0..25 {
                let mut tx = tenants.begin(tenant).await?;
                let jobs = new_jobs(writer * 1_000 + round, tx.now(), &[None]);
                job::insert_chunk(&mut tx, &jobs, Entry::Ready).await?;
                // Told already, and open while others commit and are numbered.
                for _ in 0..(writer + round) % 7 {
                    tenants.ping().await?;
                }
                tx.commit().await?;
                ids.push(jobs[0].id);
                let mut tx = tenants.begin(tenant).await?;
                cancel::jobs(&mut tx, &[jobs[0].id]).await?;
                tx.commit().await?;
            }
            anyhow::Ok(ids)
        });
    }
    let mut expected = BTreeSet::new();
    while !writers.is_empty() {
        event::number(&world.system, 3).await?;
        while let Some(ended) = writers.try_join_next() {
            expected.extend(ended??);
        }
    }
    while event::number(&world.system, 7).await?.taken > 0 {}
    let events = all(&world, world.tenant).await?;
    assert_dense(&events);
    let told = of_jobs(&events);
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), expected);
    for states in told.values() {
        assert_eq!(states, &[State::Queued, State::Canceled]);
    }
    world.check_invariants().await
}

/// Any order of cancels, retries and numberings, of which each seed is one.
#[tokio::test]
async fn neighbours_become_one_event_and_keep_their_order() -> Result<()> {
    let mut world = World::new().await?;
    let ids = world.submit(&["One.", "Two.", "Three.", "Four."]).await?;
    for seed in 0..24 {
        walk(&world, &ids, seed)
            .await
            .with_context(|| format!("seed {seed}"))?;
    }
    world.check_invariants().await
}

async fn walk(world: &World, ids: &[JobId], seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    while event::number(&world.system, 1_000).await?.taken > 0 {}
    let before = all(world, world.tenant).await?.len();
    let mut expected = BTreeMap::<JobId, Vec<State>>::new();
    for _ in 0..30 {
        let one = [ids[rng.random_range(0..ids.len())]];
        let mut tx = world.tenants.begin(world.tenant).await?;
        match rng.random_range(0..5) {
            0 | 1 => {
                for id in cancel::jobs(&mut tx, &one).await?.canceled {
                    expected.entry(id).or_default().push(State::Canceled);
                }
            }
            2 | 3 => {
                for id in retry::jobs(&mut tx, &one, retry::TROUBLED, &BTreeMap::new())
                    .await?
                    .retried
                {
                    expected.entry(id).or_default().push(State::Queued);
                }
            }
            _ => {
                event::number(&world.system, rng.random_range(1..9)).await?;
            }
        }
        tx.commit().await?;
    }
    while event::number(&world.system, 1_000).await?.taken > 0 {}
    let events = all(world, world.tenant).await?;
    assert_dense(&events);
    anyhow::ensure!(of_jobs(&events[before..]) == expected, "another order");
    Ok(())
}

#[tokio::test]
async fn single_jobs_that_come_together_are_one_event() -> Result<()> {
    let mut world = World::new().await?;
    for n in 0..30 {
        world.submit(&[&format!("Number {n}.")]).await?;
    }
    assert_eq!(event::number(&world.system, 1_000).await?.taken, 30);
    let events = all(&world, world.tenant).await?;
    assert_eq!(events.len(), 1);
    assert_eq!(of_jobs(&events).len(), 30);
    Ok(())
}

#[tokio::test]
async fn an_event_says_whose_job_it_is_in_a_form_that_says_nothing() -> Result<()> {
    let world = World::new().await?;
    let mut tx = world.tenants.begin(world.tenant).await?;
    let users = [Some("ada"), None, Some("bob"), Some("ada")];
    let jobs = new_jobs(3, tx.now(), &users);
    job::insert_chunk(&mut tx, &jobs, Entry::Ready).await?;
    tx.commit().await?;
    world.worker.tick(Loop::Relay).await?;
    let events = all(&world, world.tenant).await?;
    let What::Jobs { jobs: told, .. } = &events[0].what else {
        anyhow::bail!("no jobs: {events:?}");
    };
    let keys: Vec<_> = told.iter().map(|job| job.user).collect();
    let key = |label| Some(event::UserKey::of(label));
    assert_eq!(keys, [key("ada"), None, key("bob"), key("ada")]);
    // The database's function gives the same, with which batches are told.
    let ada = "SELECT count(*) FROM offpeak.event WHERE users[1] = offpeak.user_key('ada')";
    assert_eq!(world.number(ada).await?, 1);
    Ok(())
}

#[tokio::test]
async fn each_tenant_counts_for_itself() -> Result<()> {
    let mut world = World::new().await?;
    let mut tx = world.system.begin().await?;
    let other = Minter::new(tx.now(), StdRng::seed_from_u64(9)).mint();
    offpeak_store::tenant::create(&mut tx, other, "other").await?;
    tx.commit().await?;
    world.submit(&["One."]).await?;
    world.submit_as(other, None, &["Two."]).await?;
    world.submit(&["Three."]).await?;
    let numbered = event::number(&world.system, 1_000).await?;
    assert_eq!(numbered.tenants, [world.tenant, other].into());
    for tenant in [world.tenant, other] {
        assert_dense(&all(&world, tenant).await?);
    }
    assert_eq!(of_jobs(&all(&world, other).await?).len(), 1);
    for table in ["event", "stream"] {
        assert!(world.seen_by(other, table).await? > 0, "{table}");
        assert_eq!(world.seen_by_nobody(table).await?, 0, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn events_stay_for_their_days_and_the_numbers_go_on() -> Result<()> {
    let mut world = World::new().await?;
    world.submit(&["One."]).await?;
    event::number(&world.system, 1_000).await?;
    // As if it had been ten days ago.
    let old = "DO $$ DECLARE day date := (clock_timestamp() AT TIME ZONE 'UTC')::date - 10; BEGIN
                   EXECUTE format('CREATE TABLE offpeak.event_%s PARTITION OF offpeak.event
                                   FOR VALUES FROM (%L) TO (%L)', to_char(day, 'YYYYMMDD'),
                                  day::timestamp AT TIME ZONE 'UTC',
                                  (day + 1)::timestamp AT TIME ZONE 'UTC');
                   UPDATE offpeak.event SET numbered_at = numbered_at - interval '10 days';
               END $$";
    world.meddle(old).await?;
    assert_eq!(tend::turn_events(&world.system, 7, 7).await?, 1);
    let mut tx = world.tenants.begin(world.tenant).await?;
    let head = stream::head(&mut tx).await?;
    assert_eq!((head.seq, head.oldest), (1, 2));
    drop(tx);
    world.submit(&["Two."]).await?;
    event::number(&world.system, 1_000).await?;
    let events = all(&world, world.tenant).await?;
    let last = events.last().context("no event")?;
    assert_eq!(last.seq, 2);
    world.check_invariants().await
}

#[tokio::test]
async fn whoever_numbers_hears_of_it_at_once() -> Result<()> {
    let mut world = World::new().await?;
    let moment = Duration::from_secs(5);
    world.submit(&["One."]).await?;
    tokio::time::timeout(moment, world.tenants.told()).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    tokio::time::timeout(moment, world.system.told()).await?;
    Ok(())
}

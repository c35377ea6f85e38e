//! Result lines that nobody should ever send: each is put aside by itself, the
//! rest lands, and reading all of it again changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::job::Outcome;
use offpeak_standin::{Call, Fault, Faults, LineFault, Plan, Rule, Times};
use offpeak_store::{incident, retry};
use offpeak_testkit::world::World;
use offpeak_worker::{Loop, Options};
use serde_json::{Value, json};

use crate::api_observe::database_url;
use crate::books;
use crate::cli::{offpeak, shown};

/// What goes wrong with which line; `oversize` is above the bound of 32 MB.
const MIXED: [(&str, u64); 13] = [
    ("oversize", 0),
    ("nul", 1),
    ("bad_utf8", 2),
    ("depth", 3),
    ("duplicate", 4),
    ("conflict", 5),
    ("unknown", 6),
    ("result_type", 7),
    ("bom", 8),
    ("crlf", 9),
    ("nul_escape", 10),
    ("lone_surrogate", 11),
    ("block_type", 12),
];
/// Lines, the last two of them untouched.
const LINES: i64 = 15;
/// Of the mixed ones: oversized, NUL, not UTF-8, too deep, of an unknown type, and one
/// behind a byte order mark.
const UNREADABLE: i64 = 6;

pub(crate) fn damage(what: &str, at: u64, batch: &str, times: Times) -> Result<Rule> {
    let mut fault = json!({ "what": what, "at": [at] });
    if what == "oversize" {
        fault["size"] = json!(33 << 20);
    }
    Ok(Rule {
        times,
        batch: Some(batch.to_owned()),
        ..Rule::new(
            [Call::Results],
            Fault::Lines(serde_json::from_value(fault)?),
        )
    })
}

pub(crate) fn rules(rules: Vec<Rule>) -> Faults {
    Faults {
        rules,
        ..Faults::default()
    }
}

/// A batch of so many jobs that Anthropic holds, and its id there.
pub(crate) async fn sent(options: Options, jobs: i64) -> Result<(World, String)> {
    let mut world = Box::pin(World::with(options)).await?;
    let id = Box::pin(send(&mut world, jobs)).await?;
    Ok((world, id))
}

async fn send(world: &mut World, jobs: i64) -> Result<String> {
    let texts: Vec<String> = (0..jobs).map(|n| format!("Document {n}.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    world.submit(&texts).await?;
    world.pass(Duration::from_secs(10));
    world.worker.tick(Loop::Form).await?;
    world.worker.tick(Loop::Submit).await?;
    let id = world
        .texts("SELECT upstream_batch_id FROM offpeak.batch")
        .await?;
    id.into_iter().next().context("it was sent")
}

pub(crate) fn small_chunks() -> Options {
    Options {
        chunk_lines: 3,
        ..Options::default()
    }
}

/// Lets time pass until nothing is in flight; a broken download is a tick's
/// error.
pub(crate) async fn read_out(world: &World) -> Result<()> {
    let mut last = None;
    for _ in 0..40 {
        last = world.worker.settle_down().await.err().or(last);
        let open = "SELECT count(*) FROM offpeak.batch WHERE state NOT IN ('ingested', 'refuted')";
        if world.number(open).await? == 0 {
            return Ok(());
        }
        let pause = "UPDATE offpeak.batch SET ingest_until = NULL WHERE state = 'ended'";
        world.meddle(pause).await?;
        world.pass(Duration::from_secs(30));
    }
    anyhow::bail!("never ingested: {last:?}")
}

/// As if a process had died after the last chunk of the first batch.
async fn read_again(world: &World) -> Result<()> {
    world
        .meddle(
            "UPDATE offpeak.batch SET state = 'ended', ingested_at = NULL, ingest_until = NULL
              WHERE id = (SELECT id FROM offpeak.batch ORDER BY planned_at, id LIMIT 1)",
        )
        .await?;
    while world
        .number("SELECT count(*) FROM offpeak.batch WHERE state = 'ended'")
        .await?
        > 0
    {
        world.worker.tick(Loop::Ingest).await?;
    }
    Ok(())
}

/// All rows that results make, without the times at which they were made.
async fn tables(world: &World) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for sql in [
        "SELECT 'result ' || to_jsonb(t)::text FROM offpeak.result t ORDER BY 1",
        "SELECT 'output ' || id || md5(line) FROM offpeak.output ORDER BY 1",
        "SELECT 'attempt ' || to_jsonb(t)::text FROM offpeak.attempt t ORDER BY 1",
        "SELECT 'ledger ' || to_jsonb(t)::text FROM offpeak.ledger t ORDER BY 1",
        "SELECT 'ready ' || to_jsonb(t)::text FROM offpeak.ready t ORDER BY 1",
        "SELECT 'inflight ' || to_jsonb(t)::text FROM offpeak.inflight t ORDER BY 1",
        "SELECT 'quarantine ' || to_jsonb(t)::text FROM offpeak.quarantine t ORDER BY 1",
        "SELECT 'incident ' || to_jsonb(t)::text FROM offpeak.incident t ORDER BY 1",
        "SELECT 'quarantined ' || id || ' ' || quarantined FROM offpeak.batch ORDER BY 1",
        "SELECT scope || key || name || sum(n) || ' ' || sum(cost_pico)
           FROM (SELECT scope, key, name, n, cost_pico FROM offpeak.tally
                  UNION ALL SELECT scope, key, name, n, cost_pico FROM offpeak.delta) AS t
          GROUP BY scope, key, name ORDER BY 1",
    ] {
        rows.extend(world.texts(sql).await?);
    }
    Ok(rows)
}

/// The same without what differs between two worlds.
async fn outline(world: &World) -> Result<Vec<String>> {
    let mut rows = Vec::new();
    for sql in [
        "SELECT outcome || ' ' || coalesce(label, '-') || ' ' || count(*)
           FROM offpeak.result GROUP BY outcome, label ORDER BY 1",
        "SELECT kind || CASE WHEN head IS NULL THEN '' ELSE ' with its head' END
           FROM offpeak.quarantine ORDER BY 1",
        "SELECT 'incident ' || kind FROM offpeak.incident ORDER BY 1",
        "SELECT count(*) || ' booked' FROM offpeak.ledger",
        "SELECT quarantined || ' flawed' FROM offpeak.batch ORDER BY 1",
    ] {
        rows.extend(world.texts(sql).await?);
    }
    Ok(rows)
}

pub(crate) async fn kinds(world: &World) -> Result<Vec<String>> {
    world
        .texts("SELECT kind FROM offpeak.incident ORDER BY 1")
        .await
}

fn mixed(batch: &str) -> Result<Vec<Rule>> {
    MIXED
        .iter()
        .map(|(what, at)| damage(what, *at, batch, Times::ALWAYS))
        .collect()
}

#[tokio::test]
async fn every_kind_of_bad_line_is_put_aside_and_the_rest_lands() -> Result<()> {
    for crashes in [false, true] {
        let (mut world, batch) = sent(small_chunks(), LINES).await?;
        let mut faults = mixed(&batch)?;
        if crashes {
            // Between two chunks, with the first ones settled.
            faults.push(damage("reset", 10, &batch, Times::Count(1))?);
        }
        // In the first whole download a line is none, and its job without one.
        let reads = Times::Count(1 + u32::from(crashes));
        faults.push(damage("garbage", 14, &batch, reads)?);
        world.standin.set_faults(rules(faults));
        read_out(&world).await?;
        let outline = outline(&world).await?.join("\n");
        insta::allow_duplicates! {
            insta::assert_snapshot!(outline, @r"
            completed - 9
            failed result_unreadable 6
            conflict with its head
            duplicate_id
            no_id
            not_json with its head
            not_utf8 with its head
            nul with its head
            oversized with its head
            too_deep with its head
            unknown_form with its head
            unknown_id
            incident conflicting_line
            incident quarantined_line
            10 booked
            10 flawed
            ");
        }

        // After completion.
        let before = tables(&world).await?;
        read_again(&world).await?;
        assert_eq!(tables(&world).await?, before);
        // After a retry by the user, queued and in another batch.
        let ids = world.texts("SELECT id::text FROM offpeak.result WHERE outcome = 'failed'");
        let ids: Vec<_> = ids
            .await?
            .iter()
            .map(|id| Ok(offpeak_domain::id::JobId::from_uuid(id.parse()?)))
            .collect::<Result<_>>()?;
        let mut tx = world.tenants.begin(world.tenant).await?;
        let retried = retry::jobs(&mut tx, &ids, &[Outcome::Failed], &BTreeMap::new()).await?;
        tx.commit().await?;
        assert_eq!(i64::try_from(retried.retried.len())?, UNREADABLE);
        let before = tables(&world).await?;
        read_again(&world).await?;
        assert_eq!(tables(&world).await?, before);
        world.run_out().await?;
        read_out(&world).await?;
        let before = tables(&world).await?;
        read_again(&world).await?;
        assert_eq!(tables(&world).await?, before);

        // Each line that says its usage is booked once, that of the deep one too,
        // and no job is without an answer.
        let booked = "SELECT count(*) FROM offpeak.ledger";
        assert_eq!(world.number(booked).await?, LINES + 1);
        let billed = i64::try_from(world.standin.journal()?.len())?;
        assert_eq!(billed, LINES + UNREADABLE);
        assert_eq!(world.counted("completed").await?, LINES);
    }
    Ok(())
}

#[tokio::test]
async fn jobs_that_are_queued_again_are_not_touched_by_their_old_lines() -> Result<()> {
    let mut world = World::with(small_chunks()).await?;
    let plan = Plan {
        errored: [("overloaded_error".to_owned(), 1.0)].into(),
        ..Plan::default()
    };
    world
        .standin
        .set_faults(rules(vec![Rule::new([Call::Create], Fault::Batch(plan))]));
    let batch = send(&mut world, 5).await?;
    let faults = [
        ("duplicate", 0),
        ("conflict", 1),
        ("unknown", 2),
        ("result_type", 3),
    ];
    let faults: Result<Vec<Rule>> = faults
        .iter()
        .map(|(what, at)| damage(what, *at, &batch, Times::ALWAYS))
        .collect();
    world.standin.set_faults(rules(faults?));
    let ready = "SELECT count(*) FROM offpeak.ready";
    for _ in 0..20 {
        if world.number(ready).await? > 0 {
            break;
        }
        world.pass(Duration::from_secs(30));
        world.worker.tick(Loop::Poll).await?;
        world.worker.tick(Loop::Ingest).await?;
    }
    assert_eq!(world.number(ready).await?, 4);
    let put_aside = "SELECT kind FROM offpeak.quarantine ORDER BY 1";
    let expected = ["conflict", "duplicate_id", "unknown_form", "unknown_id"];
    assert_eq!(world.texts(put_aside).await?, expected);
    for queued in [true, false] {
        if !queued {
            world.run_out().await?;
            read_out(&world).await?;
        }
        let before = tables(&world).await?;
        for _ in 0..2 {
            read_again(&world).await?;
            assert_eq!(tables(&world).await?, before);
        }
    }
    assert_eq!(world.counted("completed").await?, 4);
    books::are_right(&world).await
}

#[tokio::test]
async fn of_many_bad_lines_the_first_are_kept_and_all_are_counted() -> Result<()> {
    let (world, _) = sent(Options::default(), 2).await?;
    let ids: Vec<String> = (0..1500).map(|n| format!("stray-{n}")).collect();
    let fault: LineFault = serde_json::from_value(json!({ "what": "unknown", "ids": ids }))?;
    let strays = Rule {
        times: Times::ALWAYS,
        ..Rule::new([Call::Results], Fault::Lines(fault))
    };
    world.standin.set_faults(rules(vec![strays]));
    read_out(&world).await?;
    for _ in 0..2 {
        let kept =
            "SELECT count(*) FROM offpeak.quarantine WHERE kind = 'unknown_id' AND head IS NULL";
        assert_eq!(world.number(kept).await?, 1000);
        let counted = "SELECT quarantined::bigint FROM offpeak.batch";
        assert_eq!(world.number(counted).await?, 1500);
        assert_eq!(kinds(&world).await?, ["quarantined_line"]);
        read_again(&world).await?;
    }
    let open = incident::list(&world.system, false, 10).await?;
    assert_eq!(open[0].flawed_lines, 1500);
    let reachable = "SELECT 'quarantine'
                      WHERE has_any_column_privilege('offpeak_api', 'offpeak.quarantine',
                                                     'INSERT, UPDATE')";
    assert_eq!(world.texts(reachable).await?, [""; 0]);
    books::are_right(&world).await
}

#[tokio::test]
async fn wrong_counts_hold_nothing_back_and_are_noted_once() -> Result<()> {
    let counts = |add, wander| Fault::Counts { add, wander };
    let kinds_swapped: Value = json!({ "request_counts": { "succeeded": 4, "errored": 1 } });
    let kinds_swapped = kinds_swapped.as_object().cloned().unwrap_or_default();
    for fault in [
        counts(3, 0),
        counts(-2, 0),
        counts(-100, 0),
        counts(1, 1000),
        Fault::Patch(kinds_swapped),
    ] {
        let (world, _) = sent(Options::default(), 5).await?;
        let wrong = Rule {
            times: Times::ALWAYS,
            ..Rule::new([Call::Retrieve, Call::List], fault.clone())
        };
        world.standin.set_faults(rules(vec![wrong]));
        for _ in 0..2 {
            read_out(&world).await?;
            assert_eq!(world.counted("completed").await?, 5, "{fault:?}");
            assert_eq!(kinds(&world).await?, ["counts_differ"], "{fault:?}");
            read_again(&world).await?;
        }
        books::are_right(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_line_that_the_database_refuses_takes_nothing_with_it() -> Result<()> {
    let (world, batch) = sent(Options::default(), 5).await?;
    let stray = damage("unknown", 0, &batch, Times::ALWAYS)?;
    world.standin.set_faults(rules(vec![stray]));
    let refusal = "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN RAISE 'out of range' USING ERRCODE = '22003'; END $$;";
    world.meddle(refusal).await?;
    world
        .meddle(
            "DO $$ BEGIN
                 EXECUTE format('CREATE TRIGGER refuse BEFORE INSERT ON offpeak.ledger FOR EACH ROW
                                 WHEN (NEW.id = %L) EXECUTE FUNCTION public.refuse()',
                                (SELECT id FROM offpeak.inflight ORDER BY id LIMIT 1 OFFSET 2));
             END $$",
        )
        .await?;
    read_out(&world).await?;
    for _ in 0..2 {
        let outline = outline(&world).await?.join("\n");
        insta::allow_duplicates! {
            insta::assert_snapshot!(outline, @r"
            completed - 4
            failed result_unreadable 1
            refused with its head
            unknown_id
            incident quarantined_line
            4 booked
            2 flawed
            ");
        }
        read_again(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_operator_sees_how_many_lines_were_put_aside() -> Result<()> {
    let (world, batch) = sent(Options::default(), 3).await?;
    let faults = [("bad_utf8", 0), ("conflict", 1), ("duplicate", 2)];
    let faults: Result<Vec<Rule>> = faults
        .iter()
        .map(|(what, at)| damage(what, *at, &batch, Times::ALWAYS))
        .collect();
    world.standin.set_faults(rules(faults?));
    read_out(&world).await?;
    let folder = tempfile::tempdir()?;
    let run = async |arguments: &'static [&'static str]| -> Result<String> {
        let ran = offpeak(folder.path())
            .env("DATABASE_URL", database_url(&world)?)
            .env("ANTHROPIC_API_KEY", "sk-ant-any")
            .env("ANTHROPIC_BASE_URL", &world.standin_url)
            .args(arguments)
            .output()
            .await?;
        Ok(shown(&ran, &world.standin_url))
    };
    let seen = run(&["incidents"]).await?;
    let said = "the first one stands (flawed lines of the batch: 3)";
    assert!(seen.contains(said), "{seen}");
    let seen = run(&["doctor"]).await?;
    let said = "open: 1 conflicting_line, 1 quarantined_line; lines put aside: 1 conflict, \
                1 duplicate_id, 1 not_utf8; see `offpeak incidents`";
    assert!(seen.contains(said), "{seen}");
    Ok(())
}

//! Cancel and retry: what each answers in every state that a job can be in, and
//! that nothing is lost or paid twice when they race with everything else.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::{CustomId, JobId};
use offpeak_standin::{Call, Fault, Faults, Plan, Reset, Rule, Status, Times};
use offpeak_worker::{Loop, Options, Worker};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::api::{Answer, Api, raw_job};
use crate::books;
use crate::faults::{dropped, refusal};
use crate::invariants::end;

/// How a job comes into a state.
struct Way {
    state: &'static str,
    /// What the create of its batch meets; none, if it is not sent.
    create: Option<fn() -> Faults>,
    /// What happens then.
    then: &'static [Then],
}

#[derive(Clone, Copy)]
enum Then {
    /// The loop's tick.
    Tick(Loop),
    /// Its batch ends at Anthropic.
    EndUpstream,
    /// The user cancels it.
    Cancel,
    /// A change behind the product's back: as a process leaves things that dies.
    Meddle(&'static str),
    /// Everything goes on until nothing is open.
    End,
}

const SENDING: &str = "WITH changed AS (
        UPDATE offpeak.batch
           SET state = 'sending', sender = gen_random_uuid(), sent_at = planned_at,
               send_deadline = planned_at + interval '5 min'
        RETURNING tenant_id, state, id)
    INSERT INTO offpeak.event_in (tenant_id, kind, state, ids)
    SELECT tenant_id, 'batch', state, ARRAY[id] FROM changed";
const REFUTED: &str = "WITH changed AS (
        UPDATE offpeak.batch SET state = 'refuted' WHERE state = 'uncertain'
        RETURNING tenant_id, state, id)
    INSERT INTO offpeak.event_in (tenant_id, kind, state, ids)
    SELECT tenant_id, 'batch', state, ARRAY[id] FROM changed";

fn invalid() -> Faults {
    Faults {
        rules: vec![Rule::new(
            [Call::Create],
            Fault::Batch(Plan {
                errored: [("invalid_request_error".to_owned(), 1.0)].into(),
                ..Plan::default()
            }),
        )],
        ..Faults::default()
    }
}

fn ways() -> Vec<Way> {
    use Then::{Cancel, End, EndUpstream, Meddle, Tick};
    let way = |state, create, then| Way {
        state,
        create,
        then,
    };
    let well: Option<fn() -> Faults> = Some(Faults::default);
    let lost: Option<fn() -> Faults> = Some(|| refusal(502, 1));
    vec![
        way("waiting", None, &[]),
        way("planned", None, &[Tick(Loop::Form)]),
        way("sending", None, &[Tick(Loop::Form), Meddle(SENDING)]),
        way("uncertain, not stored", lost, &[]),
        way("uncertain, stored", Some(|| dropped(1)), &[]),
        way("refuted, not free yet", lost, &[Meddle(REFUTED)]),
        way("rejected, not free yet", Some(|| refusal(400, 1)), &[]),
        way("in progress", well, &[]),
        way("ended", well, &[EndUpstream]),
        way("completed", well, &[End]),
        way("failed", Some(invalid), &[End]),
        way("canceled while waiting", None, &[Cancel]),
        way(
            "canceled in a planned batch",
            None,
            &[Tick(Loop::Form), Cancel],
        ),
        way("canceled in doubt", lost, &[Cancel]),
        way("canceled at Anthropic", well, &[Cancel]),
        way("canceled, and its line has come", well, &[Cancel, End]),
    ]
}

const ACTIONS: [&str; 4] = ["cancel job", "cancel group", "retry job", "retry group"];

/// A job in a group of its own for each action, and one that is left alone.
struct Stage {
    api: Api,
    jobs: Vec<String>,
    groups: Vec<String>,
}

impl Stage {
    async fn set(way: &Way) -> Result<Self> {
        let api = Api::new().await?;
        let (mut jobs, mut groups) = (Vec::new(), Vec::new());
        for name in ACTIONS.iter().chain(&["nothing"]) {
            let group = api.post("/v1/jobs/bulk", raw_job(name)).await?.at("/group");
            let listed = api.get(&format!("/v1/jobs?group={group}")).await?;
            jobs.push(listed.at("/data/0/id"));
            groups.push(group);
        }
        api.world.pass(Duration::from_secs(10));
        if let Some(faults) = way.create {
            api.world.standin.set_faults(faults());
            api.world.worker.tick(Loop::Form).await?;
            api.world.worker.tick(Loop::Submit).await?;
        }
        for then in way.then {
            match then {
                Then::Tick(which) => drop(api.world.worker.tick(*which).await?),
                Then::EndUpstream => {
                    api.world.pass(Duration::from_mins(2));
                    api.world.worker.tick(Loop::Poll).await?;
                }
                Then::Cancel => {
                    for job in &jobs[..ACTIONS.len()] {
                        api.post(&format!("/v1/jobs/{job}/cancel"), "").await?;
                    }
                }
                Then::Meddle(sql) => api.world.meddle(sql).await?,
                Then::End => end(&api).await?,
            }
        }
        Ok(Self { api, jobs, groups })
    }

    async fn act(&self, place: usize) -> Result<String> {
        let (job, group) = (&self.jobs[place], &self.groups[place]);
        let path = match ACTIONS[place] {
            "cancel job" => format!("/v1/jobs/{job}/cancel"),
            "cancel group" => format!("/v1/groups/{group}/cancel"),
            "retry job" => format!("/v1/jobs/{job}/retry"),
            _ => format!("/v1/groups/{group}/retry"),
        };
        Ok(in_words(ACTIONS[place], &self.api.post(&path, "").await?))
    }

    async fn state(&self, place: usize) -> Result<String> {
        let path = format!("/v1/jobs/{}", self.jobs[place]);
        Ok(self.api.get(&path).await?.at("/state"))
    }
}

fn in_words(action: &str, answer: &Answer) -> String {
    match (answer.status, action) {
        (200, "cancel group") => format!("{} canceled", answer.at("/canceled")),
        (200, "retry group") => format!(
            "{} retried, {} in flight",
            answer.at("/retried"),
            answer.at("/in_flight")
        ),
        (200, _) => "200".to_owned(),
        _ => answer.problem(),
    }
}

#[tokio::test]
async fn every_state_has_its_answer_and_its_end() -> Result<()> {
    let mut table = Vec::new();
    for way in ways() {
        let stage = Box::pin(Stage::set(&way)).await?;
        let mut rows = Vec::new();
        for (place, action) in ACTIONS.iter().enumerate() {
            let answer = stage.act(place).await?;
            rows.push(format!(
                "{action:<12}  {answer:<22} {}",
                stage.state(place).await?
            ));
        }
        stage.api.world.check_invariants().await?;
        stage.api.world.standin.clear_faults();
        end(&stage.api).await?;
        let journal = stage.api.world.standin.journal()?;
        table.push(format!("{}:", way.state));
        for (place, row) in rows.into_iter().enumerate() {
            let mut paid = 0;
            for line in &journal {
                let id: CustomId = line.custom_id.as_deref().unwrap_or_default().parse()?;
                paid += u32::from(id.job == stage.jobs[place].parse::<JobId>()?);
            }
            let end = stage.state(place).await?;
            table.push(format!("  {row} → {end}, paid {paid}×"));
        }
        books::are_right(&stage.api.world)
            .await
            .context(way.state)?;
    }
    insta::assert_snapshot!(table.join("\n"), @r"
    waiting:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  1 canceled             canceled → canceled, paid 0×
      retry job     409 job_not_ended      queued → completed, paid 1×
      retry group   0 retried, 0 in flight queued → completed, paid 1×
    planned:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  1 canceled             canceled → canceled, paid 0×
      retry job     409 job_not_ended      queued → completed, paid 1×
      retry group   0 retried, 0 in flight queued → completed, paid 1×
    sending:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  1 canceled             canceled → canceled, paid 0×
      retry job     409 job_not_ended      queued → completed, paid 1×
      retry group   0 retried, 0 in flight queued → completed, paid 1×
    uncertain, not stored:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  1 canceled             canceled → canceled, paid 0×
      retry job     409 job_not_ended      queued → completed, paid 1×
      retry group   0 retried, 0 in flight queued → completed, paid 1×
    uncertain, stored:
      cancel job    200                    canceled → canceled, paid 1×
      cancel group  1 canceled             canceled → canceled, paid 1×
      retry job     409 job_not_ended      queued → completed, paid 1×
      retry group   0 retried, 0 in flight queued → completed, paid 1×
    refuted, not free yet:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  1 canceled             canceled → canceled, paid 0×
      retry job     409 job_not_ended      queued → completed, paid 1×
      retry group   0 retried, 0 in flight queued → completed, paid 1×
    rejected, not free yet:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  1 canceled             canceled → canceled, paid 0×
      retry job     409 job_not_ended      queued → completed, paid 1×
      retry group   0 retried, 0 in flight queued → completed, paid 1×
    in progress:
      cancel job    200                    canceled → canceled, paid 1×
      cancel group  1 canceled             canceled → canceled, paid 1×
      retry job     409 job_not_ended      submitted → completed, paid 1×
      retry group   0 retried, 0 in flight submitted → completed, paid 1×
    ended:
      cancel job    200                    canceled → canceled, paid 1×
      cancel group  1 canceled             canceled → canceled, paid 1×
      retry job     409 job_not_ended      processing → completed, paid 1×
      retry group   0 retried, 0 in flight processing → completed, paid 1×
    completed:
      cancel job    200                    completed → completed, paid 1×
      cancel group  0 canceled             completed → completed, paid 1×
      retry job     409 already_completed  completed → completed, paid 1×
      retry group   0 retried, 0 in flight completed → completed, paid 1×
    failed:
      cancel job    200                    failed → failed, paid 0×
      cancel group  0 canceled             failed → failed, paid 0×
      retry job     200                    queued → completed, paid 1×
      retry group   1 retried, 0 in flight queued → completed, paid 1×
    canceled while waiting:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  0 canceled             canceled → canceled, paid 0×
      retry job     200                    queued → completed, paid 1×
      retry group   1 retried, 0 in flight queued → completed, paid 1×
    canceled in a planned batch:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  0 canceled             canceled → canceled, paid 0×
      retry job     409 job_in_flight      canceled → canceled, paid 0×
      retry group   0 retried, 1 in flight canceled → canceled, paid 0×
    canceled in doubt:
      cancel job    200                    canceled → canceled, paid 0×
      cancel group  0 canceled             canceled → canceled, paid 0×
      retry job     409 job_in_flight      canceled → canceled, paid 0×
      retry group   0 retried, 1 in flight canceled → canceled, paid 0×
    canceled at Anthropic:
      cancel job    200                    canceled → canceled, paid 1×
      cancel group  0 canceled             canceled → canceled, paid 1×
      retry job     409 job_in_flight      canceled → canceled, paid 1×
      retry group   0 retried, 1 in flight canceled → canceled, paid 1×
    canceled, and its line has come:
      cancel job    200                    canceled → canceled, paid 1×
      cancel group  0 canceled             canceled → canceled, paid 1×
      retry job     200                    queued → completed, paid 2×
      retry group   1 retried, 0 in flight queued → completed, paid 2×
    ");
    Ok(())
}

/// Turns of the users and of the engines in one run.
const TURNS: usize = 40;

#[tokio::test]
async fn racing_with_everything_they_lose_nothing_and_pay_nothing_twice() -> Result<()> {
    for seed in 0..2 {
        Box::pin(race(seed))
            .await
            .with_context(|| format!("with seed {seed}"))?;
    }
    Ok(())
}

/// An API that loses answers, is overloaded, and whose items fail and expire.
fn weather() -> Faults {
    let rule = |chance, on: Call, fault| Rule {
        chance,
        times: Times::ALWAYS,
        ..Rule::new([on], fault)
    };
    let status = |status| Status {
        status,
        ..Status::default()
    };
    let lost = Fault::Reset {
        when: Reset::Answer,
        bytes: 0,
    };
    let items = Plan {
        errored: [
            ("overloaded_error".to_owned(), 0.2),
            ("invalid_request_error".to_owned(), 0.1),
        ]
        .into(),
        expired: 0.2,
        ..Plan::default()
    };
    Faults {
        rules: vec![
            rule(0.2, Call::Create, lost),
            rule(0.1, Call::Create, Fault::Status(status(529))),
            rule(0.1, Call::Create, Fault::Status(status(400))),
            rule(0.1, Call::Results, Fault::Half { framed: false }),
            rule(1.0, Call::Create, Fault::Batch(items)),
        ],
        ..Faults::default()
    }
}

async fn race(seed: u64) -> Result<()> {
    let mut options = Options {
        chunk_lines: 2,
        ..Options::default()
    };
    options.limits.max_items = 4;
    let mut api = Api::new().await?;
    api.world.one_upstream(options.clone())?;
    let second = api.world.second_worker(options.clone())?;
    let third = api.world.second_worker(options)?;
    api.world.standin.set_faults(weather());
    let api = api;
    tokio::try_join!(
        engine(&api, &api.world.worker, seed, true),
        engine(&api, &second, seed + 100, false),
        engine(&api, &third, seed + 200, false),
        user(&api, seed + 300),
        user(&api, seed + 400),
        user(&api, seed + 500),
    )?;
    api.world.standin.clear_faults();
    api.world.check_invariants().await?;
    // The other processes are gone, and their terms are over.
    while !api.world.expire_leases().await? {}
    end(&api).await?;
    for _ in 0..10 {
        // Late lines of canceled jobs.
        api.world.pass(Duration::from_mins(1));
        api.world.worker.settle_down().await?;
    }
    assert_eq!(api.world.open_jobs().await?, 0);
    let left = "SELECT count(*) FROM offpeak.inflight";
    assert_eq!(api.world.number(left).await?, 0);
    let mut sent: Vec<_> = api.world.standin.journal()?;
    let lines = sent.len();
    sent.sort_by(|a, b| a.custom_id.cmp(&b.custom_id));
    sent.dedup_by(|a, b| a.custom_id == b.custom_id);
    assert_eq!(sent.len(), lines, "a job is in a batch once");
    books::are_right(&api.world).await
}

/// A process whose loops run in any order; one of them lets time pass besides.
async fn engine(api: &Api, worker: &Worker, seed: u64, clock: bool) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    for _ in 0..TURNS {
        if clock {
            api.world.pass(Duration::from_secs(rng.random_range(1..30)));
            // The pause between two reads is the database's time.
            let pause = "UPDATE offpeak.batch SET ingest_until = NULL
                          WHERE state = 'ended' AND ingester IS NULL";
            api.world.meddle(pause).await?;
        }
        let which = Loop::ALL[rng.random_range(0..Loop::ALL.len())];
        // It may fail, that is what the faults are for; the driver would log it.
        let _ = worker.tick(which).await;
    }
    Ok(())
}

/// Submits, cancels and retries, by job and by group, whatever was submitted
/// by anybody.
async fn user(api: &Api, seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    for turn in 0..TURNS {
        if turn % 4 == 0 {
            let lines: String = (0..rng.random_range(1..6))
                .map(|n| raw_job(&format!("{n} of turn {turn} of {seed}")) + "\n")
                .collect();
            let accepted = api.post("/v1/jobs/bulk", lines).await?;
            assert_eq!(accepted.status, 202, "{accepted:?}");
        }
        let path = match rng.random_range(0..4) {
            0 => format!(
                "/v1/jobs/{}/cancel",
                any(api, &mut rng, "/v1/jobs?limit=200").await?
            ),
            1 => format!(
                "/v1/groups/{}/cancel",
                any(api, &mut rng, "/v1/groups?limit=200").await?
            ),
            2 => {
                let job = any(
                    api,
                    &mut rng,
                    "/v1/jobs?limit=200&state=failed,canceled,completed",
                );
                format!(
                    "/v1/jobs/{}/retry?completed={}",
                    job.await?,
                    rng.random::<bool>()
                )
            }
            _ => format!(
                "/v1/groups/{}/retry",
                any(api, &mut rng, "/v1/groups?limit=200").await?
            ),
        };
        let answer = api.post(&path, "").await?;
        assert!(
            [200, 404, 409].contains(&answer.status),
            "{path}: {answer:?}"
        );
    }
    Ok(())
}

/// The id of any of these; of none, if there are none.
async fn any(api: &Api, rng: &mut StdRng, path: &str) -> Result<String> {
    let listed = api.get(path).await?.json();
    let all = listed["data"].as_array().context("a list")?;
    let one = all.get(rng.random_range(0..all.len().max(1)));
    let id = one.and_then(|one| one["id"].as_str());
    Ok(id.unwrap_or("none").to_owned())
}

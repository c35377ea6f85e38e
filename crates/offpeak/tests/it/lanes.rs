//! Jobs that are wanted soon, and the calls that are made for them.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::TenantId;
use offpeak_domain::job::{Lane, OnLate};
use offpeak_standin::{Call, Fault, Faults, Form, Reset, Rule, Status, Times};
use offpeak_testkit::world::{World, insistent, metrics, terms};
use offpeak_wire::{Job, JobState};
use offpeak_worker::Loop;
use tokio::time::timeout;

use crate::api::{Api, raw_job};
use crate::books;
use crate::live::{SOON, relay};

const HALF_MINUTE: Duration = Duration::from_secs(30);

/// What goes wrong with so many direct calls.
pub(crate) fn calls(fault: Fault, times: u32) -> Faults {
    Faults {
        rules: vec![Rule {
            times: Times::Count(times),
            ..Rule::new([Call::Messages], fault)
        }],
        ..Faults::default()
    }
}

/// An answer with this status, in the API's own form.
pub(crate) fn status(status: u16) -> Fault {
    Fault::Status(Status {
        status,
        stored: false,
        kind: None,
        message: None,
        code: None,
        retry_after: None,
        retry_after_ms: None,
        should_retry: None,
        body: Form::default(),
    })
}

/// The call has its effect, and no answer comes.
pub(crate) const LOST: Fault = Fault::Reset {
    when: Reset::Answer,
    bytes: 0,
};

/// How each job ended: outcome, label and lane.
pub(crate) async fn ends(world: &World) -> Result<Vec<String>> {
    world
        .texts(
            "SELECT state || coalesce(' ' || label, '') || ' ' || lane
               FROM offpeak.job_state ORDER BY id",
        )
        .await
}

fn urgent(prompt: &str, more: &str) -> String {
    let job = raw_job(prompt);
    format!("{},{more}}}", &job[..job.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_job_has_its_answer_in_one_round_trip() -> Result<()> {
    let api = Api::new().await?;
    let request = api.http().post(format!("{}/v1/jobs", api.url));
    let request = request.bearer_auth(&api.key).header("prefer", "wait=60");
    let request = request.body(urgent("One fine day.", r#""deliver_within":"30s""#));
    let answer = tokio::spawn(request.send());
    timeout(SOON, async {
        while api.world.worker.tick(Loop::Direct).await?.done == 0 {}
        anyhow::Ok(())
    })
    .await??;
    relay(&api).await?;
    let answer = timeout(SOON, answer).await???;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["preference-applied"], "wait=60");
    let job: Job = serde_json::from_slice(&answer.bytes().await?)?;
    assert_eq!(
        (job.state, job.lane),
        (JobState::Completed, offpeak_wire::Lane::Direct)
    );
    assert_eq!(job.deliver_within.as_deref(), Some("30s"));
    assert_eq!(job.on_late, Some(offpeak_wire::OnLate::Escalate));
    assert!(
        job.cost.is_some() && job.cost == job.cost_sync,
        "at the normal price"
    );
    assert!(job.batch.is_none() && job.deadline.is_none() && job.latest_by.is_none());
    let result = api.get(&format!("/v1/jobs/{}/result", job.id)).await?;
    assert!(result.at("/text").contains("One fine day"), "{result:?}");
    assert_eq!(result.at("/standin"), "true");
    let batches = "SELECT count(*) FROM offpeak.batch";
    assert_eq!(api.world.number(batches).await?, 0, "no batch was made");
    books::are_right(&api.world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lane_follows_from_what_is_asked_for() -> Result<()> {
    let api = Api::new().await?;
    let shown = async |more: &str| {
        let answer = api.post("/v1/jobs", urgent("x", more)).await?;
        anyhow::Ok(format!(
            "{} {}",
            answer.at("/lane"),
            answer.at("/expected_by")
        ))
    };
    assert_eq!(shown(r#""priority":"high""#).await?, "batch null");
    // Nothing was measured: only what holds for any batch leads into one.
    assert_eq!(shown(r#""deliver_within":"25h""#).await?, "batch null");
    assert_eq!(shown(r#""deliver_within":"8h""#).await?, "direct null");
    let listed = api.get("/v1/jobs?state=queued").await?;
    assert_eq!(listed.at("/data/0/deliver_within"), "8h");
    assert_ne!(listed.at("/data/0/deadline"), "null");
    for (more, problem) in [
        (
            r#""deliver_within":"soon""#,
            r#"422 invalid_input "/deliver_within" "invalid_value""#,
        ),
        (
            r#""deliver_within":"29d""#,
            r#"422 invalid_input "/deliver_within" "invalid_value""#,
        ),
        (
            r#""deliver_within":30"#,
            r#"422 invalid_input "/deliver_within" "wrong_type""#,
        ),
        (
            r#""on_late":"fail""#,
            r#"422 invalid_input "/deliver_within" "missing_field""#,
        ),
        (
            r#""deliver_within":"1h","on_late":"panic""#,
            r#"422 invalid_input "/on_late" "wrong_type""#,
        ),
    ] {
        let answer = api.post("/v1/jobs", urgent("x", more)).await?;
        assert_eq!(answer.problem(), problem, "{more}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_type_says_it_for_its_jobs_and_a_job_for_itself() -> Result<()> {
    let api = Api::new().await?;
    let kind = |more: &str| {
        format!(
            r#"{{"name":"greet","model":"claude-haiku-5-5","max_tokens":50,"template":"Hi {{{{ who }}}}",
                "input_schema":{{"type":"object","properties":{{"who":{{"type":"string"}}}}}}{more}}}"#
        )
    };
    let wrong = api
        .post("/v1/job-types", kind(r#","deliver_within":"1.5h""#))
        .await?;
    assert_eq!(
        wrong.problem(),
        r#"422 invalid_input "/deliver_within" "invalid_job_type""#
    );
    let wrong = api
        .post("/v1/job-types", kind(r#","on_late":"wait""#))
        .await?;
    assert_eq!(
        wrong.problem(),
        r#"422 invalid_input "/on_late" "invalid_job_type""#
    );
    let made = r#","deliver_within":"90s","on_late":"fail","on_unknown":"retry","coalesce":false"#;
    let made = kind(made);
    let made = api.post("/v1/job-types", made).await?;
    assert_eq!(
        (made.status, made.at("/on_unknown")),
        (201, "retry".to_owned())
    );
    let submit = async |more: &str| {
        let body = format!(r#"{{"type":"greet","input":{{"who":"you"}}{more}}}"#);
        let answer = api.post("/v1/jobs", body).await?;
        let shown = [
            answer.at("/lane"),
            answer.at("/deliver_within"),
            answer.at("/on_late"),
        ];
        anyhow::Ok(shown.join(" "))
    };
    assert_eq!(submit("").await?, "direct 1m 30s fail");
    assert_eq!(submit(r#","deliver_within":"2d""#).await?, "batch 2d fail");
    assert_eq!(
        submit(r#","on_late":"escalate""#).await?,
        "direct 1m 30s escalate"
    );
    let bulk = api.post(
        "/v1/jobs/bulk",
        "{\"type\":\"greet\",\"input\":{\"who\":\"b\"}}\n",
    );
    assert_eq!(bulk.await?.status, 202);
    let kept = "SELECT lane || ' ' || on_unknown || ' ' || extract(epoch FROM q.deadline - q.not_before)::int
                  FROM offpeak.ready q JOIN offpeak.job j USING (tenant_id, id, lane) ORDER BY id";
    let minute = "direct retry 90";
    assert_eq!(
        api.world.texts(kept).await?,
        [minute, "batch retry 172800", minute, minute]
    );
    Ok(())
}

/// A world with so many direct jobs.
async fn begun(jobs: usize) -> Result<World> {
    let mut world = World::with(World::quick()).await?;
    let job = ("One fine day.", terms(HALF_MINUTE, OnLate::Escalate));
    world.submit_urgent(Lane::Direct, &vec![job; jobs]).await?;
    Ok(world)
}

#[tokio::test]
async fn direct_jobs_are_in_no_batch_and_others_in_no_call() -> Result<()> {
    let mut world = begun(2).await?;
    world.submit(&["Two cats.", "Three dogs."]).await?;
    world.run_out().await?;
    let items = "SELECT sum(items)::bigint FROM offpeak.batch";
    assert_eq!(world.number(items).await?, 2);
    let direct = world.standin.journal()?;
    let direct = direct.iter().filter(|item| item.batch_id.is_none());
    assert_eq!(direct.count(), 2);
    books::are_right(&world).await
}

#[tokio::test]
async fn a_lost_answer_fails_the_job_unless_its_type_wants_to_try_again() -> Result<()> {
    let world = begun(1).await?;
    world.standin.set_faults(calls(LOST, 1));
    world.worker.tick(Loop::Direct).await?;
    assert_eq!(ends(&world).await?, ["failed outcome_unknown direct"]);
    let open = "SELECT kind || ' ' || absorbed_pico FROM offpeak.incident ORDER BY at";
    assert_eq!(world.texts(open).await?, ["outcome_unknown 0"]);
    world.check_invariants().await?;

    let mut world = World::with(World::quick()).await?;
    world
        .submit_urgent(Lane::Direct, &[("One fine day.", insistent(HALF_MINUTE))])
        .await?;
    world.standin.set_faults(calls(LOST, 2));
    world.run_out().await?;
    assert_eq!(ends(&world).await?, ["completed direct"]);
    assert_eq!(world.standin.journal()?.len(), 3, "billed three times");
    let absorbed = "SELECT count(*) FROM offpeak.incident
                     WHERE kind = 'outcome_unknown' AND absorbed_pico > 0";
    assert_eq!(
        world.number(absorbed).await?,
        2,
        "two of them by nobody's fault"
    );
    books::are_right_beside(&world, 2).await
}

#[tokio::test]
async fn what_was_not_stored_is_called_for_again_and_no_try_is_spent() -> Result<()> {
    for code in [429, 529] {
        let mut world = begun(1).await?;
        world.standin.set_faults(calls(status(code), 3));
        world.worker.tick(Loop::Direct).await?;
        assert_eq!(ends(&world).await?, ["queued direct"], "{code}");
        world.check_invariants().await?;
        world.run_out().await?;
        assert_eq!(ends(&world).await?, ["completed direct"], "{code}");
        let attempts = "SELECT count(*) + (SELECT max(attempt) FROM offpeak.result)
                          FROM offpeak.attempt";
        assert_eq!(
            world.number(attempts).await?,
            1,
            "{code}: the first attempt"
        );
        books::are_right(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_error_in_the_apis_own_form_is_an_answer() -> Result<()> {
    let mut world = begun(1).await?;
    world.standin.set_faults(calls(status(500), 2));
    world.run_out().await?;
    assert_eq!(ends(&world).await?, ["completed direct"]);
    let tries = "SELECT count(*) FROM offpeak.attempt WHERE outcome = 'errored'";
    assert_eq!(world.number(tries).await?, 2);
    books::are_right(&world).await?;

    let mut world = begun(1).await?;
    world.standin.set_faults(calls(status(400), 1));
    world.run_out().await?;
    assert_eq!(ends(&world).await?, ["failed invalid_request direct"]);
    books::are_right(&world).await
}

#[tokio::test]
async fn what_only_a_person_can_mend_pauses_direct_calls_too() -> Result<()> {
    let mut world = begun(2).await?;
    world.standin.set_faults(calls(status(401), 1));
    world.worker.tick(Loop::Direct).await?;
    let paused = "SELECT count(*) FROM offpeak.upstream WHERE paused_reason IS NOT NULL";
    assert_eq!(world.number(paused).await?, 1);
    world.worker.settle_down().await?;
    assert_eq!(ends(&world).await?, ["queued direct", "queued direct"]);
    world.run_out().await?;
    assert_eq!(world.number(paused).await?, 0);
    books::are_right(&world).await
}

/// Begins a call that is not answered before it is let go.
async fn under_way(world: &World) -> Result<()> {
    let hang = Fault::Hang;
    world.standin.set_faults(calls(hang, 1));
    let open = "SELECT count(*) FROM offpeak.call WHERE state = 'sending'";
    let asked = async {
        while world.number(open).await? == 0 {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = world.worker.tick(Loop::Direct) => anyhow::bail!("it is over: {done:?}"),
        asked = timeout(SOON, asked) => asked?,
    }
}

#[tokio::test]
async fn what_a_dead_process_was_calling_for_is_found_and_not_called_for_again() -> Result<()> {
    let mut world = begun(1).await?;
    under_way(&world).await?;
    assert_eq!(ends(&world).await?, ["processing direct"]);
    world.check_invariants().await?;
    world.worker.tick(Loop::Rescue).await?;
    assert_eq!(
        ends(&world).await?,
        ["processing direct"],
        "it may still live"
    );
    assert!(world.expire_leases().await?);
    let second = world.second_worker(World::quick())?;
    second.tick(Loop::Rescue).await?;
    assert_eq!(ends(&world).await?, ["failed outcome_unknown direct"]);
    world.worker = second;
    world.run_out().await?;
    world.check_invariants().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_being_called_for_can_be_canceled_and_its_answer_is_booked() -> Result<()> {
    let mut api = Api::new().await?;
    let job = ("One fine day.", terms(HALF_MINUTE, OnLate::Escalate));
    let job = api.world.submit_urgent(Lane::Direct, &[job]).await?[0];
    let slow = Fault::Delay {
        min_ms: 500,
        max_ms: 500,
    };
    api.world.standin.set_faults(calls(slow, 1));
    let canceled = async {
        let path = format!("/v1/jobs/{job}");
        while api.get(&path).await?.at("/state") != "processing" {}
        let listed = api.get("/v1/jobs?state=processing").await?;
        assert_eq!(listed.at("/data/0/lane"), "direct");
        let listed = api.get("/v1/jobs?state=submitted").await?;
        assert_eq!(listed.at("/data"), "[]");
        let answer = api.post(&format!("{path}/cancel"), "").await?;
        assert_eq!(answer.at("/state"), "canceled");
        anyhow::Ok(())
    };
    let (ticked, canceled) = tokio::join!(api.world.worker.tick(Loop::Direct), canceled);
    ticked?;
    canceled?;
    let kept = "SELECT outcome || ' ' || (cost_pico > 0) FROM offpeak.attempt";
    assert_eq!(api.world.texts(kept).await?, ["completed true"]);
    assert_eq!(ends(&api.world).await?, ["canceled direct"]);
    books::are_right(&api.world).await?;
    // Retried, it is called for again.
    let again = api.post(&format!("/v1/jobs/{job}/retry"), "").await?;
    assert_eq!(
        (again.at("/state"), again.at("/lane")),
        ("queued".into(), "direct".into())
    );
    api.world.run_out().await?;
    assert_eq!(ends(&api.world).await?, ["completed direct"]);
    books::are_right(&api.world).await
}

#[tokio::test]
async fn calls_at_once_are_bounded_over_all_processes_and_go_round_between_tenants() -> Result<()> {
    let options = offpeak_worker::Options {
        parallel_calls: 2,
        ..World::quick()
    };
    let mut world = World::with(options.clone()).await?;
    let job = ("One fine day.", terms(HALF_MINUTE, OnLate::Escalate));
    world.submit_urgent(Lane::Direct, &[job; 6]).await?;
    let first = world.tenant;
    let other = {
        let mut tx = world.system.begin().await?;
        let id = TenantId::from_uuid(uuid::Uuid::from_u128(77));
        offpeak_store::tenant::create(&mut tx, id, "late").await?;
        tx.commit().await?;
        id
    };
    world.tenant = other;
    world.submit_urgent(Lane::Direct, &[job; 2]).await?;
    // No answer comes before the others have asked for their turn.
    world.standin.set_faults(calls(Fault::Hang, 8));
    let second = world.second_worker(options)?;
    let (one, two) = (&world.worker, &second);
    let asked = async {
        let open = "SELECT tenant_id::text FROM offpeak.call WHERE state = 'sending'";
        let mut open_for = world.texts(open).await?;
        while open_for.len() < 2 {
            open_for = world.texts(open).await?;
        }
        for worker in [one, two] {
            tokio::select! {
                turn = worker.tick(Loop::Direct) => assert_eq!(turn?.done, 0, "two at once"),
                third = third_call(&world, open) => third?,
            }
        }
        anyhow::Ok(open_for)
    };
    let open_for = tokio::select! {
        open_for = asked => open_for?,
        ended = one.tick(Loop::Direct) => anyhow::bail!("ended: {ended:?}"),
        ended = two.tick(Loop::Direct) => anyhow::bail!("ended: {ended:?}"),
    };
    for tenant in [first, other] {
        assert!(
            open_for.contains(&tenant.as_uuid().to_string()),
            "each its turn: {open_for:?}"
        );
    }
    Ok(())
}

/// Returns when more than two calls are open, and then as an error.
async fn third_call(world: &World, open: &'static str) -> Result<()> {
    while world.texts(open).await?.len() == 2 {}
    anyhow::bail!("a third call is open")
}

#[tokio::test]
async fn calls_are_counted_by_what_came_of_them() -> Result<()> {
    let mut world = World::new().await?;
    let registry = world.one_upstream(World::quick())?;
    let job = ("One fine day.", terms(HALF_MINUTE, OnLate::Escalate));
    world.submit_urgent(Lane::Direct, &[job]).await?;
    let outcome = world.worker.tick(Loop::Direct).await?;
    assert_eq!(outcome.seen.called, Some("answered"));
    let text = metrics(&registry)?;
    let calls = "offpeak_upstream_calls_total{call=\"message\",outcome=\"ok\"} 1";
    assert!(text.contains(calls), "{text}");
    let took = "SELECT n FROM offpeak.turnaround WHERE lane = 'direct'";
    assert_eq!(world.number(took).await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_may_be_in_an_unknown_batch_is_not_called_for() -> Result<()> {
    let mut world = begun(1).await?;
    world
        .meddle(
            "INSERT INTO offpeak.hold (upstream_id, upstream_batch_id, created_at, first_free,
                                       cause, found_at, look_at)
             SELECT id, 'msgbatch_x', now(), 'ffffffff-ffff-7fff-bfff-ffffffffffff', 'restored',
                    now(), now() + interval '1 day'
               FROM offpeak.upstream",
        )
        .await?;
    assert_eq!(world.worker.tick(Loop::Direct).await?.done, 0);
    world.meddle("DELETE FROM offpeak.hold").await?;
    world
        .meddle("UPDATE offpeak.comparison SET incarnation = 'another'")
        .await?;
    assert_eq!(
        world.worker.tick(Loop::Direct).await?.done,
        0,
        "another database"
    );
    world.run_out().await.context("once it was compared")?;
    books::are_right(&world).await
}

//! Budgets: what is reserved at submit, settled at the end and given back on the
//! way, and that a hard one is never exceeded, however many submit at once.

use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::budget::{Expected, Period, Scope};
use offpeak_domain::id::{BudgetId, JobId, Minter};
use offpeak_domain::job::Lane;
use offpeak_domain::money::Pico;
use offpeak_store::budget::Terms;
use offpeak_store::job::{Entry, NewJob};
use offpeak_store::{Error, budget, job};
use offpeak_testkit::world::{MODEL, World, params};
use offpeak_worker::Loop;
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use time::{OffsetDateTime, Time};

use crate::api::{Answer, Api, raw_job};
use crate::books;

mod commands;
mod edges;
mod many;
mod uploads;

/// Sets a budget; a limit in pico-dollars.
pub(crate) async fn set(api: &Api, mut budget: Value, limit: i128) -> Result<Answer> {
    budget["limit"] = Pico(limit).to_usd_string().into();
    let hard = budget.get("hard").cloned().unwrap_or(json!(true));
    budget["hard"] = hard;
    let body = budget.to_string();
    let put = api
        .send(Method::PUT, "/v1/budgets", &api.key, &[], body)
        .await?;
    anyhow::ensure!([200, 201].contains(&put.status), "{put:?}");
    Ok(put)
}

/// A job of a user.
fn job_of(user: &str) -> String {
    raw_job("One fine day.").replacen('{', &format!(r#"{{"user":"{user}","#), 1)
}

/// A job of a type.
fn typed(job_type: &str, text: &str) -> String {
    let mut input = json!({ "text": text });
    if job_type == "classify" {
        input["categories"] = json!(["invoice", "contract"]);
    }
    json!({ "type": job_type, "input": input }).to_string()
}

/// What such a job is expected to cost before anything was measured.
pub(crate) async fn cost_of(api: &Api, job: &str) -> Result<i128> {
    let huge = 1_000_000_000_000_000;
    let soft = set(
        api,
        json!({"scope": "tenant", "period": "month", "hard": false}),
        huge,
    )
    .await?;
    let id = api.post("/v1/jobs", job.to_owned()).await?.at("/id");
    let cost = api
        .world
        .number("SELECT max(pico) FROM offpeak.reservation")
        .await?;
    api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
    let path = format!("/v1/budgets/{}", soft.at("/id"));
    let gone = api.send(Method::DELETE, &path, &api.key, &[], "").await?;
    assert_eq!(gone.status, 204);
    assert!(cost > 0);
    Ok(cost.into())
}

/// Reserved and spent in all.
async fn used(world: &World) -> Result<(i64, i64)> {
    let sum = |sql| world.number(sql);
    Ok((
        sum("SELECT coalesce(sum(reserved_pico), 0)::bigint FROM offpeak.budget_use").await?,
        sum("SELECT coalesce(sum(spent_pico), 0)::bigint FROM offpeak.budget_use").await?,
    ))
}

/// What the ledger holds in all.
async fn booked(world: &World) -> Result<i64> {
    let booked = "SELECT coalesce(sum(cost_pico), 0)::bigint FROM offpeak.ledger";
    world.number(booked).await
}

/// Nothing is reserved any more, and one budget has counted all that was booked.
pub(crate) async fn settled(world: &World) -> Result<()> {
    assert_eq!(used(world).await?, (0, booked(world).await?));
    let open = "SELECT count(*) FROM offpeak.reservation";
    assert_eq!(world.number(open).await?, 0);
    world.check_invariants().await
}

#[tokio::test]
async fn each_scope_and_period_refuses_what_it_has_no_room_for() -> Result<()> {
    for (scope, name, job, other) in [
        ("tenant", None, raw_job("One fine day."), None),
        ("user", Some("ada"), job_of("ada"), Some(job_of("bob"))),
        ("user", None, job_of("ada"), Some(job_of("bob"))),
        (
            "type",
            Some("summarize"),
            typed("summarize", "A day."),
            Some(typed("classify", "A day.")),
        ),
        (
            "type",
            None,
            typed("summarize", "A day."),
            Some(typed("classify", "A day.")),
        ),
    ] {
        let api = Api::new().await?;
        let cost = cost_of(&api, &job).await?;
        for period in ["day", "month"] {
            let mut budget = json!({ "scope": scope, "period": period });
            if let Some(name) = name {
                budget["name"] = name.into();
            }
            let set = set(&api, budget, 2 * cost + cost / 2).await?;
            let case = format!("{scope} {name:?} {period}");
            for _ in 0..2 {
                let answer = api.post("/v1/jobs", job.clone()).await?;
                assert_eq!(answer.status, 202, "{case}: {answer:?}");
            }
            let refused = api.post("/v1/jobs", job.clone()).await?;
            assert_eq!(refused.problem(), "402 budget_exceeded", "{case}");
            let left = &refused.json()["budget"];
            assert_eq!(left["id"], set.json()["id"], "{case}");
            assert_eq!(left["left"], Pico(cost / 2).to_usd_string(), "{case}");
            assert_eq!(left["estimate"], Pico(cost).to_usd_string(), "{case}");
            assert_eq!(left["renews_at"], set.json()["renews_at"], "{case}");
            assert_eq!(
                (&left["scope"], &left["period"]),
                (&json!(scope), &json!(period))
            );
            let wait: u64 = refused.header("retry-after").parse()?;
            assert!((1..=31 * 86_400 + 1).contains(&wait), "{case}: {wait}");
            // Others are not concerned.
            if let Some(other) = &other {
                assert_eq!(
                    api.post("/v1/jobs", other.clone()).await?.status,
                    202,
                    "{case}"
                );
            }
            let unnamed = raw_job("One fine day.");
            let expected = if scope == "tenant" { 402 } else { 202 };
            assert_eq!(
                api.post("/v1/jobs", unnamed).await?.status,
                expected,
                "{case}"
            );
            let path = format!("/v1/budgets/{}", set.at("/id"));
            api.send(Method::DELETE, &path, &api.key, &[], "").await?;
        }
        api.world.check_invariants().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_does_not_fit_into_the_whole_is_not_to_be_tried_again() -> Result<()> {
    let api = Api::new().await?;
    let job = raw_job("One fine day.");
    let cost = cost_of(&api, &job).await?;
    set(&api, json!({"scope": "tenant", "period": "day"}), cost - 1).await?;
    let refused = api.post("/v1/jobs", job.clone()).await?;
    assert_eq!(refused.problem(), "402 budget_exceeded");
    assert_eq!(refused.header("retry-after"), "");
    let said = refused.at("/detail");
    assert!(
        said.starts_with("your budget for the day has $0.0"),
        "{said}"
    );
    assert!(said.ends_with("at midnight (UTC)"), "{said}");
    // Nothing of it is there.
    let rows = "SELECT count(*) FROM offpeak.job";
    assert_eq!(
        api.world.number(rows).await?,
        1,
        "the one that was canceled"
    );
    set(&api, json!({"scope": "tenant", "period": "day"}), cost).await?;
    assert_eq!(
        api.post("/v1/jobs", job).await?.status,
        202,
        "to the last unit"
    );
    api.world.check_invariants().await
}

#[tokio::test]
async fn a_budget_of_ones_own_goes_before_that_of_each() -> Result<()> {
    let api = Api::new().await?;
    let cost = cost_of(&api, &job_of("ada")).await?;
    set(&api, json!({"scope": "user", "period": "day"}), cost).await?;
    set(
        &api,
        json!({"scope": "user", "name": "ada", "period": "day"}),
        3 * cost,
    )
    .await?;
    let accepted = async |user: &str| -> Result<usize> {
        let mut accepted = 0;
        while api.post("/v1/jobs", job_of(user)).await?.status == 202 {
            accepted += 1;
        }
        Ok(accepted)
    };
    assert_eq!(accepted("ada").await?, 3);
    assert_eq!((accepted("bob").await?, accepted("eve").await?), (1, 1));
    let shown = api.get("/v1/budgets").await?.json();
    let (each, own) = (&shown["budgets"][0], &shown["budgets"][1]);
    assert_eq!((&each["name"], &own["name"]), (&Value::Null, &json!("ada")));
    let names: Vec<_> = each["uses"].as_array().context("uses")?.iter().collect();
    assert_eq!(names.len(), 2);
    assert_eq!(
        (&names[0]["name"], &names[1]["name"]),
        (&json!("bob"), &json!("eve"))
    );
    assert_eq!(names[0]["reserved"], Pico(cost).to_usd_string());
    assert_eq!(
        (&names[0]["left"], &own["uses"][0]["left"]),
        (&json!("0"), &json!("0"))
    );
    api.world.check_invariants().await
}

#[tokio::test]
async fn what_a_job_costs_is_spent_and_what_was_reserved_comes_back() -> Result<()> {
    let mut api = Api::new().await?;
    let cost = cost_of(&api, &raw_job("One fine day.")).await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "month"}),
        4 * cost,
    )
    .await?;
    for _ in 0..3 {
        api.post("/v1/jobs", raw_job("One fine day.")).await?;
    }
    assert_eq!(used(&api.world).await?, (i64::try_from(3 * cost)?, 0));
    api.world.run_out().await?;
    assert!(booked(&api.world).await? > 0);
    settled(&api.world).await?;
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_canceled_job_gives_back_what_it_holds_once_it_is_nowhere() -> Result<()> {
    let mut api = Api::new().await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "month"}),
        1_000_000_000_000,
    )
    .await?;
    let submit = async || api.post("/v1/jobs", raw_job("One fine day.")).await;
    let cancel = async |job: &Answer| {
        api.post(&format!("/v1/jobs/{}/cancel", job.at("/id")), "")
            .await
    };
    // While it waits.
    cancel(&submit().await?).await?;
    settled(&api.world).await?;
    // In a batch that is not sent.
    let planned = submit().await?;
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    cancel(&planned).await?;
    assert!(used(&api.world).await?.0 > 0, "it may yet be sent");
    api.world.worker.settle_down().await?;
    settled(&api.world).await?;
    // At Anthropic, where it is paid for.
    let flying = submit().await?;
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    cancel(&flying).await?;
    let (reserved, spent) = used(&api.world).await?;
    assert!(reserved > 0 && spent == 0, "it is still to be paid for");
    api.world.check_invariants().await?;
    api.world.pass(Duration::from_mins(2));
    api.world.run_out().await?;
    for _ in 0..4 {
        api.world.pass(Duration::from_secs(30));
        api.world.worker.settle_down().await?;
    }
    assert!(booked(&api.world).await? > 0);
    settled(&api.world).await?;
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_job_that_fails_unbilled_costs_no_budget() -> Result<()> {
    let mut api = Api::new().await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "month"}),
        1_000_000_000_000,
    )
    .await?;
    api.post("/v1/jobs", raw_job("One fine day.")).await?;
    api.world.standin.set_faults(crate::faults::refusal(400, 1));
    api.world.run_out().await?;
    let failed = "SELECT count(*) FROM offpeak.result WHERE outcome = 'failed'";
    assert_eq!(api.world.number(failed).await?, 1);
    assert_eq!(used(&api.world).await?, (0, 0));
    settled(&api.world).await
}

#[tokio::test]
async fn a_job_that_misses_its_deadline_gives_back_and_a_direct_one_is_counted() -> Result<()> {
    let mut api = Api::new().await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "month"}),
        1_000_000_000_000,
    )
    .await?;
    let urgent = |policy: &str| {
        let more = format!(r#"{{"deliver_within":"30s","on_late":"{policy}","#);
        raw_job("One fine day.").replacen('{', &more, 1)
    };
    assert_eq!(
        api.post("/v1/jobs", urgent("escalate")).await?.at("/lane"),
        "direct"
    );
    let reserved = used(&api.world).await?.0;
    api.world.run_out().await?;
    settled(&api.world).await?;
    let patient = raw_job("One fine day.");
    api.post("/v1/jobs", patient).await?;
    let corrected = "SELECT 2 * max(plain_pico) FROM offpeak.reservation";
    assert_eq!(
        api.world.number(corrected).await?,
        reserved,
        "direct costs twice as much"
    );
    api.world.run_out().await?;
    let spent = booked(&api.world).await?;
    api.post("/v1/jobs", urgent("fail")).await?;
    api.world.pass(Duration::from_hours(1));
    api.world.worker.tick(Loop::Escalate).await?;
    let missed = "SELECT count(*) FROM offpeak.result WHERE label = 'deadline_missed'";
    assert_eq!(api.world.number(missed).await?, 1);
    assert_eq!(used(&api.world).await?, (0, spent));
    settled(&api.world).await
}

#[tokio::test]
async fn a_retry_is_reserved_for_and_refused_like_a_submit() -> Result<()> {
    let mut api = Api::new().await?;
    // Before there was a budget, nothing of it was estimated.
    let early = api
        .post("/v1/jobs", raw_job("One fine day."))
        .await?
        .at("/id");
    api.post(&format!("/v1/jobs/{early}/cancel"), "").await?;
    let cost = cost_of(&api, &raw_job("One fine day.")).await?;
    set(&api, json!({"scope": "tenant", "period": "month"}), cost).await?;
    let retry = format!("/v1/jobs/{early}/retry");
    assert_eq!(api.post(&retry, "").await?.at("/state"), "queued");
    assert_eq!(used(&api.world).await?, (i64::try_from(cost)?, 0));
    let refused = api.post("/v1/jobs", raw_job("One fine day.")).await?;
    assert_eq!(refused.problem(), "402 budget_exceeded");
    api.post(&format!("/v1/jobs/{early}/cancel"), "").await?;
    let other = api.post("/v1/jobs", raw_job("One fine day.")).await?;
    assert_eq!(other.status, 202);
    let refused = api.post(&retry, "").await?;
    assert_eq!(refused.problem(), "402 budget_exceeded");
    let still = api.get(&format!("/v1/jobs/{early}")).await?;
    assert_eq!(
        still.at("/state"),
        "canceled",
        "nothing of the retry is left"
    );
    // Of a completed one both attempts are spent.
    set(
        &api,
        json!({"scope": "tenant", "period": "month"}),
        1_000_000_000_000,
    )
    .await?;
    api.world.run_out().await?;
    let once = booked(&api.world).await?;
    let again = format!("/v1/jobs/{}/retry?completed=true", other.at("/id"));
    assert_eq!(api.post(&again, "").await?.status, 200);
    api.world.run_out().await?;
    assert!(booked(&api.world).await? > once);
    settled(&api.world).await
}

#[tokio::test]
async fn a_replay_is_answered_as_before_whatever_is_left() -> Result<()> {
    let api = Api::new().await?;
    let job = raw_job("One fine day.");
    let cost = cost_of(&api, &job).await?;
    set(&api, json!({"scope": "tenant", "period": "day"}), cost).await?;
    let send = async |key: &str| {
        api.post_with("/v1/jobs", ("idempotency-key", key), job.clone())
            .await
    };
    let first = send("one").await?;
    assert_eq!(first.status, 202);
    let second = send("two").await?;
    assert_eq!(second.problem(), "402 budget_exceeded");
    let replay = send("one").await?;
    assert_eq!((replay.status, replay.at("/id")), (200, first.at("/id")));
    assert_eq!(
        used(&api.world).await?.0,
        i64::try_from(cost)?,
        "reserved once"
    );
    // A refused one leaves its key free.
    set(&api, json!({"scope": "tenant", "period": "day"}), 2 * cost).await?;
    assert_eq!(send("two").await?.status, 202);
    let reused = api.post_with("/v1/jobs", ("idempotency-key", "two"), raw_job("Another."));
    assert_eq!(reused.await?.problem(), "422 idempotency_key_reused");
    api.world.check_invariants().await
}

#[tokio::test]
async fn another_tenant_is_neither_limited_nor_told() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("other").await?;
    let budget = set(&api, json!({"scope": "tenant", "period": "month"}), 0).await?;
    assert_eq!(api.post("/v1/jobs", raw_job("One.")).await?.status, 402);
    let send = async |method: Method, path: &str, body: String| {
        api.send(method, path, &other, &[], body).await
    };
    let accepted = send(Method::POST, "/v1/jobs", raw_job("One.")).await?;
    assert_eq!(accepted.status, 202);
    let shown = send(Method::GET, "/v1/budgets", String::new())
        .await?
        .json();
    assert_eq!(
        (&shown["budgets"], &shown["estimates"]),
        (&json!([]), &json!([]))
    );
    let path = format!("/v1/budgets/{}", budget.at("/id"));
    let refused = send(Method::DELETE, &path, String::new()).await?;
    assert_eq!(refused.problem(), "404 not_found");
    // A tenant without budgets has nothing in any of the tables.
    let rows = "SELECT (SELECT count(*) FROM offpeak.reservation)
                     + (SELECT count(*) FROM offpeak.budget_use)";
    assert_eq!(api.world.number(rows).await?, 0);
    api.world.run_out().await?;
    assert_eq!(api.world.number(rows).await?, 0);
    let errors = "SELECT count(*) FROM offpeak.estimate_error";
    assert_eq!(api.world.number(errors).await?, 0);
    Ok(())
}

//! Where one period ends and the next begins, what is told, and how good estimates
//! become.

use super::*;
use crate::live::Live;
use offpeak_wire::live::LiveWhat;

/// Submits a job as of a moment, and reserves for it what it is said to cost.
async fn submit_at(world: &World, at: OffsetDateTime, cost: i128) -> Result<bool> {
    // No two of them alike.
    let seed = u64::try_from(at.unix_timestamp())? ^ u64::try_from(cost)?;
    let (cost, rng) = (Pico(cost), StdRng::seed_from_u64(seed));
    let new = NewJob {
        id: Minter::new(at, rng).mint::<JobId>(),
        group: None,
        job_type: None,
        user: None,
        model: MODEL.to_owned(),
        upstream: offpeak_store::upstream::OWN,
        lane: Lane::Batch,
        terms: offpeak_domain::deliver::Terms::default(),
        priority: 0,
        metadata: None,
        params: params("One fine day."),
        structured: false,
        prefix: None,
        sharing: None,
        expected: Some(Expected { plain: cost, cost }),
    };
    let mut tx = world.tenants.begin(world.tenant).await?;
    job::insert_chunk(&mut tx, std::slice::from_ref(&new), Entry::Ready).await?;
    match budget::reserve(&mut tx, at, &[new]).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(true)
        }
        Err(Error::OverBudget(refusal)) => {
            assert_eq!(refusal.at, at);
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn a_budget_renews_at_midnight_and_what_was_submitted_before_stays_there() -> Result<()> {
    for period in [Period::Day, Period::Month] {
        let mut world = World::new().await?;
        world.meddle("SELECT offpeak.ensure_partitions(60)").await?;
        let mut tx = world.tenants.begin(world.tenant).await?;
        let id: BudgetId = Minter::new(tx.now(), StdRng::seed_from_u64(9)).mint();
        let terms = Terms {
            scope: Scope::Tenant,
            name: None,
            period,
            limit: Pico(100),
            hard: true,
        };
        assert!(budget::set(&mut tx, id, terms).await?.is_some());
        tx.commit().await?;
        let today = world.time().date();
        let renews = period
            .renews(period.start(today))
            .with_time(Time::MIDNIGHT)
            .assume_utc();
        let before = renews - Duration::from_micros(1);
        assert!(submit_at(&world, before, 100).await?);
        assert!(!submit_at(&world, before, 1).await?, "{period}: used up");
        assert!(submit_at(&world, renews, 60).await?, "{period}: renewed");
        assert!(!submit_at(&world, renews + Duration::from_hours(20), 60).await?);
        assert!(submit_at(&world, renews + Duration::from_hours(20), 40).await?);
        let starts =
            "SELECT period_start || ' ' || reserved_pico FROM offpeak.budget_use ORDER BY 1";
        let (first, second) = (period.start(before.date()), renews.date());
        assert_eq!(
            world.texts(starts).await?,
            [format!("{first} 100"), format!("{second} 100")]
        );
        // Settled later, it is spent in the period of its submit.
        let until = renews + Duration::from_hours(30) - world.time();
        world.pass(until.try_into()?);
        world.run_out().await?;
        let spent = "SELECT period_start || ' ' || reserved_pico || ' ' || (spent_pico > 0)
                       FROM offpeak.budget_use ORDER BY 1";
        assert_eq!(
            world.texts(spent).await?,
            [format!("{first} 0 true"), format!("{second} 0 true")]
        );
        settled(&world).await?;
        // And forgotten some time after.
        world.pass(Duration::from_hours(100 * 24));
        world.worker.tick(Loop::Tend).await?;
        assert_eq!(
            world
                .number("SELECT count(*) FROM offpeak.budget_use")
                .await?,
            0
        );
    }
    Ok(())
}

#[tokio::test]
async fn it_is_told_once_in_a_period_that_little_is_left() -> Result<()> {
    for hard in [false, true] {
        let api = Api::new().await?;
        let job = raw_job("One fine day.");
        let cost = cost_of(&api, &job).await?;
        let budget = json!({"scope": "tenant", "period": "month", "hard": hard});
        let put = set(&api, budget.clone(), 10 * cost).await?;
        let mut live = Live::events(&api, &["usage"], None).await?;
        let told = "SELECT count(*) FROM offpeak.event_in WHERE kind = 'budget'";
        let enough = if hard { 8 } else { 10 };
        for n in 1..=enough {
            assert_eq!(api.world.number(told).await?, 0, "after {}", n - 1);
            assert_eq!(api.post("/v1/jobs", job.clone()).await?.status, 202);
        }
        assert_eq!(api.world.number(told).await?, 1);
        for _ in 0..4 {
            let accepted = api.post("/v1/jobs", job.clone()).await?.status == 202;
            assert!(accepted || hard, "a soft one refuses nothing");
        }
        assert_eq!(api.world.number(told).await?, 1, "once");
        api.world.worker.tick(Loop::Relay).await?;
        let events = live
            .until(|event| matches!(event.what, LiveWhat::Budget { .. }))
            .await?;
        let expected = LiveWhat::Budget {
            budget: put.at("/id"),
            hard,
            used: Pico(enough * cost).to_usd_string(),
            limit: Pico(10 * cost).to_usd_string(),
        };
        assert_eq!(events.last().map(|event| &event.what), Some(&expected));
        let shown = api.get("/v1/budgets").await?.json();
        assert!(shown["budgets"][0]["uses"][0]["warned_at"].is_string());
        // Another limit is another thing to tell.
        set(&api, budget, 14 * cost).await?;
        for _ in 0..4 {
            api.post("/v1/jobs", job.clone()).await?;
        }
        assert_eq!(api.world.number(told).await?, 1, "told anew");
        api.world.check_invariants().await?;
    }
    Ok(())
}

#[tokio::test]
async fn estimates_come_near_what_is_settled_and_say_how_near() -> Result<()> {
    let mut api = Api::new().await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "month"}),
        1_000_000_000_000_000,
    )
    .await?;
    let lines = |text: &str| -> String {
        (0..200)
            .map(|n| typed("summarize", &format!("{text} {n}. It was a long day.")) + "\n")
            .collect()
    };
    // Jobs, the error in tenths of a percent, and the correction.
    let error = async |api: &Api| -> Result<(u64, i64, String)> {
        let shown = api.get("/v1/budgets").await?.json();
        let one = &shown["estimates"][0];
        assert_eq!(one["type"], "summarize");
        let error = one["deviation_percent"].as_str().context("an error")?;
        let correction = one["correction"].as_str().context("a correction")?;
        Ok((
            one["jobs"].as_u64().context("jobs")?,
            error.replace('.', "").parse()?,
            correction.to_owned(),
        ))
    };
    api.post("/v1/jobs/bulk", lines("Day")).await?;
    api.world.run_out().await?;
    let (jobs, first, correction) = error(&api).await?;
    assert_eq!(jobs, 200);
    assert!(first.abs() > 50, "there is something to correct: {first}");
    assert_ne!(correction, "1.000");
    let before = booked(&api.world).await?;
    api.post("/v1/jobs/bulk", lines("Night")).await?;
    let reserved = used(&api.world).await?.0;
    api.world.run_out().await?;
    let spent = booked(&api.world).await? - before;
    let off = (reserved - spent).abs() * 1_000 / spent;
    assert!(
        off <= 100 && 2 * off < first.abs(),
        "{reserved} reserved, {spent} spent: {off} off, at first {first}"
    );
    let (jobs, both, _) = error(&api).await?;
    assert_eq!(jobs, 400);
    assert!(both.abs() < first.abs());
    settled(&api.world).await
}

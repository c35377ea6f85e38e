//! Many at once: a hard budget is never exceeded, not for a moment, and all of it
//! can be used.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// From here on the database itself refuses a moment in which more is reserved than
/// a hard budget has room for.
async fn never_above(api: &Api) -> Result<()> {
    let guard = api.world.hold(
        "CREATE FUNCTION public.never_above() RETURNS trigger
             LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF NEW.reserved_pico > OLD.reserved_pico AND EXISTS (
                 SELECT FROM offpeak.budget b
                  WHERE b.id = NEW.budget_id AND b.hard
                    AND NEW.reserved_pico + NEW.spent_pico > b.limit_pico) THEN
                 RAISE EXCEPTION 'above the budget';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER never_above BEFORE UPDATE ON offpeak.budget_use
             FOR EACH ROW EXECUTE FUNCTION public.never_above()",
    );
    Ok(guard.await?.commit().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_at_once_get_what_there_is_and_no_more() -> Result<()> {
    let api = Api::new().await?;
    let job = job_of("ada");
    let cost = cost_of(&api, &job).await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "day"}),
        50 * cost + cost / 2,
    )
    .await?;
    // In another order than those that are locked first.
    set(
        &api,
        json!({"scope": "user", "period": "month"}),
        1_000 * cost,
    )
    .await?;
    set(
        &api,
        json!({"scope": "user", "name": "ada", "period": "day"}),
        1_000 * cost,
    )
    .await?;
    never_above(&api).await?;
    let tasks = (0..32).map(|_| async {
        let mut accepted = 0;
        for _ in 0..4 {
            let answer = api.post("/v1/jobs", job.clone()).await?;
            match answer.status {
                202 => accepted += 1,
                _ => assert_eq!(answer.problem(), "402 budget_exceeded"),
            }
        }
        anyhow::Ok(accepted)
    });
    let accepted: Vec<i32> = futures_util::future::try_join_all(tasks).await?;
    assert_eq!(accepted.iter().sum::<i32>(), 50);
    let jobs = "SELECT count(*) FROM offpeak.ready";
    assert_eq!(api.world.number(jobs).await?, 50);
    api.world.check_invariants().await
}

/// What one client does, one thing after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    Submit { user: u8 },
    Upload { user: u8, jobs: usize },
    Cancel,
    Retry,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..3).prop_map(|user| Step::Submit { user }),
        2 => (0_u8..3, 1_usize..6).prop_map(|(user, jobs)| Step::Upload { user, jobs }),
        2 => Just(Step::Cancel),
        1 => Just(Step::Retry),
    ]
}

/// One client, which knows the jobs that it has made.
async fn client(api: &Api, steps: &[Step]) -> Result<()> {
    let mut jobs: Vec<String> = Vec::new();
    for step in steps {
        let answer = match step {
            Step::Submit { user } => {
                let answer = api.post("/v1/jobs", job_of(&format!("u{user}"))).await?;
                if answer.status == 202 {
                    jobs.push(answer.at("/id"));
                }
                answer
            }
            Step::Upload { user, jobs } => {
                let line = job_of(&format!("u{user}")) + "\n";
                api.post("/v1/jobs/bulk", line.repeat(*jobs)).await?
            }
            Step::Cancel | Step::Retry => {
                let Some(job) = jobs.last() else { continue };
                let what = if matches!(step, Step::Cancel) {
                    "cancel"
                } else {
                    "retry"
                };
                api.post(&format!("/v1/jobs/{job}/{what}"), "").await?
            }
        };
        anyhow::ensure!(
            [200, 202, 402, 409].contains(&answer.status),
            "{step:?}: {answer:?}"
        );
    }
    Ok(())
}

async fn story(clients: &[Vec<Step>], room: i128) -> Result<()> {
    let mut api = Api::new().await?;
    let cost = cost_of(&api, &job_of("u0")).await?;
    set(
        &api,
        json!({"scope": "tenant", "period": "month"}),
        room * cost,
    )
    .await?;
    set(
        &api,
        json!({"scope": "user", "period": "day"}),
        room * cost / 2,
    )
    .await?;
    never_above(&api).await?;
    let worked = async {
        for _ in 0..3 {
            api.world.worker.tick(Loop::Form).await?;
            api.world.worker.tick(Loop::Relay).await?;
        }
        anyhow::Ok(())
    };
    let all = clients.iter().map(|steps| client(&api, steps));
    tokio::try_join!(futures_util::future::try_join_all(all), worked)?;
    api.world.check_invariants().await?;
    let above = "SELECT count(*) FROM offpeak.budget_use u JOIN offpeak.budget b
                     ON b.id = u.budget_id
                  WHERE u.reserved_pico + u.spent_pico > b.limit_pico";
    assert_eq!(api.world.number(above).await?, 0);
    api.world.run_out().await?;
    for _ in 0..6 {
        api.world.pass(Duration::from_secs(30));
        api.world.worker.settle_down().await?;
    }
    let open = "SELECT count(*) FROM offpeak.reservation";
    assert_eq!(api.world.number(open).await?, 0);
    let spent = "SELECT coalesce(sum(u.spent_pico), 0)::bigint
                   FROM offpeak.budget_use u JOIN offpeak.budget b ON b.id = u.budget_id
                  WHERE b.scope = 'tenant'";
    assert_eq!(api.world.number(spent).await?, booked(&api.world).await?);
    api.world.check_invariants().await?;
    books::are_right(&api.world).await
}

#[test]
fn whatever_clients_do_at_once_no_hard_budget_is_exceeded() -> Result<()> {
    let clients = prop::collection::vec(prop::collection::vec(step(), 1..8), 2..10);
    let config = Config {
        cases: 6,
        failure_persistence: None,
        max_shrink_iters: 10,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    TestRunner::new(config)
        .run(&(clients, 1_i128..20), |(clients, room)| {
            let told = runtime.block_on(Box::pin(story(&clients, room)));
            told.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
        .context("a hard budget")
}

//! The same work in every world: a group, single jobs, a few that are canceled
//! and retried meanwhile. A process that dies is started again, as a supervisor
//! would.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::behavior::Behavior;
use crate::client::{Client, Door, Promises};
use crate::ground::Ground;
use crate::image;
use crate::judge::{Hidden, Verdict, judge};
use crate::wait::{moments, until};
use crate::world::{Program, Role, Unrest, World, unrest};

/// Until everything has to be at rest, with the machine shared by many worlds.
pub const REST: Duration = Duration::from_secs(90);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Came {
    /// Crash points at which a process was killed.
    pub deaths: Vec<String>,
    /// What the judge says.
    pub verdict: Verdict,
    /// What came out.
    pub image: Vec<String>,
}

impl Came {
    /// Whether a process was killed at this point.
    pub fn died_at(&self, point: &str) -> bool {
        self.deaths.iter().any(|death| death == point)
    }

    /// The verdict, with what differs from an undisturbed run.
    pub fn compared_with(self, undisturbed: &[String]) -> Verdict {
        let mut verdict = self.verdict;
        let differs = image::difference(undisturbed, &self.image);
        verdict.violations.extend(differs);
        verdict
    }
}

/// A world in which the stand-in behaves like that.
pub async fn world(ground: &Ground, behavior: &Behavior) -> Result<World> {
    let script = format!("seed = {}\n{}", ground.world_seed(), behavior.script);
    let mut world = World::new(ground, &script).await?;
    if behavior.shared {
        world.set("OFFPEAK_RELIABILITY_DEDICATED_WORKSPACE", "false");
    }
    Ok(world)
}

/// Runs the work in a fresh world. The first process is under `orders`, those
/// after it are under `later`.
pub async fn run(
    ground: &Ground,
    behavior: &Behavior,
    orders: &[(&str, &str)],
    later: &[(&str, &str)],
    longest: Duration,
) -> Result<Came> {
    let world = world(ground, behavior).await?;
    run_in(&world, behavior.hidden, orders, later, longest).await
}

/// The same in a world that is there.
pub async fn run_in(
    world: &World,
    hidden: Hidden,
    orders: &[(&str, &str)],
    later: &[(&str, &str)],
    longest: Duration,
) -> Result<Came> {
    let (door, promises) = (Door::default(), Promises::default());
    let mut program = world.start(Role::All, orders).await?;
    door.set(vec![program.url.clone()]);
    let mut deaths = Vec::new();
    let at = orders.iter().find(|(name, _)| *name == "TORTURE_AT");
    let again = at.is_some_and(|(_, at)| at.starts_with("reconcile."));
    let work = work(world, &door, &promises, hidden, again, longest);
    let rest = tokio::select! {
        done = work => done.with_context(|| format!("in {}", world.home.display())),
        broke = supervise(world, &door, &mut program, later, &mut deaths) => broke,
    };
    let came = Came {
        deaths,
        verdict: judge(world, &promises, hidden, rest).await?,
        image: image::of(world).await?,
    };
    program.kill().await?;
    Ok(came)
}

/// Starts the process again whenever it has died. Never ends by itself.
async fn supervise(
    world: &World,
    door: &Door,
    program: &mut Program,
    later: &[(&str, &str)],
    deaths: &mut Vec<String>,
) -> Result<()> {
    loop {
        let killed = program.ended().await?;
        let said = std::fs::read_to_string(program.log()).unwrap_or_default();
        ensure!(
            world.unreliable || !said.contains("error:"),
            "a process ended by itself: {said}"
        );
        deaths.extend(killed);
        *program = world.start(Role::All, later).await?;
        door.set(vec![program.url.clone()]);
    }
}

/// The client's side, until all is at rest.
async fn work(
    world: &World,
    door: &Door,
    promises: &Promises,
    hidden: Hidden,
    again: bool,
    longest: Duration,
) -> Result<()> {
    let client = Client::new(world, door, promises);
    client.submit_group("a", 6).await?;
    for number in 0..2 {
        client.submit(&format!("s-{number}")).await?;
    }
    if again {
        compare_again(world).await?;
    }
    for number in 0..3 {
        client.submit(&format!("race-{number}")).await?;
    }
    // Wanted at once: how they end depends on who dies when.
    client.make_type().await?;
    for number in 0..4 {
        client.submit_urgent(&format!("race-now-{number}")).await?;
    }
    // In the middle of whatever happens to them just now.
    for reference in ["race-0", "race-1"] {
        let id = promised(promises, reference);
        let answer = client.change("jobs", &id, "cancel").await?;
        ensure!(answer.status == 200, "cancel {reference}: {answer:?}");
    }
    retry(&client, promises, "race-1", longest).await?;
    world.at_rest(longest).await?;
    if hidden != Hidden::Never {
        all_found(world, longest).await?;
    }
    Ok(())
}

/// As an operator asks for it: nothing is sent before Anthropic's list was compared
/// with the database.
async fn compare_again(world: &World) -> Result<()> {
    world.begun(REST).await?;
    let (code, said) = world.run(&["reconcile", "--again"]).await?;
    ensure!(code == Some(0), "reconcile --again: {said}");
    Ok(())
}

/// Retries a canceled job: refused while its attempt is still under way.
async fn retry(
    client: &Client<'_>,
    promises: &Promises,
    reference: &str,
    longest: Duration,
) -> Result<()> {
    let id = promised(promises, reference);
    let begun = tokio::time::Instant::now();
    loop {
        let answer = client.change("jobs", &id, "retry").await?;
        match answer.status {
            200 => return Ok(()),
            // Still in flight upstream, queued again by a call that was not
            // answered, or completed before it could be canceled.
            409 => {
                let code = crate::client::text(&answer.body, "/code").to_owned();
                if code != "job_in_flight" {
                    return Ok(());
                }
            }
            _ => ensure!(false, "retry {reference}: {answer:?}"),
        }
        if begun.elapsed() > longest {
            return Err(Unrest(format!("{reference} stays in flight")).into());
        }
        moments(4).await;
    }
}

fn promised(promises: &Promises, reference: &str) -> String {
    promises.all().remove(reference).unwrap_or_default()
}

/// Waits until everything that the stand-in billed is booked somewhere. Fails by
/// [`Unrest`].
pub async fn all_found(world: &World, longest: Duration) -> Result<()> {
    until("every billed item to be booked", longest, || async {
        world.standin.settle_due().await;
        let billed = world.standin.journal()?.into_iter().filter(|one| {
            one.custom_id
                .as_deref()
                .is_some_and(|id| !id.starts_with("foreign-"))
        });
        let booked = world
            .number(
                "SELECT (SELECT count(*) FROM offpeak.ledger
                          WHERE lane = 'batch' AND source_id IS NULL)
                      + (SELECT count(*) FROM offpeak.absorbed
                          WHERE upstream_batch_id NOT LIKE 'call_%')",
            )
            .await?;
        Ok(i64::try_from(billed.count())? <= booked)
    })
    .await
    .map_err(unrest)?;
    world.at_rest(longest).await
}

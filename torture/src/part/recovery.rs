//! How long it takes, with the program's own default times: until another worker
//! goes on after one was killed, and until a create whose answer was lost is
//! found.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::client::{Client, Door, Promises};
use crate::ground::Ground;
use crate::judge::{Hidden, Verdict, judge};
use crate::wait::until;
use crate::world::{Program, Role, World};

/// Far beyond what is promised.
const REST: Duration = Duration::from_mins(2);

/// The list shows a batch after so long, one way or another: for a half of the
/// worlds at once, for the other half after eight seconds.
const LAGS: [u64; 2] = [0, 8000];

/// Worlds side by side.
pub const WORLDS: usize = 8;

/// Seconds, one for each case.
#[derive(Debug, Default)]
pub struct Times {
    /// From a worker's death to the first batch that another one sends.
    pub recovered: Vec<f64>,
    /// From a lost answer to its adoption.
    pub adopted: Vec<f64>,
}

/// So many deaths in each world.
pub async fn run(ground: &Arc<Ground>, deaths: usize) -> Result<(Verdict, Times)> {
    let mut times = Times::default();
    let mut verdict = Verdict::default();
    for (this, one) in try_join_all((0..WORLDS).map(|n| one_world(ground, n, deaths))).await? {
        verdict.add(this);
        times.recovered.extend(one.recovered);
        times.adopted.extend(one.adopted);
    }
    Ok((verdict, times))
}

async fn one_world(ground: &Arc<Ground>, number: usize, deaths: usize) -> Result<(Verdict, Times)> {
    let lag = LAGS[number % LAGS.len()];
    let script = format!(
        "turnaround = {{ min_ms = 30000, max_ms = 40000 }}
         [[faults.rules]]
         on = [\"create\"]
         times = \"always\"
         chance = 0.5
         fault.reset = {{ when = \"answer\" }}
         [[faults.rules]]
         on = [\"list\"]
         times = \"always\"
         fault.list_lag = {{ ms = {lag} }}"
    );
    let script = format!("seed = {}\n{script}", ground.seed + number as u64);
    let mut world = World::new(ground, &script).await?;
    world.with_default_times();
    let (door, promises) = (Door::default(), Promises::default());
    let api = world.start(Role::Api, &[]).await?;
    door.set(vec![api.url.clone()]);
    let mut workers = vec![
        world.start(Role::Worker, &[]).await?,
        world.start(Role::Worker, &[]).await?,
    ];
    let client = Client::new(&world, &door, &promises);
    let mut times = Times::default();
    for death in 0..deaths {
        client.submit(&format!("before-{death}")).await?;
        sent(&world, death * 2 + 1, &mut times).await?;
        let mut victim = workers.remove(leader(&workers));
        victim.kill().await?;
        let died = Instant::now();
        client.submit(&format!("after-{death}")).await?;
        let known = death * 2 + 2;
        until("another worker to go on", REST, || async {
            let sent = "SELECT count(*) FROM offpeak.batch WHERE sent_at IS NOT NULL";
            Ok(usize::try_from(world.number(sent).await?)? >= known)
        })
        .await?;
        times.recovered.push(died.elapsed().as_secs_f64());
        sent(&world, known, &mut times).await?;
        workers.push(world.start(Role::Worker, &[]).await?);
    }
    let rest = world.at_rest(REST).await;
    let verdict = judge(&world, &promises, Hidden::Never, rest).await?;
    Ok((verdict, times))
}

/// Waits until so many batches are at Anthropic for certain; what had lost its
/// answer on the way there took some time.
async fn sent(world: &World, batches: usize, times: &mut Times) -> Result<()> {
    let doubt: Cell<Option<Instant>> = Cell::new(None);
    until("a batch to be sent", REST, || async {
        let uncertain = "SELECT count(*) FROM offpeak.batch WHERE state = 'uncertain'";
        if doubt.get().is_none() && world.number(uncertain).await? > 0 {
            doubt.set(Some(Instant::now()));
        }
        let known = "SELECT count(*) FROM offpeak.batch WHERE upstream_batch_id IS NOT NULL";
        Ok(usize::try_from(world.number(known).await?)? >= batches)
    })
    .await?;
    let doubt = doubt.get().map(|begun| begun.elapsed().as_secs_f64());
    times.adopted.extend(doubt);
    Ok(())
}

/// The place of the worker that formed the last batch, by what it wrote: it
/// leads, and is missed.
fn leader(workers: &[Program]) -> usize {
    let last = |worker: &Program| {
        let said = std::fs::read_to_string(worker.log()).unwrap_or_default();
        let line = said.lines().rfind(|line| line.contains("batch closed"));
        line.unwrap_or_default().to_owned()
    };
    // A line begins with its time.
    let lines = workers.iter().map(last).enumerate();
    lines
        .max_by(|one, other| one.1.cmp(&other.1))
        .map_or(0, |(place, _)| place)
}

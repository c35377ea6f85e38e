//! `kill -9` at random moments of random processes, PostgreSQL's among them,
//! while clients submit, cancel and retry and the stand-in loses answers. For each
//! kill the crash point that each process had passed last is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::client::{Client, Door, Promises};
use crate::cluster::Cluster;
use crate::ground::{self, Ground};
use crate::judge::{Hidden, Verdict, judge};
use crate::say;
use crate::wait::moments;
use crate::world::{Program, Role, World};

/// Every sixth create is stored and its answer lost; lists lag a little, and
/// downloads break now and then.
const SCRIPT: &str = "
    turnaround = { min_ms = 100, max_ms = 900 }
    [[faults.rules]]
    on = [\"create\"]
    times = \"always\"
    chance = 0.17
    fault.reset = { when = \"answer\" }
    [[faults.rules]]
    on = [\"list\"]
    times = \"always\"
    fault.list_lag = { ms = 500 }
    [[faults.rules]]
    on = [\"results\"]
    times = \"always\"
    chance = 0.1
    fault.lines = { what = \"reset\", at = [1] }
    [[faults.rules]]
    on = [\"create\"]
    times = \"always\"
    chance = 0.1
    fault.batch = { errored = { overloaded_error = 0.2 } }";

/// The database.
const DATABASE: &str = "offpeak";
/// Of so many kills one falls on PostgreSQL.
const OF_POSTGRES: u32 = 12;
/// Jobs that are submitted for each kill.
const JOBS: usize = 6;
/// Until everything has to be at rest, once nobody is killed any more.
const REST: Duration = Duration::from_mins(4);

/// What the part counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Processes of ours that were killed.
    pub ours: u64,
    /// How often PostgreSQL was.
    pub postgres: u64,
    /// Kills of ours by the crash point that was passed last.
    pub after: BTreeMap<String, u64>,
}

/// Kills so many times; in so many worlds side by side.
pub async fn run(
    ground: &Arc<Ground>,
    kills: u32,
    worlds: u32,
    seed: u64,
) -> Result<(Verdict, Counted)> {
    let log = begin_log(kills, worlds, seed)?;
    let each = (0..worlds).map(|number| {
        let share = kills / worlds + u32::from(number < kills % worlds);
        one_world(ground, share, world_seed(seed, number), &log)
    });
    let mut counted = Counted::default();
    let mut verdict = Verdict::default();
    for (this, counts) in try_join_all(each).await? {
        verdict.add(this);
        counted.ours += counts.ours;
        counted.postgres += counts.postgres;
        for (point, times) in counts.after {
            *counted.after.entry(point).or_default() += times;
        }
    }
    Ok((verdict, counted))
}

/// The seed of one of the worlds.
pub fn world_seed(seed: u64, number: u32) -> u64 {
    seed * 1000 + u64::from(number)
}

async fn one_world(
    ground: &Arc<Ground>,
    kills: u32,
    seed: u64,
    log: &File,
) -> Result<(Verdict, Counted)> {
    let home = ground.open_folder()?;
    let mut cluster = Cluster::new(&ground.tools, &home, "primary", &[]).await?;
    let key = ground::prepare(&cluster, DATABASE).await?;
    let script = format!("seed = {seed}{SCRIPT}");
    let root = cluster.pool(DATABASE, 2)?;
    let mut world = World::on(ground, &cluster.url(DATABASE), root, &script).await?;
    world.key = key;
    let (door, promises) = (Door::default(), Promises::default());
    let mut programs = Vec::new();
    for role in [Role::Api, Role::Api, Role::Worker, Role::Worker] {
        programs.push(world.start(role, &[]).await?);
    }
    set(&door, &programs);
    let (done, wanted) = (AtomicBool::new(false), AtomicUsize::new(JOBS));
    let mut rng = StdRng::seed_from_u64(seed);
    let load = load(&world, &door, &promises, &wanted, &done, seed);
    let killing = async {
        let mut counted = Counted::default();
        for number in 0..kills {
            // As likely at any moment: half a second in the mean.
            let mut wait = 1;
            while wait < 120 && rng.random_range(0..20) != 0 {
                wait += 1;
            }
            moments(wait).await;
            if rng.random_range(0..OF_POSTGRES) == 0 {
                cluster.kill().await?;
                note(log, seed, number, "PostgreSQL", &programs)?;
                cluster.start().await?;
                counted.postgres += 1;
            } else {
                let victim = rng.random_range(0..programs.len());
                let point = programs[victim].kill().await?;
                let victims = format!("{:?} {victim}", programs[victim].role);
                note(log, seed, number, &victims, &programs)?;
                *counted.after.entry(point).or_default() += 1;
                counted.ours += 1;
                programs[victim] = world.start_anew(programs[victim].role, &[]).await?;
                set(&door, &programs);
            }
            revive(&world, &door, &mut programs).await?;
            wanted.fetch_add(JOBS, Ordering::Relaxed);
            if (number + 1) % 100 == 0 {
                say(&format!("seed {seed}: {} of {kills} kills", number + 1));
            }
        }
        done.store(true, Ordering::Relaxed);
        anyhow::Ok(counted)
    };
    let (load, counted) = tokio::join!(load, killing);
    load.with_context(|| format!("the clients, seed {seed}"))?;
    let counted = counted?;
    let rest = world.at_rest(REST).await;
    let judged = judge(&world, &promises, Hidden::Never, rest).await;
    let verdict = Verdict::of(&format!("kills, seed {seed}"), judged);
    for program in &mut programs {
        program.kill().await?;
    }
    cluster.stop().await?;
    Ok((verdict, counted))
}

/// Begins the file in which each kill is kept, with what can be read there.
fn begin_log(kills: u32, worlds: u32, seed: u64) -> Result<File> {
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(2).context("no build folder")?;
    let folder = target.join("torture");
    std::fs::create_dir_all(&folder)?;
    let mut log = File::create(folder.join("kills.log"))?;
    writeln!(
        log,
        "# {kills} kills in {worlds} worlds, --seed {seed}: who was killed, and the crash point \
         that each process had passed last"
    )?;
    Ok(log)
}

/// Keeps what every process was at when one was killed.
fn note(mut log: &File, seed: u64, number: u32, victim: &str, programs: &[Program]) -> Result<()> {
    let at = programs.iter().enumerate().map(|(place, program)| {
        let (role, point) = (program.role, program.last_point());
        format!("{role:?} {place} after {point:?}")
    });
    let at: Vec<String> = at.collect();
    let at = at.join(", ");
    writeln!(log, "seed {seed} kill {number} of {victim}: {at}")?;
    Ok(())
}

/// What ended because the database was away is started again, as a supervisor would.
async fn revive(world: &World, door: &Door, programs: &mut [Program]) -> Result<()> {
    for program in programs.iter_mut() {
        if program.has_ended()? {
            *program = world.start_anew(program.role, &[]).await?;
        }
    }
    set(door, programs);
    Ok(())
}

fn set(door: &Door, programs: &[Program]) {
    let with_api = programs.iter().filter(|one| !one.url.is_empty());
    door.set(with_api.map(|one| one.url.clone()).collect());
}

/// Clients: single jobs and groups, some canceled, some retried.
async fn load(
    world: &World,
    door: &Door,
    promises: &Promises,
    wanted: &AtomicUsize,
    done: &AtomicBool,
    seed: u64,
) -> Result<()> {
    let client = Client::new(world, door, promises);
    let mut rng = StdRng::seed_from_u64(seed + 1);
    let mut number = 0;
    while !done.load(Ordering::Relaxed) {
        if promises.count() >= wanted.load(Ordering::Relaxed) {
            moments(1).await;
            continue;
        }
        number += 1;
        if rng.random_range(0..4) == 0 {
            let group = client.submit_group(&format!("g{number}"), 5).await?;
            match rng.random_range(0..4) {
                0 => drop(client.change("groups", &group, "cancel").await?),
                1 => {
                    client.change("groups", &group, "cancel").await?;
                    client.change("groups", &group, "retry").await?;
                }
                _ => {}
            }
        } else {
            let reference = format!("s{number}");
            client.submit(&reference).await?;
            if rng.random_range(0..6) == 0 {
                let id = promises.all().remove(&reference).unwrap_or_default();
                client.change("jobs", &id, "cancel").await?;
                client.change("jobs", &id, "retry").await?;
            }
        }
    }
    Ok(())
}

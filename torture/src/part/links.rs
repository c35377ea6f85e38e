//! A fault proxy between the process and its database, and between the process
//! and Anthropic: what goes wrong on a network, again and again while work is
//! going on, and the outcome is that of an undisturbed run. Only what really came
//! about while the work went on is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{StreamExt as _, stream};
use offpeak_testkit::proxy::{Direction, Proxy, Target};

use crate::behavior;
use crate::ground::Ground;
use crate::judge::{Hidden, Verdict};
use crate::scenario;
use crate::wait::{moments, until};
use crate::world::World;

/// Until everything has to be at rest: a call that hangs is given up after its
/// statement's time.
const REST: Duration = Duration::from_mins(6);
/// How often a link is broken in one run, at most.
pub const TIMES: u32 = 4;
/// Until a trouble has come about: a download is judged by half a minute.
const COMES: Duration = Duration::from_mins(2);
/// Batches that take so long that the links break while they are under way.
const SCRIPT: &str = "turnaround = { min_ms = 800, max_ms = 1600 }";
/// What a process says of a download that it has given up.
const TOO_SLOW: &str = "comes too slowly";

/// Which link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Database,
    Anthropic,
}

/// What goes wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Latency,
    Reset,
    Cut,
    HalfOpen,
    Drip,
    Truncated,
}

const TROUBLES: &[Trouble] = &[
    Trouble::Latency,
    Trouble::Reset,
    Trouble::Cut,
    Trouble::HalfOpen,
    Trouble::Drip,
    Trouble::Truncated,
];

impl Trouble {
    /// Brings it about, for some moments, and takes it away again.
    async fn strike(self, link: Link, proxy: &Proxy) -> Result<()> {
        let mut lasts = 20;
        match self {
            // Longer than a lease takes to run out, or than a send may last.
            Self::Latency => {
                lasts = 120;
                proxy.latency(match link {
                    Link::Database => Duration::from_millis(700),
                    Link::Anthropic => Duration::from_millis(1700),
                });
            }
            Self::Reset => proxy.reset(),
            Self::Cut => proxy.cut(),
            Self::HalfOpen => proxy.half_open(),
            Self::Drip => proxy.drip(Direction::Down, 16, Duration::from_millis(2)),
            Self::Truncated => {
                let before = proxy.truncated();
                proxy.truncate_after(300);
                // So that there are new ones to be met.
                proxy.reset();
                until("a connection to be cut off", COMES, || async {
                    Ok(proxy.truncated() > before)
                })
                .await?;
            }
        }
        moments(lasts).await;
        heal(proxy);
        Ok(())
    }
}

fn heal(proxy: &Proxy) {
    proxy.heal();
    proxy.latency(Duration::ZERO);
    proxy.drip(Direction::Down, 0, Duration::ZERO);
}

/// What the part counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// How often a link was broken while the work went on, in all runs.
    pub strikes: u64,
    /// Downloads that dripped for so long that they were given up.
    pub given_up: u64,
}

/// Every trouble on every link.
pub async fn run(ground: &Arc<Ground>, at_once: usize) -> Result<(Verdict, Counted)> {
    let plain = scenario::run(ground, &behavior::PLAIN, &[], &[], REST).await?;
    let both = [Link::Database, Link::Anthropic];
    let cases = both
        .into_iter()
        .flat_map(|link| TROUBLES.iter().map(move |trouble| (link, *trouble)));
    let counted = (AtomicU64::new(0), AtomicU64::new(0));
    let (strikes, given_up) = (&counted.0, &counted.1);
    let mut runs = stream::iter(cases)
        .map(|(link, trouble)| async move {
            let came = one(ground, link, trouble, strikes).await;
            (format!("{trouble:?} between process and {link:?}"), came)
        })
        .buffer_unordered(at_once);
    let mut verdict = Verdict::default();
    let slowly = slowly(ground, given_up);
    let others = async {
        while let Some((name, came)) = runs.next().await {
            let judged = came.map(|came| came.compared_with(&plain.image));
            verdict.add(Verdict::of(&name, judged));
        }
    };
    let (slow, ()) = tokio::join!(slowly, others);
    let judged = slow.map(|came| came.compared_with(&plain.image));
    verdict.add(Verdict::of("a download that drips", judged));
    let counted = Counted {
        strikes: strikes.load(Ordering::Relaxed) + given_up.load(Ordering::Relaxed),
        given_up: given_up.load(Ordering::Relaxed),
    };
    Ok((verdict, counted))
}

/// A world with a proxy on each of its links: before the database, and before
/// Anthropic.
async fn world(ground: &Arc<Ground>, script: &str) -> Result<(World, Proxy, Proxy)> {
    let (name, root) = ground.database().await?;
    let database = Proxy::start(Target::Unix(ground.socket()))?;
    let url = format!("postgres://postgres@{}/{name}", database.address());
    let script = format!("seed = {}\n{script}", ground.world_seed());
    let mut world = World::on(ground, &url, root, &script).await?;
    world.unreliable = true;
    let host = world.standin_url.trim_start_matches("http://").to_owned();
    let anthropic = Proxy::start(Target::Tcp(host))?;
    world.set(
        "ANTHROPIC_BASE_URL",
        &format!("http://{}", anthropic.address()),
    );
    Ok((world, database, anthropic))
}

async fn one(
    ground: &Arc<Ground>,
    link: Link,
    trouble: Trouble,
    strikes: &AtomicU64,
) -> Result<scenario::Came> {
    let (world, database, anthropic) = world(ground, SCRIPT).await?;
    let broken = match link {
        Link::Database => &database,
        Link::Anthropic => &anthropic,
    };
    let mine = AtomicU64::new(0);
    let striking = async {
        // What is to be shown is work that goes on, not a start that waits.
        said(&world, "listens").await?;
        for _ in 0..TIMES {
            moments(12).await;
            trouble.strike(link, broken).await?;
            mine.fetch_add(1, Ordering::Relaxed);
        }
        // From here on it is for the process to come right by itself.
        std::future::pending().await
    };
    let came = while_working(&world, striking).await?;
    let mine = mine.into_inner();
    ensure!(mine > 0, "the work was done before the link broke once");
    strikes.fetch_add(mine, Ordering::Relaxed);
    Ok(came)
}

/// Results come so slowly that the download is given up, and read again.
async fn slowly(ground: &Arc<Ground>, given_up: &AtomicU64) -> Result<scenario::Came> {
    let script = format!("{SCRIPT}\n[behavior]\ngzip = \"off\"");
    let (mut world, _database, anthropic) = world(ground, &script).await?;
    // One batch, whose results are long enough to come for longer than is waited.
    for (name, value) in [
        ("OFFPEAK_BATCH_MAX_ITEMS", "100"),
        ("OFFPEAK_BATCH_IDLE_AFTER", "2s"),
        ("OFFPEAK_BATCH_FLUSH_AFTER", "2s"),
    ] {
        world.set(name, value);
    }
    let striking = async {
        until("a batch under way", COMES, || async {
            let under_way = "SELECT count(*) FROM offpeak.batch WHERE state = 'in_progress'";
            Ok(world.number(under_way).await? > 0)
        })
        .await?;
        // Lists and answers still come in their time.
        anthropic.drip(Direction::Down, 12, Duration::from_millis(100));
        let came = said(&world, TOO_SLOW).await;
        heal(&anthropic);
        came?;
        given_up.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    };
    let came = while_working(&world, striking).await?;
    ensure!(
        given_up.load(Ordering::Relaxed) > 0,
        "no download was given up"
    );
    Ok(came)
}

/// Does the usual work, and something beside it that never ends well.
async fn while_working(
    world: &World,
    beside: impl Future<Output = Result<()>>,
) -> Result<scenario::Came> {
    tokio::select! {
        came = scenario::run_in(world, Hidden::Never, &[], &[], REST) => came,
        broke = beside => {
            broke?;
            anyhow::bail!("strikes do not end")
        }
    }
}

/// Waits until the first process has said this.
async fn said(world: &World, what: &str) -> Result<()> {
    let log = world.home.join("0-all.log");
    until(what, COMES, || async {
        Ok(std::fs::read_to_string(&log).is_ok_and(|said| said.contains(what)))
    })
    .await
}

//! A fault proxy between the process and its database, and between the process
//! and Anthropic: what goes wrong on a network, again and again while work is
//! going on, and the outcome is that of an undisturbed run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use offpeak_testkit::proxy::{Direction, Proxy, Target};

use crate::behavior;
use crate::ground::Ground;
use crate::judge::{Hidden, Verdict};
use crate::scenario;
use crate::wait::moments;
use crate::world::World;

/// Until everything has to be at rest: a call that hangs is given up after its
/// statement's time.
const REST: Duration = Duration::from_mins(6);
/// How often a link is broken in one run.
const TIMES: u32 = 4;

/// Which link.
#[derive(Clone, Copy, Debug)]
enum Link {
    Database,
    Anthropic,
}

/// What goes wrong with it.
#[derive(Clone, Copy, Debug)]
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
    async fn strike(self, proxy: &Proxy) {
        match self {
            Self::Latency => proxy.latency(Duration::from_millis(40)),
            Self::Reset => proxy.reset(),
            Self::Cut => proxy.cut(),
            Self::HalfOpen => proxy.half_open(),
            Self::Drip => proxy.drip(Direction::Down, 16, Duration::from_millis(2)),
            Self::Truncated => proxy.truncate_after(300),
        }
        moments(20).await;
        proxy.heal();
        proxy.latency(Duration::ZERO);
        proxy.drip(Direction::Down, 0, Duration::ZERO);
    }
}

/// What the part counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Runs: a link and a trouble each.
    pub runs: u64,
    /// How often a link was broken in all of them.
    pub strikes: u64,
}

/// Every trouble on every link.
pub async fn run(ground: &Arc<Ground>, at_once: usize) -> Result<(Verdict, Counted)> {
    let plain = scenario::run(ground, &behavior::PLAIN, &[], &[], REST).await?;
    let both = [Link::Database, Link::Anthropic];
    let cases = both
        .into_iter()
        .flat_map(|link| TROUBLES.iter().map(move |trouble| (link, *trouble)));
    let mut runs = stream::iter(cases)
        .map(|(link, trouble)| async move { (link, trouble, one(ground, link, trouble).await) })
        .buffer_unordered(at_once);
    let mut verdict = Verdict::default();
    let mut counted = Counted::default();
    while let Some((link, trouble, came)) = runs.next().await {
        counted.runs += 1;
        counted.strikes += u64::from(TIMES);
        let judged = came.map(|came| came.compared_with(&plain.image));
        let name = format!("{trouble:?} between process and {link:?}");
        verdict.add(Verdict::of(&name, judged));
    }
    Ok((verdict, counted))
}

async fn one(ground: &Arc<Ground>, link: Link, trouble: Trouble) -> Result<scenario::Came> {
    let (name, root) = ground.database().await?;
    let database = Proxy::start(Target::Unix(ground.socket()))?;
    let url = format!("postgres://postgres@{}/{name}", database.address());
    let mut world = World::on(ground, &url, root, "seed = 7").await?;
    world.unreliable = true;
    let host = world.standin_url.trim_start_matches("http://").to_owned();
    let anthropic = Proxy::start(Target::Tcp(host))?;
    world.set(
        "ANTHROPIC_BASE_URL",
        &format!("http://{}", anthropic.address()),
    );
    let broken = match link {
        Link::Database => &database,
        Link::Anthropic => &anthropic,
    };
    let strikes = async {
        // What is to be shown is work that goes on, not a start that waits.
        let log = world.home.join("0-all.log");
        while !std::fs::read_to_string(&log).is_ok_and(|said| said.contains("listens")) {
            moments(1).await;
        }
        for _ in 0..TIMES {
            moments(12).await;
            trouble.strike(broken).await;
        }
        // From here on it is for the process to come right by itself.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        came = scenario::run_in(&world, Hidden::Never, &[], &[], REST) => came,
        () = strikes => unreachable(),
    }
    .with_context(|| world.home.display().to_string())
}

fn unreachable() -> Result<scenario::Came> {
    anyhow::bail!("strikes do not end")
}

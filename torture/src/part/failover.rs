//! The database itself goes: its first process is killed, its standby takes
//! over, with or without having seen everything, a backup is restored. The
//! stand-in knows what was paid.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_testkit::proxy::{Proxy, Target};
use sqlx::postgres::PgPool;

use crate::client::{Client, Door, Promises};
use crate::cluster::Cluster;
use crate::ground::{self, Ground};
use crate::judge::{Hidden, Verdict, judge};
use crate::scenario;
use crate::wait::until;
use crate::world::{Program, Role, World};

/// Until all is well again.
const REST: Duration = Duration::from_mins(4);
/// Where a worker dies after its database has changed …
const LISTED: &str = "reconcile.listed";
/// … and where one does that has just taken over a forgotten batch.
const RECOVERED: &str = "reconcile.recovered";
/// The database in each cluster.
const DATABASE: &str = "offpeak";

/// A world on a cluster of its own, reached through a proxy that can lead
/// elsewhere.
struct Stage {
    world: World,
    proxy: Proxy,
    door: Door,
    promises: Promises,
}

/// The processes on a stage.
struct Cast {
    api: Program,
    worker: Program,
    point: &'static str,
}

impl Stage {
    async fn on(ground: &Arc<Ground>, primary: &Cluster) -> Result<Self> {
        let key = ground::prepare(primary, DATABASE).await?;
        let proxy = Proxy::start(Target::Unix(primary.socket()))?;
        let url = format!("postgres://postgres@{}/{DATABASE}", proxy.address());
        // Batches that are under way long enough to be forgotten meanwhile.
        let script = "seed = 7\nturnaround = { min_ms = 1500, max_ms = 4000 }";
        let mut world = World::on(ground, &url, primary.pool(DATABASE, 2)?, script).await?;
        world.key = key;
        Ok(Self {
            world,
            proxy,
            door: Door::default(),
            promises: Promises::default(),
        })
    }

    /// An API and a worker, which dies at `point`, if that is one.
    async fn cast(&self, orders: &[(&str, &str)], point: &'static str) -> Result<Cast> {
        let api = self.world.start_anew(Role::Api, orders).await?;
        self.door.set(vec![api.url.clone()]);
        let mortal = [orders, &[("TORTURE_AT", point)]].concat();
        Ok(Cast {
            worker: self.world.start_anew(Role::Worker, &mortal).await?,
            api,
            point,
        })
    }

    /// Waits until the worker has died at its point, and starts another one.
    async fn go_on(&self, cast: &mut Cast, orders: &[(&str, &str)]) -> Result<()> {
        if cast.point.is_empty() {
            return Ok(());
        }
        let dead = tokio::time::timeout(REST, cast.worker.ended()).await;
        dead.with_context(|| format!("nobody came by {}", cast.point))??;
        cast.worker = self.world.start_anew(Role::Worker, orders).await?;
        Ok(())
    }

    /// Submits so many jobs, one after the other.
    async fn submit(&self, name: &str, jobs: usize) -> Result<()> {
        let client = Client::new(&self.world, &self.door, &self.promises);
        for number in 0..jobs {
            client.submit(&format!("{name}-{number}")).await?;
        }
        Ok(())
    }

    /// Leads everybody to another server.
    fn lead_to(&mut self, cluster: &Cluster) -> Result<()> {
        self.proxy.set_target(Target::Unix(cluster.socket()));
        self.proxy.reset();
        self.world.root = cluster.pool(DATABASE, 2)?;
        Ok(())
    }

    async fn judge(&self) -> Result<Verdict> {
        self.world.at_rest(REST).await?;
        judge(&self.world, &self.promises, Hidden::Never).await
    }
}

/// A primary with a standby that has everything before a commit is answered.
async fn pair(
    ground: &Arc<Ground>,
    home: &Path,
    synchronous: bool,
) -> Result<(Cluster, Cluster, Stage)> {
    let primary = Cluster::new(&ground.tools, home, "primary", &[]).await?;
    let stage = Stage::on(ground, &primary).await?;
    let standby = primary.copy(home, "standby", true).await?;
    let admin = primary.pool("postgres", 1)?;
    until("the standby to follow", REST, || async {
        let asked = sqlx::query_scalar(
            "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'",
        );
        Ok(asked.fetch_one(&admin).await?)
    })
    .await?;
    if synchronous {
        set(&admin, "synchronous_standby_names", "*").await?;
        set(&admin, "synchronous_commit", "remote_apply").await?;
    }
    Ok((primary, standby, stage))
}

async fn set(admin: &PgPool, name: &str, value: &str) -> Result<()> {
    let sql = format!("ALTER SYSTEM SET {name} = '{value}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(admin)
        .await?;
    sqlx::query("SELECT pg_reload_conf()")
        .execute(admin)
        .await?;
    Ok(())
}

/// What the part counted.
#[derive(Debug, Default)]
pub struct Counted {
    /// Databases that went.
    pub tries: u64,
    /// Crash points at which a worker died meanwhile.
    pub hit: BTreeSet<&'static str>,
}

/// Each of them so many times.
pub async fn run(ground: &Arc<Ground>, times: u64) -> Result<(Verdict, Counted)> {
    let mut verdict = Verdict::default();
    let mut counted = Counted::default();
    for _ in 0..times {
        let all = tokio::join!(
            synchronous(ground),
            asynchronous(ground),
            restore(ground, &[], RECOVERED, REST)
        );
        for (name, point, came) in [
            ("synchronous standby promoted", LISTED, all.0),
            ("asynchronous standby promoted", LISTED, all.1),
            ("backup restored", RECOVERED, all.2),
        ] {
            counted.tries += 1;
            if came.is_ok() {
                counted.hit.insert(point);
            }
            verdict.add(Verdict::of(name, came));
        }
    }
    Ok((verdict, counted))
}

/// The primary dies under load and its synchronous standby is promoted: nothing
/// that was promised is missing.
pub async fn synchronous(ground: &Arc<Ground>) -> Result<Verdict> {
    let home = ground.open_folder()?;
    let (mut primary, standby, mut stage) = pair(ground, &home, true).await?;
    let mut cast = stage.cast(&[], LISTED).await?;
    stage.submit("before", 12).await?;
    primary.kill().await?;
    standby.promote().await?;
    stage.lead_to(&standby)?;
    stage.go_on(&mut cast, &[]).await?;
    stage.submit("after", 6).await?;
    let verdict = stage.judge().await;
    end(cast, [primary, standby]).await?;
    verdict
}

/// The standby has stopped hearing of what happens; the primary goes on, sends
/// batches and reads results, and dies. What was promised meanwhile is gone, as
/// `docs/operating.md` says of asynchronous standbys, and the jobs that the
/// standby still has were sent: they may not be sent again.
pub async fn asynchronous(ground: &Arc<Ground>) -> Result<Verdict> {
    let home = ground.open_folder()?;
    let (mut primary, standby, mut stage) = pair(ground, &home, false).await?;
    // Late enough for the standby to have the jobs before they are sent.
    let later = [
        ("OFFPEAK_BATCH_MAX_ITEMS", "100"),
        ("OFFPEAK_BATCH_IDLE_AFTER", "3s"),
        ("OFFPEAK_BATCH_FLUSH_AFTER", "3s"),
    ];
    let mut cast = stage.cast(&later, LISTED).await?;
    stage.submit("before", 6).await?;
    let replica = standby.pool(DATABASE, 1)?;
    until("the standby to have the jobs", REST, || async {
        let asked = sqlx::query_scalar("SELECT count(*) >= 6 FROM offpeak.job");
        Ok(asked.fetch_one(&replica).await?)
    })
    .await?;
    // It is deaf from here on: what the primary does it never hears of.
    set(&replica, "primary_conninfo", "host=/nowhere").await?;
    until("the standby to hear nothing", REST, || async {
        let asked = sqlx::query_scalar("SELECT count(*) = 0 FROM pg_stat_wal_receiver");
        Ok(asked.fetch_one(&replica).await?)
    })
    .await?;
    all_sent(&stage.world).await?;
    primary.kill().await?;
    replica.close().await;
    standby.promote().await?;
    stage.lead_to(&standby)?;
    stage.go_on(&mut cast, &later).await?;
    stage.submit("after", 4).await?;
    let verdict = stage.judge().await;
    end(cast, [primary, standby]).await?;
    verdict
}

/// Yesterday's backup is restored: the jobs in it were sent since.
pub async fn restore(
    ground: &Arc<Ground>,
    orders: &[(&str, &str)],
    point: &'static str,
    longest: Duration,
) -> Result<Verdict> {
    let home = ground.open_folder()?;
    let primary = Cluster::new(&ground.tools, &home, "primary", &[]).await?;
    let mut stage = Stage::on(ground, &primary).await?;
    // It has sent batches before, as any deployment has by the time of a backup.
    let mut cast = stage.cast(orders, "").await?;
    stage.submit("long-before", 3).await?;
    stage.world.at_rest(REST).await?;
    cast.worker.kill().await?;
    // What is accepted now, and sent after the backup, the backup has as waiting.
    stage.submit("before", 6).await?;
    let backup = primary.put_by(&home, "backup").await?;
    cast.worker = stage.world.start_anew(Role::Worker, orders).await?;
    all_sent(&stage.world).await?;
    cast.worker.kill().await?;
    cast.api.kill().await?;
    let mut primary = primary;
    primary.kill().await?;
    let restored = Cluster::restore(&ground.tools, backup).await?;
    stage.lead_to(&restored)?;
    let mut cast = stage.cast(orders, point).await?;
    stage.go_on(&mut cast, orders).await?;
    stage.submit("after", 3).await?;
    stage.world.at_rest(longest).await?;
    scenario::all_found(&stage.world, longest).await?;
    let verdict = judge(&stage.world, &stage.promises, Hidden::Never).await;
    end(cast, [primary, restored]).await?;
    verdict
}

async fn all_sent(world: &World) -> Result<()> {
    until("all to be sent", REST, || async {
        let open = "SELECT (SELECT count(*) FROM offpeak.ready)
                         + (SELECT count(*) FROM offpeak.batch
                             WHERE state IN ('planned', 'sending', 'uncertain'))";
        Ok(world.number(open).await? == 0)
    })
    .await
}

async fn end(mut cast: Cast, clusters: [Cluster; 2]) -> Result<()> {
    cast.api.kill().await?;
    cast.worker.kill().await?;
    for mut cluster in clusters {
        cluster.stop().await?;
    }
    Ok(())
}

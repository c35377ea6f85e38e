//! The database itself goes: its first process is killed, its standby takes
//! over under load, with or without having seen everything, a backup is restored.
//! The stand-in knows what was paid.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use offpeak_testkit::proxy::{Proxy, Target};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::types::Uuid;

use crate::client::{Client, Door, Promises};
use crate::cluster::Cluster;
use crate::ground::{self, Ground};
use crate::judge::{Hidden, Verdict, judge};
use crate::scenario;
use crate::wait::{moments, until};
use crate::world::{Program, Role, World};

/// Until all is well again.
const REST: Duration = Duration::from_mins(4);
/// Where a worker dies after its database has changed …
const LISTED: &str = "reconcile.listed";
/// … and where one does that has just taken over a forgotten batch.
const RECOVERED: &str = "reconcile.recovered";
/// Looks by which an answer that was given has arrived.
const ANSWERED: u32 = 20;
/// The database in each cluster.
const DATABASE: &str = "offpeak";

/// Clients that submit all the time …
const CLIENTS: usize = 3;
/// … and so many looks between two calls of one of them.
const BETWEEN: u32 = 8;

/// A world on a cluster of its own, reached through a proxy that can lead
/// elsewhere.
struct Stage {
    world: World,
    proxy: Proxy,
    door: Door,
    promises: Promises,
    /// An answer promises nothing at the moment.
    deaf: AtomicBool,
    /// Calls of clients that wait for their answer.
    open: AtomicUsize,
    /// No more is submitted.
    done: AtomicBool,
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
        // Batches that are under way long enough to be forgotten meanwhile, and
        // creates that are long enough to be met.
        let script = format!(
            "seed = {}
             turnaround = {{ min_ms = 1500, max_ms = 4000 }}
             [[faults.rules]]
             on = [\"create\"]
             times = \"always\"
             fault.delay = {{ min_ms = 100, max_ms = 700 }}",
            ground.world_seed()
        );
        // Whoever judges is led elsewhere, too.
        let root = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(REST)
            .connect_lazy(&url)?;
        let mut world = World::on(ground, &url, root, &script).await?;
        world.key = key;
        world.set("OFFPEAK_BATCH_MAX_ITEMS", "20");
        Ok(Self {
            world,
            proxy,
            door: Door::default(),
            promises: Promises::default(),
            deaf: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            done: AtomicBool::new(false),
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
        let dead = dead.with_context(|| format!("nobody came by {}", cast.point))??;
        ensure!(
            dead.as_deref() == Some(cast.point),
            "a worker was to die at {} and ended at {dead:?}",
            cast.point
        );
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

    /// Plays `course` while clients submit, and no longer.
    async fn under_load(&self, course: impl Future<Output = Result<()>>) -> Result<()> {
        let course = async {
            let came = course.await;
            self.done.store(true, Ordering::Relaxed);
            came
        };
        let load = try_join_all((0..CLIENTS).map(|number| self.client(number)));
        let (load, came) = tokio::join!(load, course);
        came?;
        load.map(drop)
    }

    /// One client: what it was answered is promised, unless nothing is.
    async fn client(&self, number: usize) -> Result<()> {
        let client = Client::new(&self.world, &self.door, &self.promises);
        let mut calls = 0;
        while !self.done.load(Ordering::Relaxed) {
            let reference = format!("client-{number}-{calls}");
            self.open.fetch_add(1, Ordering::Relaxed);
            let answered = client.submitted(&reference).await;
            self.open.fetch_sub(1, Ordering::Relaxed);
            let id = answered?;
            if !self.deaf.load(Ordering::Relaxed) {
                self.promises.note(&reference, &id);
            }
            calls += 1;
            moments(BETWEEN).await;
        }
        Ok(())
    }

    /// Waits until so many more jobs were promised.
    async fn promised(&self, more: usize) -> Result<()> {
        let known = self.promises.count();
        until("clients to be answered", REST, || async {
            Ok(self.promises.count() >= known + more)
        })
        .await
    }

    /// Waits until a client waits for its answer, and a create for its own.
    async fn busy(&self) -> Result<()> {
        until("a call and a send that are open", REST, || async {
            let sending = "SELECT count(*) FROM offpeak.batch WHERE state = 'sending'";
            let sending = self.world.number(sending).await? > 0;
            Ok(sending && self.open.load(Ordering::Relaxed) > 0)
        })
        .await
    }

    /// Leads everybody to another server.
    fn lead_to(&self, cluster: &Cluster) {
        self.proxy.set_target(Target::Unix(cluster.socket()));
        self.proxy.reset();
    }

    async fn judge(&self, hidden: Hidden, longest: Duration) -> Result<Verdict> {
        let mut rest = self.world.at_rest(longest).await;
        if rest.is_ok() {
            rest = scenario::all_found(&self.world, longest).await;
        }
        judge(&self.world, &self.promises, hidden, rest).await
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

/// The primary dies while clients wait and creates are under way, and its
/// synchronous standby is promoted: nothing that was promised is missing.
pub async fn synchronous(ground: &Arc<Ground>) -> Result<Verdict> {
    let home = ground.open_folder()?;
    let (mut primary, standby, stage) = pair(ground, &home, true).await?;
    let mut cast = stage.cast(&[], LISTED).await?;
    // Where jobs wait longer than a start takes, that start may be a backup's, and is
    // compared: its worker would die too early.
    stage.world.begun(REST).await?;
    let course = async {
        stage.promised(12).await?;
        stage.busy().await?;
        primary.kill().await?;
        standby.promote().await?;
        stage.lead_to(&standby);
        stage.go_on(&mut cast, &[]).await?;
        stage.promised(6).await
    };
    stage.under_load(course).await?;
    let verdict = stage.judge(Hidden::Never, REST).await;
    end(cast, [primary, standby]).await?;
    verdict
}

/// The standby has stopped hearing of what happens; the primary goes on, accepts
/// jobs, sends batches and reads results, and dies in the middle of it. What was
/// promised meanwhile is gone, as `docs/operating.md` says of asynchronous
/// standbys, and what it billed is absorbed; the jobs that the standby still has
/// were sent, and may not be sent again.
pub async fn asynchronous(ground: &Arc<Ground>) -> Result<Verdict> {
    let home = ground.open_folder()?;
    let (mut primary, standby, stage) = pair(ground, &home, false).await?;
    // Late enough for the standby to have jobs before they are sent.
    let later = [
        ("OFFPEAK_BATCH_IDLE_AFTER", "3s"),
        ("OFFPEAK_BATCH_FLUSH_AFTER", "3s"),
    ];
    let mut cast = stage.cast(&later, LISTED).await?;
    stage.world.begun(REST).await?;
    let course = async {
        stage.promised(12).await?;
        // From here on nothing is promised, and what was is where the standby has it.
        stage.deaf.store(true, Ordering::Relaxed);
        moments(ANSWERED).await;
        let last = cut_off(&stage.world, &standby).await?;
        sent_until(&stage.world, last).await?;
        stage.busy().await?;
        primary.kill().await?;
        // What it had answered has arrived by now.
        moments(ANSWERED).await;
        stage.deaf.store(false, Ordering::Relaxed);
        standby.promote().await?;
        stage.lead_to(&standby);
        stage.go_on(&mut cast, &later).await?;
        stage.promised(6).await
    };
    stage.under_load(course).await?;
    let verdict = stage.judge(Hidden::Forgotten, REST).await;
    end(cast, [primary, standby]).await?;
    verdict
}

/// Makes a standby deaf once it has everything that there is by now. Gives the last
/// job that it has.
async fn cut_off(world: &World, standby: &Cluster) -> Result<Uuid> {
    let place: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
        .fetch_one(&world.root)
        .await?;
    let replica = standby.pool(DATABASE, 1)?;
    until("the standby to have what was promised", REST, || async {
        let asked = sqlx::query_scalar("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn");
        Ok(asked.bind(&place).fetch_one(&replica).await?)
    })
    .await?;
    set(&replica, "primary_conninfo", "host=/nowhere").await?;
    until("the standby to hear nothing", REST, || async {
        let asked = sqlx::query_scalar("SELECT count(*) = 0 FROM pg_stat_wal_receiver");
        Ok(asked.fetch_one(&replica).await?)
    })
    .await?;
    let last = sqlx::query_scalar("SELECT id FROM offpeak.job ORDER BY id DESC LIMIT 1")
        .fetch_one(&replica)
        .await?;
    replica.close().await;
    Ok(last)
}

/// Waits until all jobs up to this one are at Anthropic, or have ended.
async fn sent_until(world: &World, last: Uuid) -> Result<()> {
    until("all that the standby has to be sent", REST, || async {
        let asked = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT FROM offpeak.ready WHERE id <= $1)
                AND NOT EXISTS (SELECT FROM offpeak.inflight i
                                  JOIN offpeak.batch b ON b.tenant_id = i.tenant_id
                                                      AND b.id = i.batch_id
                                 WHERE i.id <= $1
                                   AND b.state IN ('planned', 'sending', 'uncertain'))",
        );
        Ok(asked.bind(last).fetch_one(&world.root).await?)
    })
    .await
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
    let stage = Stage::on(ground, &primary).await?;
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
    stage.lead_to(&restored);
    let mut cast = stage.cast(orders, point).await?;
    stage.go_on(&mut cast, orders).await?;
    stage.submit("after", 3).await?;
    let verdict = stage.judge(Hidden::Never, longest).await;
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

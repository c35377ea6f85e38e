//! How late clients hear what happens, what a connection costs, and what bad
//! clients do to good ones.
//!
//! The server under test is one process, the sockets that only read are another;
//! this one writes the jobs and holds the clients whose times count.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use offpeak_bench::child::Child;
use offpeak_bench::cluster::{Cluster, Database, cpu_seconds};
use offpeak_bench::discard::discard;
use offpeak_bench::figures::{Figures, Samples};
use offpeak_bench::live::abuse::{self, Plan};
use offpeak_bench::live::bare::{self, Like};
use offpeak_bench::live::crowd::{self, Crowd};
use offpeak_bench::live::sample::{Clients, Read};
use offpeak_bench::live::socket::To;
use offpeak_bench::live::storm;
use offpeak_bench::live::writer::{Load, Writer};
use offpeak_bench::server::{self, Settings};
use offpeak_bench::upload::{Client, line};
use offpeak_bench::{argument, memory, print, say};
use offpeak_domain::id::TenantId;
use offpeak_store::pause::{self, Pause};
use offpeak_store::upstream;
use tokio::task::JoinSet;

/// Clients whose times count, of all in a measurement.
const SAMPLES: usize = 50;
/// The same where each hears of its own user alone, and so of little.
const USERS_SAMPLED: usize = 1_000;
/// That each of them has had when its memory is looked at.
const FRAMES: usize = 3;
/// For what is under way to arrive.
const PATIENCE: Duration = Duration::from_secs(30);
/// That read more than a gigabyte together.
const BURST_READERS: usize = 100;
/// What the server may take for them, and for those that never read, beside good ones.
const BURST_MB: f64 = 64.0;
const ABUSE_MB: f64 = 64.0;
/// A thousand changes a second.
const LOAD: Load = Load {
    transactions: 100,
    jobs: 10,
    users: 1_000,
    seconds: 8,
};

#[tokio::main]
async fn main() -> Result<()> {
    if server::play().await? || crowd::play().await? || bare::play().await? {
        return Ok(());
    }
    offpeak::open_files::raise()?;
    let cluster = Cluster::start("pg-live").await?;
    let database = cluster.fresh("bench_live").await?;
    let mut bench = Bench {
        writer: Writer::new(&database),
        crowd: Crowd::start()?,
        figures: Figures::new("live"),
        database,
    };
    let only: String = argument("only", String::new())?;
    let runs = |part: &str| only.is_empty() || only == part;
    if runs("many") {
        bench.many().await?;
    }
    if runs("enqueue") {
        bench.enqueue().await?;
    }
    if runs("users") {
        bench.users().await?;
    }
    if runs("storm") {
        bench.storm().await?;
    }
    if runs("view") {
        bench.view().await?;
    }
    if runs("burst") {
        bench.burst().await?;
    }
    if runs("abuse") {
        bench.abuse().await?;
    }
    let Bench {
        writer,
        crowd,
        figures,
        database,
    } = bench;
    crowd.end().await?;
    drop(writer);
    discard(database).await?;
    cluster.stop().await?;
    if only.is_empty() {
        figures.end()?;
    }
    Ok(())
}

struct Bench {
    database: Database,
    writer: Writer,
    crowd: Crowd,
    figures: Figures,
}

/// A server of its own for one measurement.
struct Served {
    child: Child,
    tenant: TenantId,
    client: Client,
    to: To,
}

impl Served {
    /// With one tenant, whose stream it has read before.
    async fn start(bench: &Bench, name: &str) -> Result<Self> {
        let settings = Settings {
            role: "all",
            ..Settings::api(&bench.database.url)
        };
        let (child, url) = server::start(&settings).await?;
        // Events are numbered; batches, which nobody would take, are not formed.
        let system = &bench.database.system;
        let at = system.now().await?;
        let paused = Pause {
            by: "bench",
            reason: "this bench sends nothing",
            at,
            until: at + Duration::from_hours(24),
        };
        pause::pause(system, upstream::OWN, &paused).await?;
        let (tenant, key) = bench.database.tenant(name).await?;
        let served = Self {
            to: To::new(&url, "/v1/live", key.expose())?,
            client: Client::new(&url, &key),
            child,
            tenant,
        };
        served.warm(bench).await?;
        Ok(served)
    }

    async fn warm(&self, bench: &Bench) -> Result<()> {
        let clients = Clients::open(&self.to, vec!["jobs".to_owned()], &bench.writer).await?;
        let load = Load { seconds: 1, ..LOAD };
        let jobs = bench.writer.at_rate(self.tenant, &load).await?;
        clients.until(jobs, PATIENCE).await.map(drop)
    }
}

impl Bench {
    /// 500 sockets that all hear everything, and the same of a bare server.
    async fn many(&mut self) -> Result<()> {
        let served = Served::start(self, "many").await?;
        let pid = served.child.pid()?;
        let resident = memory::resident_mb(pid)?;
        let crowd = 500 - SAMPLES;
        self.crowd.open(&served.to, crowd / 2, "jobs").await?;
        let topics = vec!["jobs".to_owned(); SAMPLES];
        let clients = Clients::open(&served.to, topics, &self.writer).await?;
        self.crowd
            .open(&served.to, crowd - crowd / 2, "jobs")
            .await?;
        let before = cpu_seconds(pid)?;
        let jobs = self.writer.at_rate(served.tenant, &LOAD).await?;
        let read = clients.until(jobs, PATIENCE).await?;
        self.crowd.until(u64::try_from(jobs)?, PATIENCE).await?;
        let cpu = (cpu_seconds(pid)? - before) / f64::from(LOAD.seconds);
        // As long as frames get: what a connection keeps of its longest one.
        for _ in 0..10 {
            self.writer.commit(served.tenant, 0..500).await?;
        }
        let all = u64::try_from(jobs + 10 * 500)?;
        self.crowd.until(all, PATIENCE).await?;
        let each = (memory::resident_mb(pid)? - resident) * 1024.0 / 500.0;
        self.figures.note("kb_per_socket_of_long_frames", each);
        self.closed().await?;
        served.child.end().await?;
        let frames = read.frames / SAMPLES;
        let like = Like {
            crowd,
            samples: SAMPLES,
            rate: f64::from(u32::try_from(frames)?) / f64::from(LOAD.seconds),
            bytes: read.bytes / read.frames.max(1),
            seconds: LOAD.seconds,
        };
        let bare = bare::measure(&mut self.crowd, like).await?;
        let (p50, p99) = (read.late.quantile(0.5), read.late.quantile(0.99));
        let (bare_p50, bare_p99) = (bare.quantile(0.5), bare.quantile(0.99));
        print(format_args!(
            "500 sockets, {:.1} frames/s of {} bytes: p50 {p50:.1} ms, p99 {p99:.1} ms, {cpu:.2} \
             of a core; bare server: p50 {bare_p50:.2} ms, p99 {bare_p99:.2} ms",
            like.rate, like.bytes
        ));
        self.figures.add_as("p50_ms", p50, &read.late);
        self.figures.add_as("p99_ms", p99, &read.late);
        self.figures.note("over_bare", p99 / bare_p99);
        self.figures.note("over_bare_p50", p50 / bare_p50);
        self.figures.add_as("bare_p50_ms", bare_p50, &bare);
        self.figures.add_as("bare_p99_ms", bare_p99, &bare);
        self.figures.note("frames_per_s", like.rate);
        self.figures.note("server_cores", cpu);
        Ok(())
    }

    /// Single submits while 100 sockets follow and while none does, in turns.
    async fn enqueue(&mut self) -> Result<()> {
        let pairs: usize = argument("pairs", 40)?;
        let served = Served::start(self, "enqueue").await?;
        let body = line("A text that nobody will summarize today.")?;
        let mut losses = Samples::default();
        let mut rates = [Samples::default(), Samples::default()];
        for pair in 0..pairs {
            let mut rate = [0.0; 2];
            for follow in [pair % 2, 1 - pair % 2] {
                if follow == 1 {
                    self.crowd.open(&served.to, 100, "jobs").await?;
                }
                // The first moments belong to nobody.
                submits(&served.client, &body, Duration::from_millis(300)).await?;
                rate[follow] = submits(&served.client, &body, Duration::from_millis(1_500)).await?;
                if follow == 1 {
                    self.closed().await?;
                }
                rates[follow].push(rate[follow]);
            }
            losses.push(1.0 - rate[1] / rate[0]);
            say(format_args!(
                "pair {pair}: {:.0} submits/s alone, {:.0} followed",
                rate[0], rate[1]
            ));
        }
        served.child.end().await?;
        self.figures.add("enqueue_loss", &losses);
        self.figures.add("submits_per_s_alone", &rates[0]);
        self.figures.add("submits_per_s_followed", &rates[1]);
        print(format_args!(
            "enqueue: {:.1} % lost",
            losses.median() * 100.0
        ));
        Ok(())
    }

    /// 10,000 sockets, each of a user of its own.
    async fn users(&mut self) -> Result<()> {
        let users: usize = argument("users", 10_000)?;
        let served = Served::start(self, "users").await?;
        let pid = served.child.pid()?;
        let before = memory::resident_mb(pid)?;
        let crowd = users - USERS_SAMPLED;
        let own = || {
            (crowd..users)
                .map(|user| format!("user:user-{user}"))
                .collect()
        };
        let clients = Clients::open(&served.to, own(), &self.writer).await?;
        self.crowd.open(&served.to, crowd, "user:user-#").await?;
        // A few frames for each, fast.
        for first in (0..users * FRAMES).step_by(500) {
            let of = (first..first + 500).map(|user| user % users);
            self.writer.commit(served.tenant, of).await?;
        }
        self.crowd.until(FRAMES as u64, PATIENCE).await?;
        let resident = memory::resident_mb(pid)?;
        let each = (resident - before) * 1024.0 / f64::from(u32::try_from(users)?);
        clients.until(FRAMES, PATIENCE).await?;
        let clients = Clients::open(&served.to, own(), &self.writer).await?;
        let load = Load {
            users,
            seconds: 10,
            ..LOAD
        };
        let cpu = cpu_seconds(pid)?;
        let jobs = self.writer.at_rate(served.tenant, &load).await?;
        ensure!(jobs == users, "a job for each user");
        let read = clients.until(1, PATIENCE).await?;
        self.crowd.until(FRAMES as u64 + 1, PATIENCE).await?;
        let cpu = (cpu_seconds(pid)? - cpu) / f64::from(load.seconds);
        self.closed().await?;
        served.child.end().await?;
        let (p50, p99) = (read.late.quantile(0.5), read.late.quantile(0.99));
        print(format_args!(
            "{users} sockets: p50 {p50:.1} ms, p99 {p99:.1} ms, {cpu:.2} of a core; \
             {before:.1} MB before, {resident:.1} MB with all, {each:.1} KB a socket"
        ));
        self.figures.add_as("p50_ms_10000", p50, &read.late);
        self.figures.add_as("p99_ms_10000", p99, &read.late);
        self.figures.note("kb_per_socket", each);
        self.figures.note("server_cores_10000", cpu);
        Ok(())
    }

    /// 100,000 jobs that settle at once.
    async fn storm(&mut self) -> Result<()> {
        let count: usize = argument("storm", 100_000)?;
        let served = Served::start(self, "storm").await?;
        let (tenant, key) = self.database.tenant("settling").await?;
        let storm = storm::stage(&self.database, &self.writer, tenant, count).await?;
        storm::numbered(&self.database).await?;
        let to = To {
            key: key.expose().to_owned(),
            ..served.to
        };
        let topics = vec!["jobs".to_owned(); 5];
        let clients = Clients::open(&to, topics, &self.writer).await?;
        self.crowd.open(&to, 95, "jobs").await?;
        let pid = served.child.pid()?;
        let before = memory::resident_mb(pid)?;
        memory::forget_peak(pid)?;
        let all = u64::try_from(count)?;
        let begun = Instant::now();
        let (settled, seen) = tokio::join!(storm.settle(&self.database), async {
            self.crowd.until(all, PATIENCE).await?;
            clients.until(count, PATIENCE).await?;
            anyhow::Ok(Instant::now())
        });
        let (settled, seen) = (settled?, seen?);
        let late = seen.saturating_duration_since(settled).as_secs_f64();
        let took = (settled - begun).as_secs_f64();
        let grown = memory::peak_mb(pid)? - before;
        self.closed().await?;
        served.child.end().await?;
        print(format_args!(
            "storm: {count} jobs settled in {took:.2} s, heard by all {late:.2} s later, \
             {grown:.1} MB more"
        ));
        self.figures.note("storm_s", late);
        self.figures.note("storm_mb", grown);
        self.figures.note("storm_settling_s", took);
        Ok(())
    }

    /// 500 screens, each of a user of its own, in mode `view`.
    async fn view(&mut self) -> Result<()> {
        let users = 500;
        let served = Served::start(self, "view").await?;
        let crowd = users - SAMPLES;
        let own = (crowd..users)
            .map(|user| format!("view,user:user-{user}"))
            .collect();
        let clients = Clients::open(&served.to, own, &self.writer).await?;
        let topics = "view,user:user-#";
        self.crowd.open(&served.to, crowd, topics).await?;
        let load = Load { users, ..LOAD };
        let jobs = self.writer.at_rate(served.tenant, &load).await?;
        let read = clients.until(jobs / users, PATIENCE).await?;
        self.crowd
            .until(u64::try_from(jobs / users)?, PATIENCE)
            .await?;
        self.closed().await?;
        served.child.end().await?;
        let (p50, p99) = (read.late.quantile(0.5), read.late.quantile(0.99));
        print(format_args!(
            "{users} screens: p50 {p50:.1} ms, p99 {p99:.1} ms"
        ));
        self.figures.add_as("view_p50_ms", p50, &read.late);
        self.figures.add_as("view_p99_ms", p99, &read.late);
        Ok(())
    }

    /// More than a gigabyte, to readers so slow that it lies with the server for most
    /// of the time.
    async fn burst(&mut self) -> Result<()> {
        let served = Served::start(self, "burst").await?;
        let pid = served.child.pid()?;
        // Behind those that were told while it got warm: about 11 MB for each reader.
        let last = storm::heap_up(&self.database, served.tenant, 700).await?;
        let before = memory::resident_mb(pid)?;
        memory::forget_peak(pid)?;
        let begun = Instant::now();
        let bytes = abuse::slowly(&served.to, BURST_READERS, 1 << 20, last).await?;
        let took = begun.elapsed().as_secs_f64();
        let grown = memory::peak_mb(pid)? - before;
        served.child.end().await?;
        print(format_args!(
            "burst: {bytes} bytes to {BURST_READERS} slow readers in {took:.1} s, {grown:.1} MB more"
        ));
        ensure!(bytes > 1 << 30, "{bytes} bytes are no gigabyte");
        ensure!(
            grown < BURST_MB,
            "{grown:.1} MB lay with the server at once"
        );
        self.figures.note("burst_mb", grown);
        self.figures.note("burst_s", took);
        Ok(())
    }

    /// A thousand changes a second, heard by good clients among bad ones.
    async fn abuse(&mut self) -> Result<()> {
        let plan = Plan {
            mute: 50,
            connects: argument("connects", 5_000)?,
            // Longer than the ten seconds after which whoever takes nothing is closed.
            seconds: 20,
        };
        let served = Served::start(self, "abuse").await?;
        storm::numbered(&self.database).await?;
        // More than the kernel holds for one that does not read.
        storm::heap_up(&self.database, served.tenant, 600).await?;
        let pid = served.child.pid()?;
        let before = memory::resident_mb(pid)?;
        memory::forget_peak(pid)?;
        let topics = vec!["jobs".to_owned(); SAMPLES];
        let clients = Clients::open(&served.to, topics, &self.writer).await?;
        let load = Load {
            seconds: plan.seconds,
            ..LOAD
        };
        let (jobs, outcome) = tokio::join!(
            self.writer.at_rate(served.tenant, &load),
            self.crowd.abuse(&served.to, &plan)
        );
        let (jobs, outcome) = (jobs?, outcome?);
        let Read { late, .. } = clients.until(jobs, PATIENCE).await?;
        let grown = memory::peak_mb(pid)? - before;
        served.child.end().await?;
        let p99 = late.quantile(0.99);
        let mute = 2 * u64::try_from(plan.mute)?;
        let connects = f64::from(u32::try_from(outcome.connected)?) / f64::from(plan.seconds);
        print(format_args!(
            "abuse: p50 {:.1} ms, p99 {p99:.1} ms, {grown:.1} MB more; {connects:.0} connects/s, \
             {} of {mute} that never read were closed, the long message after {} bytes with {}",
            late.quantile(0.5),
            outcome.mute_closed,
            outcome.giant_bytes,
            outcome.giant_code
        ));
        ensure!(
            outcome.giant_bytes < 64 << 20,
            "a message without end was not cut off"
        );
        ensure!(
            outcome.mute_closed == mute,
            "{} of {mute} that never read were closed",
            outcome.mute_closed
        );
        ensure!(grown < ABUSE_MB, "{grown:.1} MB lay with the server");
        self.figures.note("abuse_mb", grown);
        self.figures.add_as("abuse_p99_ms", p99, &late);
        self.figures.note("abuse_connects_per_s", connects);
        Ok(())
    }

    /// Closes the crowd, all of which has to be there still.
    async fn closed(&mut self) -> Result<()> {
        let (opened, open) = (self.crowd.opened(), self.crowd.open_still().await?);
        ensure!(open == opened, "{open} of {opened} sockets are still open");
        self.crowd.close().await
    }
}

/// Submits as fast as 16 apps can that wait for each answer; gives the rate.
async fn submits(client: &Client, body: &str, time: Duration) -> Result<f64> {
    let begun = Instant::now();
    let mut apps = JoinSet::new();
    for _ in 0..16 {
        let (client, body) = (client.clone(), body.to_owned());
        apps.spawn(async move {
            let mut accepted = 0_u32;
            while begun.elapsed() < time {
                ensure!(client.post(&body).await?, "not accepted");
                accepted += 1;
            }
            Ok(accepted)
        });
    }
    let mut accepted = 0;
    while let Some(app) = apps.join_next().await {
        accepted += app??;
    }
    Ok(f64::from(accepted) / begun.elapsed().as_secs_f64())
}

//! A PostgreSQL of the harness's own: killed, started again, copied, followed by
//! a standby that is promoted.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use offpeak::postgres::Tools;
use offpeak_testkit::database::stop_with_us;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tokio::process::{Child, Command};

use crate::wait::{moments, until};

/// A server may have to recover first.
const START: Duration = Duration::from_mins(1);

/// Kept by every server. A commit is safe against the death of any process, not
/// against a power cut, which nothing here brings about.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "fsync=off",
    "wal_level=replica",
    "max_wal_senders=8",
    "max_connections=300",
    "hot_standby=on",
    "timezone=UTC",
    "log_min_error_statement=panic",
    "jit=off",
];

/// One server and its data.
#[derive(Debug)]
pub struct Cluster {
    tools: Tools,
    /// Data and socket.
    home: PathBuf,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Cluster {
    /// Sets up and starts a new one below `parent`.
    pub async fn new(tools: &Tools, parent: &Path, name: &str, more: &[&str]) -> Result<Self> {
        let home = parent.join(name);
        tools.own_folder(&home)?;
        let made = Command::from(tools.command("initdb", &home))
            .args(["-D", "data", "-U", "postgres", "--auth=trust", "-N"])
            .args(["--encoding=UTF8", "--locale=C"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await?;
        ensure!(made.success(), "initdb failed");
        Self::on(tools, home, more).await
    }

    /// Starts one on data that is there.
    async fn on(tools: &Tools, home: PathBuf, more: &[&str]) -> Result<Self> {
        let settings = SETTINGS.iter().chain(more).map(|&one| one.to_owned());
        let mut cluster = Self {
            tools: tools.clone(),
            settings: settings.collect(),
            child: None,
            home,
        };
        cluster.start().await?;
        Ok(cluster)
    }

    /// A standby that follows this one, or, without `follow`, a copy as a backup
    /// is, which runs by itself.
    pub async fn copy(&self, parent: &Path, name: &str, follow: bool) -> Result<Self> {
        let home = parent.join(name);
        self.tools.own_folder(&home)?;
        self.backup(&home, follow).await?;
        Self::on(&self.tools, home, &[]).await
    }

    /// Copies the data, whole, into a folder `data` below `home`.
    async fn backup(&self, home: &Path, follow: bool) -> Result<()> {
        let mut command = Command::from(self.tools.command("pg_basebackup", home));
        command
            .args(["-D", "data", "-U", "postgres", "-X", "stream", "-c", "fast"])
            .arg("-h")
            .arg(&self.home);
        if follow {
            command.arg("-R");
        }
        ensure!(command.status().await?.success(), "pg_basebackup failed");
        Ok(())
    }

    /// Takes a backup that is not started before [`Cluster::restore`].
    pub async fn put_by(&self, parent: &Path, name: &str) -> Result<PathBuf> {
        let home = parent.join(name);
        self.tools.own_folder(&home)?;
        self.backup(&home, false).await?;
        Ok(home)
    }

    /// Starts what was put by, as an operator does who restores a backup: by
    /// archive recovery, to the end of what there is, on a new timeline.
    pub async fn restore(tools: &Tools, home: PathBuf) -> Result<Self> {
        // A file of the account's own: the server reads it as that user.
        std::fs::write(home.join("data/recovery.signal"), "")?;
        let restored = Self::on(tools, home, &["restore_command=false"]).await?;
        restored.takes_writes().await?;
        Ok(restored)
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) -> Result<()> {
        let begun = tokio::time::Instant::now();
        loop {
            let log = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.home.with_extension("log"))?;
            let mut command = Command::from(self.tools.command("postgres", &self.home));
            command
                .args(["-D", "data"])
                .stderr(log.try_clone()?)
                .stdout(log);
            for setting in &self.settings {
                command.arg("-c").arg(setting);
            }
            let socket = format!("unix_socket_directories={}", self.home.display());
            let mut child = command.arg("-c").arg(socket).kill_on_drop(true).spawn()?;
            stop_with_us(child.id().context("it has ended")?)?;
            loop {
                if self.answers().await {
                    self.child = Some(child);
                    return Ok(());
                }
                ensure!(
                    begun.elapsed() < START,
                    "PostgreSQL does not start: {}",
                    self.log()
                );
                tokio::select! {
                    // What was killed may still hold its shared memory.
                    _ = child.wait() => break,
                    () = moments(1) => {}
                }
            }
            moments(2).await;
        }
    }

    async fn answers(&self) -> bool {
        let Ok(pool) = self.pool("postgres", 1) else {
            return false;
        };
        let asked = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&pool);
        let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
        pool.close().await;
        matches!(answer, Ok(Ok(1)))
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.home.with_extension("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        lines.join(" | ")
    }

    /// `kill -9` of the server's first process. The others end when they see it.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Stops it so that nothing has to be recovered.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw).context("it has ended")?;
        kill_process(pid, Signal::INT)?;
        child.wait().await?;
        Ok(())
    }

    /// Makes a standby the primary, and waits until it takes writes.
    pub async fn promote(&self) -> Result<()> {
        let pool = self.pool("postgres", 1)?;
        sqlx::query("SELECT pg_promote()").execute(&pool).await?;
        self.takes_writes().await
    }

    /// Waits until nothing is left to recover. Before that it answers, and only reads.
    async fn takes_writes(&self) -> Result<()> {
        let pool = self.pool("postgres", 1)?;
        until("a server that takes writes", START, || async {
            let asked = sqlx::query_scalar("SELECT NOT pg_is_in_recovery()");
            Ok(asked.fetch_one(&pool).await.unwrap_or(false))
        })
        .await
    }

    /// Its version.
    pub async fn version(&self) -> Result<String> {
        let pool = self.pool("postgres", 1)?;
        Ok(sqlx::query_scalar("SHOW server_version")
            .fetch_one(&pool)
            .await?)
    }

    /// How to reach a database of it, as superuser.
    pub fn connect(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.home)
            .port(5432)
            .username("postgres")
            .database(database)
    }

    /// The same, ready to use.
    pub fn pool(&self, database: &str, most: u32) -> Result<PgPool> {
        Ok(PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(START)
            .connect_lazy_with(self.connect(database)))
    }

    /// The same for another program.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@localhost:5432/{database}?host={}",
            self.home.display()
        )
    }

    /// Where its socket is.
    pub fn socket(&self) -> PathBuf {
        self.home.join(".s.PGSQL.5432")
    }
}

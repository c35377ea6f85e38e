//! One offpeak to be tormented: a database, a stand-in, and processes of the
//! real binary that are started, killed and started again.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use offpeak_standin::{Script, Standin};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgPool;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ground::Ground;
use crate::wait::{InVain, moments, until};

/// Until a process says that it works. A database that says nothing holds it up for
/// as long as a statement may take, maybe twice.
const START: Duration = Duration::from_mins(4);

/// How long a create is looked for, in [`SCALED`] …
const SETTLE: &str = "6s";
/// … and as a time.
pub const SETTLE_TIME: Duration = Duration::from_secs(6);

/// Times as short as the stand-in allows. What matters is their order, which is
/// that of the defaults: a lease is longer than a look, a settle time longer
/// than a send and a lease together would be if the machine were not shared.
pub const SCALED: &[(&str, &str)] = &[
    ("OFFPEAK_BATCH_MAX_ITEMS", "4"),
    ("OFFPEAK_BATCH_FLUSH_AFTER", "400ms"),
    ("OFFPEAK_BATCH_IDLE_AFTER", "100ms"),
    ("OFFPEAK_BATCH_FIRST_POLL", "150ms"),
    ("OFFPEAK_BATCH_POLL_EVERY", "200ms"),
    ("OFFPEAK_DIRECT_CALL_WITHIN", "3s"),
    ("OFFPEAK_RELIABILITY_LEASE", "2s"),
    ("OFFPEAK_RELIABILITY_IDLE", "200ms"),
    ("OFFPEAK_RELIABILITY_SEND_WITHIN", "3s"),
    ("OFFPEAK_RELIABILITY_SETTLE_TIME", SETTLE),
    ("OFFPEAK_RELIABILITY_LIST_EVERY", "200ms"),
    ("OFFPEAK_RELIABILITY_LIST_OFTEN_FOR", "10s"),
    ("OFFPEAK_RELIABILITY_LIST_LATER", "400ms"),
    ("OFFPEAK_RELIABILITY_SWEEP_EVERY", "500ms"),
    ("OFFPEAK_RELIABILITY_DEDICATED_WORKSPACE", "true"),
    ("OFFPEAK_DATABASE_MAX_CONNECTIONS", "6"),
    ("OFFPEAK_LIMITS_REQUESTS_PER_SECOND", "0"),
    ("OFFPEAK_LIMITS_JOBS_PER_SECOND", "0"),
];

/// The work has not come to its end in time. Whatever else goes wrong while a
/// scenario is played is the harness's own affair.
#[derive(Debug)]
pub struct Unrest(pub String);

impl fmt::Display for Unrest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unrest {}

/// The same of a wait that was for the work's end.
pub fn unrest(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<InVain>() {
        Ok(in_vain) => Unrest(in_vain.to_string()).into(),
        Err(error) => error,
    }
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Answers clients.
    Api,
    /// Sends and reads.
    Worker,
    /// Both.
    All,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::All => "all",
        }
    }
}

/// The stage of a scenario.
#[derive(Debug)]
pub struct World {
    /// Below which everything of it lies.
    pub home: PathBuf,
    /// As superuser, to judge.
    pub root: PgPool,
    /// Anthropic's stand-in.
    pub standin: Standin,
    /// Where that listens.
    pub standin_url: String,
    /// A tenant's API key.
    pub key: String,
    /// For a client of the API.
    pub http: reqwest::Client,
    /// Whether the way to the database breaks, so that a process may end while it
    /// starts, and is started again.
    pub unreliable: bool,
    binary: PathBuf,
    settings: Vec<(String, String)>,
    started: AtomicU32,
    _serving: DropGuard,
}

impl World {
    /// A fresh database of the ground's own cluster, and a stand-in with this script.
    pub async fn new(ground: &Ground, script: &str) -> Result<Self> {
        let (name, root) = ground.database().await?;
        Self::on(ground, &ground.url(&name), root, script).await
    }

    /// The same on a database of somebody else's.
    pub async fn on(ground: &Ground, url: &str, root: PgPool, script: &str) -> Result<Self> {
        let home = ground.folder()?;
        let standin = Standin::open(offpeak_standin::Options {
            turnaround: Duration::from_millis(50)..Duration::from_millis(200),
            script: Some(Script::parse(script)?),
            ..offpeak_standin::Options::new(home.join("standin"))
        })?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let standin_url = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        tokio::spawn(
            standin
                .clone()
                .serve(listener, stop.clone().cancelled_owned()),
        );
        let mut settings: Vec<(String, String)> = SCALED
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in [
            ("DATABASE_URL", url),
            ("ANTHROPIC_BASE_URL", &standin_url),
            ("ANTHROPIC_API_KEY", "sk-ant-torture"),
            ("OFFPEAK_SERVER_LISTEN", "127.0.0.1:0"),
            ("OFFPEAK_LOG_LEVEL", "info,sqlx_core=error"),
            ("NO_PROXY", "127.0.0.1"),
        ] {
            settings.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self {
            key: ground.key.clone(),
            http: ground.http.clone(),
            unreliable: false,
            binary: ground.binary.clone(),
            root,
            standin,
            standin_url,
            settings,
            started: AtomicU32::new(0),
            home,
            _serving: stop.drop_guard(),
        })
    }

    /// Sets, or changes, what processes that are started from now on are told.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Takes the times of [`SCALED`] away: the program's own defaults count.
    pub fn with_default_times(&mut self) {
        self.settings
            .retain(|(name, _)| !name.starts_with("OFFPEAK_RELIABILITY_"));
    }

    /// Starts a process. It may have ended when it was to die while starting.
    pub async fn start(&self, role: Role, orders: &[(&str, &str)]) -> Result<Program> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{number}-{}", role.word());
        let log = self.home.join(format!("{name}.log"));
        let trace = self.home.join(format!("{name}.point"));
        let file = std::fs::File::create(&log)?;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--role", role.word()])
            .current_dir(&self.home)
            .env_clear()
            .env("TORTURE_TRACE", &trace)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true);
        for (name, value) in &self.settings {
            command.env(name, value);
        }
        for (name, value) in orders {
            command.env(name, value);
        }
        let mut program = Program {
            child: command.spawn()?,
            url: String::new(),
            role,
            log,
            trace,
        };
        program.ready().await?;
        Ok(program)
    }

    /// The same, again and again while the database is just coming back: what ended
    /// while it started is started once more, as a supervisor would.
    pub async fn start_anew(&self, role: Role, orders: &[(&str, &str)]) -> Result<Program> {
        let begun = Instant::now();
        loop {
            let mut program = self.start(role, orders).await?;
            if !program.has_ended()? {
                return Ok(program);
            }
            ensure!(begun.elapsed() < START, "a process ends whenever it starts");
            moments(4).await;
        }
    }

    /// Runs a command of the binary to its end; gives its exit code and output.
    pub async fn run(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.home).env_clear();
        for (name, value) in &self.settings {
            command.env(name, value);
        }
        let output = command.kill_on_drop(true).output().await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Ok((output.status.code(), said));
        }
        Ok((output.status.code(), text))
    }

    /// One number, as superuser.
    pub async fn number(&self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&self.root).await?)
    }

    /// Waits until a worker may send: it has started here once.
    pub async fn begun(&self, longest: Duration) -> Result<()> {
        until("a worker's first start", longest, || async {
            let begun = "SELECT count(*) FROM offpeak.comparison WHERE incarnation IS NOT NULL";
            Ok(self.number(begun).await? > 0)
        })
        .await
    }

    /// Waits until nothing is left to be done: every job has ended, every batch
    /// is closed, every count is folded, every twin is read. Fails by [`Unrest`].
    pub async fn at_rest(&self, longest: Duration) -> Result<()> {
        const OPEN: &str = "
            SELECT (SELECT count(*) FROM offpeak.ready) + (SELECT count(*) FROM offpeak.inflight)
                 + (SELECT count(*) FROM offpeak.delta) + (SELECT count(*) FROM offpeak.event_in)
                 + (SELECT count(*) FROM offpeak.twin WHERE read_at IS NULL)
                 + (SELECT count(*) FROM offpeak.batch
                     WHERE state NOT IN ('ingested', 'refuted', 'rejected')
                        OR (state IN ('refuted', 'rejected') AND freed_at IS NULL))";
        let rest = until("everything at rest", longest, || async {
            Ok(self.number(OPEN).await.unwrap_or(1) == 0)
        });
        if rest.await.is_ok() {
            return Ok(());
        }
        let batches: Vec<String> = sqlx::query_scalar(
            "SELECT state || ' × ' || count(*) || coalesce(': ' || min(last_error), '')
               FROM offpeak.batch GROUP BY state ORDER BY state",
        )
        .fetch_all(&self.root)
        .await?;
        Err(Unrest(format!(
            "not at rest after {} s: ready {}, in flight {}, batches {batches:?}",
            longest.as_secs(),
            self.number("SELECT count(*) FROM offpeak.ready").await?,
            self.number("SELECT count(*) FROM offpeak.inflight").await?,
        ))
        .into())
    }
}

/// A process of the binary.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where its API listens; empty without one.
    pub url: String,
    /// What it does.
    pub role: Role,
    log: PathBuf,
    trace: PathBuf,
}

impl Program {
    async fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some((_, url)) = said.split_once("offpeak listens on ") {
                let url = url.lines().next().unwrap_or_default();
                url.trim().clone_into(&mut self.url);
                return Ok(());
            }
            if said.contains("offpeak's worker runs") || self.has_ended()? {
                return Ok(());
            }
            ensure!(begun.elapsed() < START, "a process does not start: {said}");
            moments(1).await;
        }
    }

    /// Whether it is gone.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it is gone. Gives the crash point at which it was killed, if it
    /// was.
    pub async fn ended(&mut self) -> Result<Option<String>> {
        let status = self.child.wait().await?;
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        Ok(killed.then(|| self.last_point()))
    }

    /// `kill -9`. Gives the last crash point that it passed.
    pub async fn kill(&mut self) -> Result<String> {
        self.child.kill().await?;
        Ok(self.last_point())
    }

    /// The crash point that it passed last.
    pub fn last_point(&self) -> String {
        let text = std::fs::read_to_string(&self.trace).unwrap_or_default();
        text.trim().to_owned()
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        tokio::time::timeout(START, self.child.wait())
            .await
            .context("a process does not end")??;
        Ok(())
    }

    /// Sends it a signal; one that is gone gets none.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            kill_process(pid, signal)?;
        }
        Ok(())
    }

    /// Whether the system has stopped it.
    pub fn is_stopped(&self) -> bool {
        let pid = self.child.id().unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// What it wrote.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTLE, SETTLE_TIME};

    #[test]
    fn the_settle_time_is_said_once() {
        assert_eq!(SETTLE, format!("{}s", SETTLE_TIME.as_secs()));
    }
}

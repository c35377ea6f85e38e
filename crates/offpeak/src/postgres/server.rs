//! The running server: started or adopted, and stopped.
//!
//! It is never ours alone to judge: what runs is read from `postmaster.pid` and
//! from the process table at each start. If this process dies between starting
//! a server and noting it, the server's own file still tells.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::cluster::{Cluster, DATABASE, last_lines};
use super::pidfile::{self, Found, PidFile};
use super::{Error, Options, io_error};
use crate::folder::Folder;

/// Between two looks at the server's file: it tells readiness in no other way.
const LOOK: Duration = Duration::from_millis(20);
/// Recovery after a crash may read a lot of log.
const START_SECONDS: u64 = 120;
const STOP_SECONDS: u64 = 30;
/// Ports taken between our look and the server's, or memory still in use.
const TRIES: u32 = 20;
/// The log is put aside when it is longer.
const LOG_BYTES: u64 = 10_000_000;

/// A private server that answers. Dropped without [`Postgres::stop`] it goes
/// on running, and the next start adopts it.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    file: PidFile,
    child: Option<Child>,
}

/// How an attempt to start ended short of a server.
enum Miss {
    /// Try again: another port, or the last server's processes have to end first.
    Again(String),
    Fatal(Error),
}

impl Postgres {
    /// Sets the cluster up if need be and brings its server up, or adopts the
    /// one that is running. `say` gets a line where a person should know.
    pub async fn start(
        folder: &Folder,
        options: &Options,
        rng: &mut (impl rand::CryptoRng + Send),
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, Error> {
        let cluster = Cluster::ready(folder, options, rng, say).await?;
        let mut why = String::new();
        for _ in 0..TRIES {
            match pidfile::look(&cluster.path) {
                Found::Running(file) if file.stopping => {
                    gone(&file, &cluster, STOP_SECONDS).await?;
                }
                Found::Running(_) => {
                    let file = answering(&cluster).await?;
                    let server = Self {
                        cluster: cluster.clone(),
                        file,
                        child: None,
                    };
                    if server.socket_file().exists() {
                        say(&format!(
                            "adopted PostgreSQL, still running as process {}",
                            server.pid()
                        ));
                        return Ok(server);
                    }
                    // Its socket was swept away by somebody who tidies /tmp.
                    server.stop().await?;
                }
                Found::Borrowed => {
                    pidfile::disown(&cluster.path)
                        .map_err(io_error("cannot write", &cluster.path))?;
                    match launch(&cluster).await {
                        Ok(server) => return Ok(server),
                        Err(Miss::Again(output)) => why = output,
                        Err(Miss::Fatal(error)) => return Err(error),
                    }
                }
                Found::Nothing => match launch(&cluster).await {
                    Ok(server) => return Ok(server),
                    Err(Miss::Again(output)) => why = output,
                    Err(Miss::Fatal(error)) => return Err(error),
                },
            }
        }
        Err(Error::Failed {
            what: "starting PostgreSQL",
            output: why,
        })
    }

    /// The database's URL over the private socket.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// As [`Postgres::url`], for another database of the cluster.
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://postgres@localhost:{}/{database}?host={}",
            self.file.port,
            escape(&self.file.socket)
        )
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.file.pid
    }

    /// Whether it was running already.
    pub fn is_adopted(&self) -> bool {
        self.child.is_none()
    }

    /// The folder of the cluster.
    pub fn cluster(&self) -> &Path {
        &self.cluster.path
    }

    /// Waits until it has ended, which it does not by itself. One that was
    /// adopted is no child, and is looked for each second.
    pub async fn ended(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.wait().await;
            return;
        }
        let mut looks = interval(Duration::from_secs(1));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while pidfile::is_server_of(self.file.pid, &self.cluster.path) {
            looks.tick().await;
        }
    }

    /// Stops it: open transactions are rolled back, and it is gone on return.
    pub async fn stop(mut self) -> Result<(), Error> {
        let pid = pidfile::to_pid(self.file.pid);
        for (signal, seconds) in [(Signal::INT, STOP_SECONDS), (Signal::QUIT, 5)] {
            // Its number may be another's by now only if it is gone.
            if let Some(pid) = pid
                && pidfile::is_server_of(self.file.pid, &self.cluster.path)
            {
                let _ = kill_process(pid, signal);
            }
            let ended = match &mut self.child {
                Some(child) => tokio::time::timeout(Duration::from_secs(seconds), child.wait())
                    .await
                    .is_ok(),
                None => gone(&self.file, &self.cluster, seconds).await.is_ok(),
            };
            if ended {
                return Ok(());
            }
        }
        Err(slow(&self.file, &self.cluster, "stop", STOP_SECONDS))
    }

    fn socket_file(&self) -> PathBuf {
        self.file
            .socket
            .join(format!(".s.PGSQL.{}", self.file.port))
    }
}

/// Starts a server on a free port and waits until it answers.
async fn launch(cluster: &Cluster) -> Result<Postgres, Miss> {
    let fatal = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |cause| Miss::Fatal(io_error(what, &path)(cause))
    };
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(fatal("cannot listen for", &cluster.path))?
        .port();
    let mut log = open_log(&cluster.log).map_err(fatal("cannot write", &cluster.log))?;
    let log_start = log
        .seek(SeekFrom::End(0))
        .map_err(fatal("cannot read", &cluster.log))?;
    let out = log
        .try_clone()
        .map_err(fatal("cannot write", &cluster.log))?;
    let err = log
        .try_clone()
        .map_err(fatal("cannot write", &cluster.log))?;

    let program = cluster.programs.postgres();
    let mut command = cluster.account.command(&program, &cluster.path);
    command.arg("-D").arg(&cluster.path).stdout(out).stderr(err);
    for setting in settings(cluster, port) {
        command.arg("-c").arg(setting);
    }
    let mut child = Command::from(command)
        .spawn()
        .map_err(fatal("cannot start", &program))?;

    let mut ticks = ticks();
    for _ in 0..looks(START_SECONDS) {
        if let Found::Running(file) = pidfile::look(&cluster.path)
            && file.ready
            && Some(file.pid) == child.id()
        {
            return Ok(Postgres {
                cluster: cluster.clone(),
                file,
                child: Some(child),
            });
        }
        tokio::select! {
            _ = child.wait() => {
                let output = said_since(&mut log, log_start);
                let passes = ["shared memory block", "could not bind", "could not create any TCP/IP"];
                let again = passes.iter().any(|sign| output.contains(sign));
                if again {
                    // The last server's processes end within moments of its death.
                    ticks.tick().await;
                    ticks.tick().await;
                    return Err(Miss::Again(output));
                }
                return Err(Miss::Fatal(Error::Failed { what: "starting PostgreSQL", output }));
            }
            _ = ticks.tick() => {}
        }
    }
    Err(Miss::Fatal(Error::Slow {
        pid: child.id().unwrap_or(0),
        what: "start",
        seconds: START_SECONDS,
        log: cluster.log.clone(),
    }))
}

fn settings(cluster: &Cluster, port: u16) -> Vec<String> {
    let socket = cluster.socket.to_string_lossy().replace('"', "\"\"");
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories=\"{socket}\""),
        "unix_socket_permissions=0700".to_owned(),
        "password_encryption=scram-sha-256".to_owned(),
        "cluster_name=offpeak".to_owned(),
        "max_connections=200".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        // Errors of statements are ours to report, and their text may hold data.
        "log_min_error_statement=panic".to_owned(),
        "log_error_verbosity=terse".to_owned(),
        // Nobody replicates a private cluster.
        "wal_level=minimal".to_owned(),
        "max_wal_senders=0".to_owned(),
        "jit=off".to_owned(),
    ];
    if !cluster.durable {
        settings.extend(
            [
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
            ]
            .map(str::to_owned),
        );
    }
    settings
}

/// Waits until the server that runs says that it is ready.
async fn answering(cluster: &Cluster) -> Result<PidFile, Error> {
    let mut ticks = ticks();
    let mut last = None;
    for _ in 0..looks(START_SECONDS) {
        match pidfile::look(&cluster.path) {
            Found::Running(file) if file.ready => return Ok(file),
            Found::Running(file) => last = Some(file),
            Found::Nothing | Found::Borrowed => {
                return Err(Error::Failed {
                    what: "the PostgreSQL that was starting here",
                    output: format!("it ended; its log is {}", cluster.log.display()),
                });
            }
        }
        ticks.tick().await;
    }
    let pid = last.map_or(0, |file| file.pid);
    Err(Error::Slow {
        pid,
        what: "start",
        seconds: START_SECONDS,
        log: cluster.log.clone(),
    })
}

/// Waits until a server that is not our child is no more.
async fn gone(file: &PidFile, cluster: &Cluster, seconds: u64) -> Result<(), Error> {
    let mut ticks = ticks();
    for _ in 0..looks(seconds) {
        if !pidfile::is_server_of(file.pid, &cluster.path) {
            return Ok(());
        }
        ticks.tick().await;
    }
    Err(slow(file, cluster, "stop", seconds))
}

fn slow(file: &PidFile, cluster: &Cluster, what: &'static str, seconds: u64) -> Error {
    Error::Slow {
        pid: file.pid,
        what,
        seconds,
        log: cluster.log.clone(),
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn looks(seconds: u64) -> u64 {
    seconds * 1000 / 20
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if path.metadata().is_ok_and(|log| log.len() > LOG_BYTES) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(path)
}

fn said_since(log: &mut File, start: u64) -> String {
    let mut text = Vec::new();
    let _ = log
        .seek(SeekFrom::Start(start))
        .and_then(|_| log.read_to_end(&mut text));
    last_lines(&String::from_utf8_lossy(&text), 10)
}

/// A path as the value of a URL's query.
fn escape(path: &Path) -> String {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_query_may_not_hold() {
        assert_eq!(escape(Path::new("/a b/ü&c")), "/a%20b/%C3%BC%26c");
    }
}

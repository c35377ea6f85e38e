//! One PostgreSQL for a whole test run, one database for each test.
//!
//! The cluster lives in the build folder and is kept for the next run. It is
//! stopped when this process ends, however it ends: a small helper holds the
//! other end of a pipe and stops the server when the pipe closes.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use offpeak::folder::Folder;
use offpeak::postgres::{self, Postgres};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// Test runs that may go on at the same time, each with a cluster of its own.
const CLUSTERS: usize = 8;
/// The database that every other one is copied from.
const TEMPLATE: &str = "offpeak_template";

static CLUSTER: OnceLock<std::result::Result<Cluster, String>> = OnceLock::new();
static NEXT: AtomicU32 = AtomicU32::new(0);

struct Cluster {
    /// As its superuser, without the database's name.
    base: PgConnectOptions,
    /// Held for as long as the process lives.
    _folder: Folder,
}

/// A fresh database with the present schema.
pub async fn fresh() -> Result<PgConnectOptions> {
    // Started on a thread of its own: the first test to come must not keep the
    // server inside its own runtime.
    let cluster = tokio::task::spawn_blocking(|| {
        CLUSTER.get_or_init(|| start().map_err(|error| format!("{error:#}")))
    })
    .await?;
    let cluster = match cluster {
        Ok(cluster) => cluster,
        Err(error) => bail!("no PostgreSQL for the tests: {error}"),
    };
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut admin = cluster.base.clone().database("postgres").connect().await?;
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await?;
    }
    admin.close().await?;
    Ok(cluster.base.clone().database(&name))
}

/// Where test data may be kept between runs: beside the build's own output.
pub fn scratch() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // Cargo's `CACHEDIR.TAG` would say it too, but is missing where something
    // else made the folder first.
    let profile = exe
        .ancestors()
        .find(|folder| folder.ends_with("deps"))
        .and_then(Path::parent);
    let target = profile
        .and_then(Path::parent)
        .context("the test does not run from a build folder")?;
    Ok(target.join("testkit"))
}

fn start() -> Result<Cluster> {
    let folder = take(&scratch()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::spawn(move || -> Result<(PgConnectOptions, Folder)> {
        runtime.block_on(async {
            let base = run(&folder).await?;
            migrated(&base, TEMPLATE).await?;
            Ok((base, folder))
        })
    });
    match thread.join() {
        Ok(started) => {
            let (base, folder) = started?;
            Ok(Cluster {
                base,
                _folder: folder,
            })
        }
        Err(_) => bail!("the thread that starts PostgreSQL broke"),
    }
}

/// The first cluster that no other test run holds.
fn take(scratch: &Path) -> Result<Folder> {
    let mut refused = None;
    for number in 0..CLUSTERS {
        match Folder::take(&scratch.join(format!("pg-{number}"))) {
            Ok(folder) => return Ok(folder),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) => Err(error.into()),
        None => bail!("no cluster to take"),
    }
}

/// A server that ends with this process. Gives how to reach it as its superuser.
async fn run(folder: &Folder) -> Result<PgConnectOptions> {
    #[expect(clippy::disallowed_methods, reason = "a test run has no configuration")]
    let search = std::env::var_os("PATH").unwrap_or_default();
    let options = postgres::Options {
        programs: None,
        search,
        durable: false,
    };
    let mut rng = StdRng::seed_from_u64(1);
    let server = Postgres::start(folder, &options, &mut rng, &|_| {}).await?;
    stop_with_us(server.pid())?;
    Ok(server.url().parse()?)
}

/// Makes a database and migrates it, anew, so that a changed migration is never missed.
async fn migrated(base: &PgConnectOptions, name: &str) -> Result<()> {
    let mut admin = base.clone().database("postgres").connect().await?;
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await?;
    }
    admin.close().await?;
    offpeak_store::migrate(&base.clone().database(name)).await?;
    Ok(())
}

/// A server of one test's own with a migrated database, for tests that change roles:
/// those belong to all databases of a server.
#[derive(Debug)]
pub struct Alone {
    /// Of its superuser, for a command.
    pub url: String,
    connect: PgConnectOptions,
    _folder: Folder,
}

impl Alone {
    /// In this folder, which outlives it.
    pub async fn new(folder: &Path) -> Result<Self> {
        let folder = Folder::take(folder)?;
        let base = run(&folder).await?;
        migrated(&base, "offpeak").await?;
        let socket = base.get_socket().context("a socket")?;
        let url = format!(
            "postgres://{}@localhost:{}/offpeak?host={}",
            base.get_username(),
            base.get_port(),
            socket.display().to_string().replace('/', "%2F")
        );
        let connect = base.database("offpeak");
        Ok(Self {
            url,
            connect,
            _folder: folder,
        })
    }

    /// Runs statements as its superuser.
    pub async fn meddle(&self, sql: &'static str) -> Result<()> {
        let mut root = self.connect.connect().await?;
        sqlx::raw_sql(sql).execute(&mut root).await?;
        Ok(root.close().await?)
    }
}

/// Leaves a helper that stops a server as soon as this process is gone, however
/// it ended: it holds the other end of a pipe.
pub fn stop_with_us(pid: u32) -> Result<()> {
    let helper = Command::new("sh")
        .args(["-c", "read -r _; kill -INT \"$0\"", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C is for the tests: the helper has to outlive them.
        .process_group(0)
        .spawn()?;
    // Dropping the handle would close the pipe; it is to stay open to the end.
    std::mem::forget(helper);
    Ok(())
}

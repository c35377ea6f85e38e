//! A private PostgreSQL with all its safety on, and what it spends.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use offpeak::folder::{self, Folder};
use offpeak::postgres::{Options, Postgres};
use offpeak::{entropy, seed};
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::id::TenantId;
use offpeak_store::{System, Tenants};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::ending::Bound;

/// Gigabytes of free disk without which no bench begins.
const LEAST: u64 = 4;
/// What the kernel counts CPU time in, for whoever reads `/proc`.
const TICKS_A_SECOND: f64 = 100.0;

/// Where benches keep their data: beside the build's output.
pub fn folder() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe
        .ancestors()
        .find(|folder| folder.ends_with("release") || folder.ends_with("debug"))
        .and_then(Path::parent)
        .context("the bench does not run from a build folder")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Bytes that are free where benches keep their data.
pub fn free_disk() -> Result<u64> {
    let stat = rustix::fs::statvfs(&folder()?)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Refuses to begin with less free disk than that.
pub fn need_disk(gigabytes: u64) -> Result<()> {
    let free = free_disk()? >> 30;
    ensure!(
        free >= gigabytes,
        "this bench needs {gigabytes} GB of free disk; {} has {free} GB",
        folder()?.display()
    );
    Ok(())
}

/// A running cluster. It ends with this.
#[derive(Debug)]
pub struct Cluster {
    server: Postgres,
    _bound: Bound,
    _folder: Folder,
}

impl Cluster {
    /// Starts the cluster of this name, set up if it is not there.
    pub async fn start(name: &str) -> Result<Self> {
        need_disk(LEAST)?;
        let path = folder()?.join(name);
        let folder = Folder::take(&path).map_err(|error| match error {
            folder::Error::Held { path, holder } => anyhow!(
                "another bench{} is running on {}: wait for it, or end it",
                holder.map_or_else(String::new, |pid| format!(" (process {pid})")),
                path.display()
            ),
            refused @ folder::Error::Refused { .. } => refused.into(),
        })?;
        let options = Options {
            programs: None,
            search: std::env::var_os("PATH").unwrap_or_default(),
            durable: true,
        };
        let mut rng = entropy::source()?;
        let say = |line: &str| crate::say(line);
        let server = Postgres::start(&folder, &options, &mut rng, &say).await?;
        Ok(Self {
            _bound: Bound::to(server.pid()),
            server,
            _folder: folder,
        })
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The cluster's own folder, for its size.
    pub fn path(&self) -> &Path {
        self.server.cluster()
    }

    /// A database of this name as an earlier run kept it, migrated since.
    pub async fn kept(&self, name: &str) -> Result<Database> {
        let url = self.server.url_of(name);
        let connect: PgConnectOptions = url.parse()?;
        offpeak_store::migrate(&connect).await?;
        Ok(Database::at(url, connect))
    }

    /// A database of this name, new and migrated.
    pub async fn fresh(&self, name: &str) -> Result<Database> {
        let base: PgConnectOptions = self.server.url_of("postgres").parse()?;
        let mut admin = base.connect().await?;
        for statement in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut admin)
                .await?;
        }
        admin.close().await?;
        let database = self.kept(name).await?;
        seed::job_types(&database.system).await?;
        Ok(database)
    }

    /// Seconds of CPU that all processes of the server have spent, those that
    /// ended included.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let server = i32::try_from(self.pid())?;
        let mut ticks = 0;
        for entry in Path::new("/proc").read_dir()? {
            let Some(pid) = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // It may have ended since: then its parent has its time.
            let Some(stat) = Stat::of(pid) else { continue };
            if pid == server {
                ticks += stat.own + stat.children;
            } else if stat.parent == server {
                ticks += stat.own;
            }
        }
        Ok(f64::from(u32::try_from(ticks)?) / TICKS_A_SECOND)
    }

    /// Stops the server.
    pub async fn stop(self) -> Result<()> {
        Ok(self.server.stop().await?)
    }
}

/// Seconds of CPU that a process has spent by itself.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = Stat::of(i32::try_from(pid)?).context("no such process")?;
    Ok(f64::from(u32::try_from(stat.own)?) / TICKS_A_SECOND)
}

/// What the kernel says of a process, times in clock ticks.
struct Stat {
    parent: i32,
    own: u64,
    children: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before may hold anything, blanks and parentheses too.
        let rest = text.rsplit_once(')')?.1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: number(11)? + number(12)?,
            children: number(13)? + number(14)?,
        })
    }
}

/// One database of the cluster.
#[derive(Clone, Debug)]
pub struct Database {
    /// For a process that connects by itself.
    pub url: String,
    /// The same, parsed.
    pub connect: PgConnectOptions,
    /// As superuser, with the product's schema in the path.
    pub root: PgPool,
    /// As the worker's role.
    pub system: System,
    /// As the API's role.
    pub tenants: Tenants,
}

impl Database {
    fn at(url: String, connect: PgConnectOptions) -> Self {
        let root = PgPoolOptions::new()
            .max_connections(4)
            .connect_lazy_with(connect.clone().options([("search_path", "offpeak")]));
        let store = offpeak_store::Options::new(connect.clone());
        Self {
            url,
            connect,
            root,
            system: System::new(&store),
            tenants: Tenants::new(&store),
        }
    }

    /// Runs statements as superuser.
    pub async fn run(&self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&self.root)
            .await
            .with_context(|| sql.to_owned())?;
        Ok(())
    }

    /// One number, as superuser.
    pub async fn number(&self, sql: &str) -> Result<f64> {
        let sql = format!("SELECT ({sql})::double precision");
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&self.root)
            .await?)
    }

    /// Bytes of WAL written since the cluster was made.
    pub async fn wal(&self) -> Result<f64> {
        self.number("pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
            .await
    }

    /// Row updates in the product's tables. Sessions report theirs a little
    /// late: ask after they are gone, or take them as a lower bound.
    pub async fn updates(&self) -> Result<f64> {
        self.number("SELECT coalesce(sum(n_tup_upd), 0) FROM pg_stat_user_tables")
            .await
    }

    /// Writes everything out, so that both sides of a ratio begin alike.
    pub async fn checkpoint(&self) -> Result<()> {
        self.run("CHECKPOINT").await
    }

    /// A new tenant with a key.
    pub async fn tenant(&self, name: &str) -> Result<(TenantId, ApiKey)> {
        let tenant = seed::new_tenant(&self.system, name)
            .await?
            .context("the tenant is there already")?;
        let (_, key) = seed::new_key(&self.system, tenant, "bench").await?;
        Ok((tenant, key))
    }

    /// Rows of a query as one stream in PostgreSQL's binary COPY format.
    pub async fn copy_out(&self, query: &str) -> Result<Vec<bytes::Bytes>> {
        use futures_util::TryStreamExt as _;
        let mut connection = self.root.acquire().await?;
        let stream = connection
            .copy_out_raw(&format!("COPY ({query}) TO STDOUT (FORMAT binary)"))
            .await?;
        // Rows come one by one: sent back so they would cost a message each.
        let mut pieces = Vec::new();
        let mut piece = bytes::BytesMut::new();
        let mut stream = std::pin::pin!(stream);
        while let Some(row) = stream.try_next().await? {
            piece.extend_from_slice(&row);
            if piece.len() > 1 << 16 {
                pieces.push(piece.split().freeze());
            }
        }
        pieces.push(piece.freeze());
        Ok(pieces)
    }

    /// Writes what [`Database::copy_out`] gave into these tables (with their
    /// columns), in one transaction; gives the seconds that it took.
    pub async fn copy_in(&self, tables: &[(&str, Vec<bytes::Bytes>)]) -> Result<f64> {
        let mut connection = self.root.acquire().await?;
        let begun = std::time::Instant::now();
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        for (table, pieces) in tables {
            let mut copy = connection
                .copy_in_raw(&format!("COPY {table} FROM STDIN (FORMAT binary)"))
                .await?;
            for piece in pieces {
                copy.send(&piece[..]).await?;
            }
            copy.finish().await?;
        }
        sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

//! What all scenarios of a run stand on: a folder, a cluster, a template that
//! every database is copied from, and the binary that is tormented.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use offpeak::postgres::{self, Tools};
use offpeak::seed;
use offpeak_store::System;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;
use tempfile::TempDir;

use crate::cluster::Cluster;

/// The database that every other one is copied from.
const TEMPLATE: &str = "template";

/// The common ground.
#[derive(Debug)]
pub struct Ground {
    /// The binary under torture.
    pub binary: PathBuf,
    /// The key of the tenant in every database.
    pub key: String,
    /// One client for all calls.
    pub http: reqwest::Client,
    /// PostgreSQL's programs.
    pub tools: Tools,
    /// What all chance follows from.
    pub seed: u64,
    cluster: Cluster,
    admin: PgPool,
    next: AtomicU32,
    home: TempDir,
}

impl Ground {
    /// Brings everything up.
    pub async fn new(binary: &Path, keep: bool, seed: u64) -> Result<Arc<Self>> {
        ensure!(
            binary.is_file(),
            "no {}: scripts/torture builds it",
            binary.display()
        );
        // Two users work in it: this one and PostgreSQL's.
        let mut home = tempfile::Builder::new()
            .prefix("offpeak-torture-")
            // A socket's path has to be short.
            .tempdir_in("/tmp")?;
        home.disable_cleanup(keep);
        if keep {
            crate::say(&format!("all of it stays in {}", home.path().display()));
        }
        let open = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(home.path(), open)?;
        let tools = tools()?;
        // Hundreds of small databases, each for moments.
        let cluster = Cluster::new(&tools, home.path(), "ground", &["autovacuum=off"]).await?;
        let key = prepare(&cluster, TEMPLATE).await?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Arc::new(Self {
            binary: binary.canonicalize()?,
            key,
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(20))
                .build()?,
            tools,
            seed,
            admin: cluster.pool("postgres", 1)?,
            cluster,
            next: AtomicU32::new(0),
            home,
        }))
    }

    /// The stand-in's in every world that says nothing else: the same in all, since
    /// what comes out of two of them is compared.
    pub fn world_seed(&self) -> u64 {
        world_seed(self.seed)
    }

    /// A folder of its own for one scenario.
    pub fn folder(&self) -> Result<PathBuf> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.home.path().join(format!("world-{number}"));
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// The same for a scenario with clusters of its own: PostgreSQL's user has to
    /// walk through it.
    pub fn open_folder(&self) -> Result<PathBuf> {
        let path = self.folder()?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711))?;
        Ok(path)
    }

    /// A fresh database with a tenant: its name, and a way to it as superuser.
    pub async fn database(&self) -> Result<(String, PgPool)> {
        let name = format!("world_{}", self.next.fetch_add(1, Ordering::Relaxed));
        let sql = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&self.admin)
            .await?;
        let root = self.cluster.pool(&name, 2)?;
        Ok((name, root))
    }

    /// A database's URL.
    pub fn url(&self, database: &str) -> String {
        self.cluster.url(database)
    }

    /// Where the cluster's socket is.
    pub fn socket(&self) -> PathBuf {
        self.cluster.socket()
    }

    /// PostgreSQL's version.
    pub async fn postgres_version(&self) -> Result<String> {
        self.cluster.version().await
    }

    /// Ends the cluster.
    pub async fn end(self: Arc<Self>) -> Result<()> {
        self.admin.close().await;
        let mut ground = Arc::into_inner(self).context("a scenario is still under way")?;
        ground.cluster.stop().await
    }
}

/// The seed of most worlds.
pub fn world_seed(seed: u64) -> u64 {
    seed + 6
}

/// A new database with the schema, the job types and a tenant. Gives its key.
pub async fn prepare(cluster: &Cluster, name: &str) -> Result<String> {
    let admin = cluster.pool("postgres", 1)?;
    let sql = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&admin).await?;
    admin.close().await;
    let connect = cluster.connect(name);
    offpeak_store::migrate(&connect).await?;
    let system = System::new(&offpeak_store::Options::new(connect));
    seed::job_types(&system).await?;
    let tenant = seed::new_tenant(&system, "torture").await?;
    let tenant = tenant.context("the tenant is there already")?;
    let (_, key) = seed::new_key(&system, tenant, "torture").await?;
    system.close().await;
    Ok(key.expose().to_owned())
}

fn tools() -> Result<Tools> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness has no configuration"
    )]
    let search = std::env::var_os("PATH").unwrap_or_default();
    Ok(Tools::find(&postgres::Options {
        programs: None,
        search,
        durable: false,
    })?)
}

//! What a process says about itself when it answers no clients.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use offpeak_testkit::world::{MASTER, World};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use crate::cli::offpeak;

async fn get(url: &str) -> Result<(u16, String)> {
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(url)
        .send()
        .await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test]
async fn health_and_metrics_stand_alone() -> Result<()> {
    let world = World::new().await?;
    let registry = Arc::new(Mutex::new(Registry::default()));
    let seen = Counter::<u64>::default();
    seen.inc_by(7);
    registry
        .lock()
        .map_err(|_| anyhow::anyhow!("poisoned"))?
        .register("seen", "Things seen", seen);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let router = offpeak_api::observe_router(world.tenants.clone(), registry);
    tokio::spawn(offpeak_api::serve(
        listener,
        router,
        offpeak_api::Patience::default(),
        stop.clone(),
    ));
    let _stop = stop.drop_guard();

    assert_eq!(get(&format!("{url}/healthz")).await?.0, 200);
    assert_eq!(get(&format!("{url}/readyz")).await?.0, 200);
    let (status, metrics) = get(&format!("{url}/metrics")).await?;
    assert!(
        status == 200 && metrics.contains("seen_total 7"),
        "{metrics}"
    );
    let (status, problem) = get(&format!("{url}/v1/jobs")).await?;
    assert!(
        status == 404 && problem.contains(r#""code":"no_route""#),
        "{problem}"
    );
    Ok(())
}

/// The world's database as a command takes it.
pub(crate) fn database_url(world: &World) -> Result<String> {
    let database = world.root.connect_options();
    let socket = database.get_socket().context("a socket")?;
    Ok(format!(
        "postgres://{}@localhost:{}/{}?host={}",
        database.get_username(),
        database.get_port(),
        database.get_database().context("a database")?,
        socket.display().to_string().replace('/', "%2F")
    ))
}

/// A worker that is watched at this address, and what it says until it runs.
async fn worker(world: &World, folder: &Path, watched: &str) -> Result<(Child, String)> {
    let mut worker = offpeak(folder)
        .args(["serve", "--role", "worker"])
        .env("OFFPEAK_SERVER_METRICS_LISTEN", watched)
        .env("DATABASE_URL", database_url(world)?)
        .env("OFFPEAK_VAULT_KEYS", MASTER)
        .env("ANTHROPIC_API_KEY", "sk-ant-standin")
        .env("ANTHROPIC_BASE_URL", &world.standin_url)
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(worker.stderr.take().context("a pipe")?).lines();
    let mut said = String::new();
    loop {
        let line = lines.next_line().await?;
        let line = line.with_context(|| format!("it ended: {said}"))?;
        said.push_str(&line);
        if line.contains("worker runs") {
            return Ok((worker, said));
        }
    }
}

#[tokio::test]
async fn a_worker_shows_its_own_metrics() -> Result<()> {
    let world = World::new().await?;
    let folder = tempfile::tempdir()?;
    let (mut worker, said) = worker(&world, folder.path(), "127.0.0.1:0").await?;
    let (_, url) = said.split_once("are on ").context("an address")?;
    let (url, _) = url.split_once("offpeak's").context("what follows")?;
    assert!(get(&format!("{url}/healthz")).await?.1.contains("ok"));
    let (status, metrics) = get(&format!("{url}/metrics")).await?;
    assert!(
        status == 200 && metrics.contains("offpeak_") && !metrics.contains("offpeak_http"),
        "{metrics}"
    );
    assert_eq!(get(&format!("{url}/v1/jobs")).await?.0, 404);
    Ok(worker.kill().await?)
}

#[tokio::test]
async fn a_worker_runs_beside_whoever_has_its_address() -> Result<()> {
    let world = World::new().await?;
    let folder = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let address = taken.local_addr()?.to_string();
    let (mut worker, said) = worker(&world, folder.path(), &address).await?;
    assert!(
        said.contains(&format!("no /metrics here: cannot listen on {address}: ")),
        "{said}"
    );
    Ok(worker.kill().await?)
}

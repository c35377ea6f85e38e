//! The private PostgreSQL and `offpeak dev` on top of it, with real processes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use offpeak::folder::Folder;
use offpeak::postgres::{Options, Postgres};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::cli::offpeak;

#[expect(clippy::disallowed_methods, reason = "a test run has no configuration")]
fn options(durable: bool) -> Options {
    let search = std::env::var_os("PATH").unwrap_or_default();
    Options {
        programs: None,
        search,
        durable,
    }
}

/// One process's view: it takes the folder and starts or adopts a server.
pub(crate) async fn start(data: &Path) -> Result<(Folder, Postgres)> {
    start_with(data, options(false)).await
}

async fn start_with(data: &Path, options: Options) -> Result<(Folder, Postgres)> {
    let folder = Folder::take(data)?;
    let postgres =
        Postgres::start(&folder, &options, &mut StdRng::seed_from_u64(3), &|_| {}).await?;
    Ok((folder, postgres))
}

pub(crate) fn signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process")?;
    Ok(kill_process(pid, signal)?)
}

/// A folder that the server's user can walk to, as a home folder usually is.
pub(crate) fn scratch() -> Result<tempfile::TempDir> {
    let scratch = tempfile::tempdir_in("/tmp")?;
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(scratch)
}

async fn migrates(postgres: &Postgres) -> Result<usize> {
    Ok(offpeak_store::migrate(&postgres.url().parse()?)
        .await?
        .applied)
}

#[tokio::test]
async fn a_server_that_outlived_its_parent_is_adopted() -> Result<()> {
    let scratch = scratch()?;
    let (folder, first) = start(scratch.path()).await?;
    assert!(!first.is_adopted());
    assert!(migrates(&first).await? > 0);
    let pid = first.pid();
    // What `kill -9` of the parent comes to: nobody stops the server.
    drop((folder, first));

    let (folder, second) = start(scratch.path()).await?;
    assert!(second.is_adopted());
    assert_eq!(second.pid(), pid);
    assert_eq!(migrates(&second).await?, 0);
    second.stop().await?;
    drop(folder);

    let (_folder, third) = start(scratch.path()).await?;
    assert!(!third.is_adopted());
    assert_eq!(migrates(&third).await?, 0);
    third.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_killed_server_recovers() -> Result<()> {
    let scratch = scratch()?;
    let (folder, first) = start_with(scratch.path(), options(true)).await?;
    migrates(&first).await?;
    signal(first.pid(), Signal::KILL)?;
    drop((folder, first));
    let (_folder, second) = start_with(scratch.path(), options(true)).await?;
    assert!(!second.is_adopted());
    assert_eq!(migrates(&second).await?, 0);
    second.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_pid_file_whose_number_is_another_s_is_not_believed() -> Result<()> {
    let scratch = scratch()?;
    let (folder, first) = start(scratch.path()).await?;
    let file = first.cluster().join("postmaster.pid");
    let text = std::fs::read_to_string(&file)?;
    let pid = first.pid().to_string();
    first.stop().await?;
    drop(folder);
    // As after a power cut, when the number went to somebody else: to us.
    std::fs::write(
        &file,
        text.replacen(&pid, &std::process::id().to_string(), 1),
    )?;
    let (_folder, second) = start(scratch.path()).await?;
    assert!(!second.is_adopted());
    second.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_set_up_that_was_cut_short_is_repeated() -> Result<()> {
    let scratch = scratch()?;
    std::fs::create_dir_all(scratch.path().join("setup-1/cluster"))?;
    std::fs::write(scratch.path().join("setup-1/cluster/PG_VERSION"), "15\n")?;
    let (_folder, server) = start(scratch.path()).await?;
    assert!(!scratch.path().join("setup-1").exists());
    server.stop().await?;
    Ok(())
}

/// `offpeak dev` in a folder, and what it said of itself.
async fn dev(folder: &Path) -> Result<(Child, Value)> {
    let mut child = dev_command(folder).spawn()?;
    let mut said = Vec::new();
    let stdout = child.stdout.as_mut().context("a pipe")?;
    // The last thing that it says on stdout is the end of one JSON object.
    while !said.ends_with(b"}\n") {
        anyhow::ensure!(stdout.read_buf(&mut said).await? > 0, "dev ended early");
    }
    Ok((child, serde_json::from_slice(&said)?))
}

#[expect(clippy::disallowed_methods, reason = "a test run has no configuration")]
fn dev_command(folder: &Path) -> Command {
    let mut command = offpeak(folder);
    command
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("OFFPEAK_DEV_TURNAROUND_MIN", "10ms")
        .env("OFFPEAK_DEV_TURNAROUND_MAX", "20ms")
        .args(["--json", "dev", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn dev_needs_nothing_and_leaves_nothing_running() -> Result<()> {
    let scratch = scratch()?;
    std::fs::write(
        scratch.path().join("a.txt"),
        "A short document. It says little.",
    )?;
    let (mut child, first) = dev(scratch.path()).await?;

    let ran = offpeak(scratch.path())
        .args(["submit", "a.txt", "--type", "summarize", "--watch"])
        .output()
        .await?;
    let said = String::from_utf8(ran.stdout)?;
    assert_eq!(
        ran.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(said.contains("1 completed"), "{said}");

    // A second one on the same folder is told who has it.
    let refused = dev_command(scratch.path()).output().await?;
    let said = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains(&format!("(process {})", first["pid"])),
        "{said}"
    );

    let taken = first["url"]
        .as_str()
        .context("a URL")?
        .trim_start_matches("http://");
    let mut elsewhere = offpeak(scratch.path());
    let refused = elsewhere
        .args(["dev", "--data", "other", "--listen", taken])
        .output()
        .await?;
    let said = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("is taken by another program"), "{said}");

    signal(child.id().context("it runs")?, Signal::TERM)?;
    assert_eq!(child.wait().await?.code(), Some(0));
    assert!(!scratch.path().join(".offpeak/dev.json").exists());
    assert!(
        !scratch
            .path()
            .join(".offpeak/cluster/postmaster.pid")
            .exists()
    );
    Ok(())
}

#[tokio::test]
async fn dev_goes_on_after_kill_9() -> Result<()> {
    let scratch = scratch()?;
    let (mut child, first) = dev(scratch.path()).await?;
    child.kill().await?;
    let (mut child, second) = dev(scratch.path()).await?;
    assert_eq!(first["key"], second["key"], "the demo key is kept");
    assert_eq!(
        first["database_url"], second["database_url"],
        "the server was adopted"
    );
    signal(child.id().context("it runs")?, Signal::INT)?;
    assert_eq!(child.wait().await?.code(), Some(0));
    Ok(())
}

//! What an operator does who follows the README's production block: the real
//! program on a PostgreSQL that has never seen it, from the first migration to
//! a key that opens nothing any more.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use offpeak_domain::api_key::ApiKey;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::cli::{offpeak, shown};
use super::private;

/// The repository's own copy of a file.
fn committed(path: &str) -> Result<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    Ok(std::fs::read_to_string(Path::new(root).join(path))?)
}

/// The commands of the README's block that begins with a database's URL.
fn documented() -> Result<Vec<String>> {
    let readme = committed("README.md")?;
    let (_, block) = readme
        .split_once("$ export DATABASE_URL=")
        .context("the block")?;
    let (block, _) = block.split_once("```").context("the block's end")?;
    Ok(block
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .flat_map(|line| line.split('#').take(1).flat_map(|line| line.split("&&")))
        .map(|command| command.trim().to_owned())
        .collect())
}

/// A folder, and what stands in the operator's environment.
struct Operator<'a> {
    folder: &'a Path,
    database_url: &'a str,
    standin_url: String,
    /// Its own is made half way.
    key: Option<ApiKey>,
}

impl Operator<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = offpeak(self.folder);
        command
            .env("DATABASE_URL", self.database_url)
            .env("ANTHROPIC_API_KEY", "sk-ant-any")
            .env("ANTHROPIC_BASE_URL", &self.standin_url)
            .env("OFFPEAK_SERVER_LISTEN", "127.0.0.1:0")
            // Production's patience would be the test's.
            .env("OFFPEAK_LIVE_MAX_CONNECTIONS", "10")
            .env("OFFPEAK_BATCH_IDLE_AFTER", "100ms")
            .env("OFFPEAK_BATCH_FIRST_POLL", "100ms")
            .env("OFFPEAK_BATCH_POLL_EVERY", "100ms")
            .args(arguments);
        command
    }

    /// Runs a command to its end: all that can be seen of it, and its stdout.
    async fn run(&self, arguments: &[&str]) -> Result<(String, String)> {
        self.ran(self.command(arguments)).await
    }

    /// The same as a client of a server.
    async fn client(&self, url: &str, arguments: &[&str]) -> Result<(String, String)> {
        let mut command = offpeak(self.folder);
        let key = self.key.as_ref().context("no key yet")?;
        command
            .env("OFFPEAK_URL", url)
            .env("OFFPEAK_KEY", key.expose())
            .args(arguments);
        self.ran(command).await
    }

    async fn ran(&self, mut command: Command) -> Result<(String, String)> {
        let ran = command.output().await?;
        let mut seen = shown(&ran, &self.standin_url);
        if let Some(key) = &self.key {
            seen = seen.replace(key.expose(), "ofp_live_KEY");
            seen = seen.replace(&key.hint(), "HINT");
        }
        Ok((seen, String::from_utf8(ran.stdout)?))
    }

    /// `serve` and its address.
    async fn serve(&self) -> Result<(Child, String)> {
        let mut child = self
            .command(&["serve", "--role", "all"])
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("a pipe")?).lines();
        let mut before = String::new();
        while let Some(line) = lines.next_line().await? {
            if let Some((_, url)) = line.split_once("listens on ") {
                let url = url.to_owned();
                // Nobody must wait for the pipe to be emptied.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok((child, url));
            }
            before.push_str(&line);
            before.push('\n');
        }
        anyhow::bail!("serve ended: {before}")
    }
}

/// The stand-in as a process of its own, and its URL.
async fn standin(folder: &Path) -> Result<(Child, String)> {
    let mut child = offpeak(folder)
        .args(["--json", "standin", "--listen", "127.0.0.1:0"])
        .args(["--turnaround-min", "10ms", "--turnaround-max", "20ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut said = Vec::new();
    let stdout = child.stdout.as_mut().context("a pipe")?;
    while !said.ends_with(b"}\n") {
        anyhow::ensure!(stdout.read_buf(&mut said).await? > 0, "it ended early");
    }
    let said: Value = serde_json::from_slice(&said)?;
    Ok((child, said["url"].as_str().context("a URL")?.to_owned()))
}

#[test]
fn the_readme_s_production_block_is_what_is_walked() -> Result<()> {
    assert_eq!(
        documented()?,
        [
            "offpeak migrate",
            "offpeak tenant create acme",
            "offpeak key create acme",
            "offpeak serve",
            "offpeak doctor",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn the_production_block_works_on_a_new_database() -> Result<()> {
    let scratch = private::scratch()?;
    let (_folder, server) = private::start(&scratch.path().join("data")).await?;
    let url = server.url().clone();
    // In a task, so that the server is stopped whatever comes of it.
    let walked = tokio::spawn(async move { walk(&url).await }).await;
    server.stop().await?;
    walked?
}

async fn walk(database_url: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (_standin, standin_url) = standin(folder.path()).await?;
    let mut operator = Operator {
        folder: folder.path(),
        database_url,
        standin_url,
        key: None,
    };
    make(&mut operator).await?;
    look(&operator).await?;

    let (mut serve, url) = operator.serve().await?;
    use_it(&operator, &url).await?;
    revoke(&operator, &url).await?;
    private::signal(serve.id().context("it runs")?, Signal::TERM)?;
    assert_eq!(serve.wait().await?.code(), Some(0));
    Ok(())
}

/// Tables, a tenant and its key.
async fn make(operator: &mut Operator<'_>) -> Result<()> {
    // How many there are, and the last one's number, change with each that is added.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/migrations");
    let (mut migrations, mut version) = (0, 0);
    for file in std::fs::read_dir(folder)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        let number = name.split('_').next().unwrap_or_default().parse()?;
        (migrations, version) = (migrations + 1, version.max(number));
    }
    let version: u32 = version;
    let migrate = |applied: usize| {
        let s = if applied == 1 { "" } else { "s" };
        format!(
            "exit 0\n--- stdout\nthe database is at version {version}; \
             {applied} migration{s} applied\n"
        )
    };
    assert_eq!(operator.run(&["migrate"]).await?.0, migrate(migrations));
    assert_eq!(operator.run(&["migrate"]).await?.0, migrate(0));

    insta::assert_snapshot!(operator.run(&["tenant", "create", "acme"]).await?.0, @r"
    exit 0
    --- stdout
    ten_ID
    --- stderr
    `offpeak key create acme` makes a key for it
    ");
    insta::assert_snapshot!(operator.run(&["tenant", "create", "acme"]).await?.0, @r#"
    exit 2
    --- stderr
    error: there is a tenant "acme" already
    "#);

    let ran = operator
        .command(&["key", "create", "acme"])
        .output()
        .await?;
    let key = ApiKey::parse(std::str::from_utf8(&ran.stdout)?.trim())?;
    let seen = shown(&ran, "-").replace(key.expose(), "ofp_live_KEY");
    operator.key = Some(key);
    insta::assert_snapshot!(seen, @r"
    exit 0
    --- stdout
    ofp_live_KEY
    --- stderr
    key_ID for acme; it is not shown again
    ");
    Ok(())
}

/// What there is, without changing it.
async fn look(operator: &Operator<'_>) -> Result<()> {
    // Of the key nothing is left but its hint.
    insta::assert_snapshot!(operator.run(&["key", "list", "acme"]).await?.0, @r"
    exit 0
    --- stdout
    KEY                             HINT            NAME  CREATED              LAST USED  SCOPES  EXPIRES  REVOKED
    key_ID  HINT        0000-00-00 00:00:00             all
    ");
    insta::assert_snapshot!(operator.run(&["doctor"]).await?.0, @r"
    exit 0
    --- stdout
    ok    configuration          can be read
    ok    prices                 17 models
    ok    address                127.0.0.1:0
    ok    public URL             not set: browsers reach the address itself
    ok    identity server        none set up: people sign in by keys and links
    ok    open files             enough are allowed
    look  dashboard              as it was built
    ok    database               answers
    ok    walls                  stand between tenants
    ok    partitions             room for 8 days
    ok    storage                there is room
    ok    comparison             done
    ok    sending                nothing is paused
    ok    incidents              none open
    ok    Anthropic              URL answers and takes the key
    ");
    let (_, openapi) = operator.run(&["openapi"]).await?;
    assert!(
        openapi == committed("docs/openapi.json")?,
        "`offpeak openapi` prints another document than docs/openapi.json"
    );
    Ok(())
}

/// One job to its end.
async fn use_it(operator: &Operator<'_>, url: &str) -> Result<()> {
    std::fs::write(
        operator.folder.join("a.txt"),
        "Night work costs half. It can wait.",
    )?;
    let (seen, group) = operator
        .client(url, &["submit", "a.txt", "--type", "summarize"])
        .await?;
    insta::assert_snapshot!(seen, @r"
    exit 0
    --- stdout
    grp_ID
    --- stderr
    1 of 1: sent
    1 job accepted
    follow them with `offpeak watch grp_ID`
    ");
    let group = group.trim();
    // On the way there are as many lines as there is time for.
    let (seen, _) = operator.client(url, &["watch", group]).await?;
    let (seen, _) = seen.split_once("--- stderr").unwrap_or((&seen, ""));
    insta::assert_snapshot!(seen, @r"
    exit 0
    --- stdout
    grp_ID: 1 completed
    $0.0000153, synchronously $0.0000306, saved $0.0000153
    ");
    insta::assert_snapshot!(operator.client(url, &["results", group]).await?.0, @r"
    exit 0
    --- stdout
    == a.txt [job_ID]
    Night work costs half. It can wait.

    --- stderr
    answers are the stand-in's, nothing was billed
    ");
    Ok(())
}

/// The key opens nothing any more.
async fn revoke(operator: &Operator<'_>, url: &str) -> Result<()> {
    let (_, keys) = operator.run(&["--json", "key", "list", "acme"]).await?;
    let keys: Value = serde_json::from_str(&keys)?;
    let id = keys[0]["id"].as_str().context("a key's id")?;
    assert!(keys[0]["last_used_at"].is_string(), "{keys}");
    let revoke = ["key", "revoke", "acme", id];
    insta::assert_snapshot!(operator.run(&revoke).await?.0, @r"
    exit 0
    --- stdout
    key_ID opens nothing any more
    ");
    insta::assert_snapshot!(operator.run(&revoke).await?.0, @r"
    exit 2
    --- stderr
    error: acme has no key key_ID that is in force
    ");

    insta::assert_snapshot!(operator.client(url, &["--json", "groups"]).await?.0, @r#"
    exit 3
    --- stderr
    {"type":"/problems/unauthenticated","title":"A valid API key, session or ticket is needed","status":401,"detail":"the API key is not known, or was revoked","code":"unauthenticated","request_id":"req_ID"}
    "#);
    insta::assert_snapshot!(operator.client(url, &["groups"]).await?.0, @r"
    exit 3
    --- stderr
    error: the API key is not known, or was revoked (unauthenticated, request req_ID)
    The key in OFFPEAK_KEY is not one of this server's.
    ");
    Ok(())
}

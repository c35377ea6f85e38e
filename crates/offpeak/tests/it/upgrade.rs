//! What this program does on a schema that is older or newer than its own. The
//! version that is out beside this one, on one database: `scripts/rolling`.

use std::process::Stdio;

use anyhow::Result;
use offpeak_testkit::world::{MASTER, World};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::api_observe::database_url;
use super::cli::{offpeak, shown};

struct Site {
    world: World,
    folder: tempfile::TempDir,
}

impl Site {
    async fn new() -> Result<Self> {
        Ok(Self {
            world: World::new().await?,
            folder: tempfile::tempdir()?,
        })
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = offpeak(self.folder.path());
        command
            .env("DATABASE_URL", database_url(&self.world)?)
            .env("OFFPEAK_VAULT_KEYS", MASTER)
            .env("ANTHROPIC_API_KEY", "sk-ant-any")
            .env("ANTHROPIC_BASE_URL", &self.world.standin_url)
            .env("OFFPEAK_SERVER_LISTEN", "127.0.0.1:0")
            .args(arguments);
        Ok(command)
    }

    /// All that can be seen of a command, without the version that changes with
    /// each migration.
    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let ran = self.command(arguments)?.output().await?;
        let own = offpeak_store::schema_version().to_string();
        Ok(shown(&ran, &self.world.standin_url).replace(&format!("needs {own}:"), "needs OWN:"))
    }

    /// What `serve` says until it runs.
    async fn begins(&self) -> Result<String> {
        let mut child = self
            .command(&["serve", "--role", "worker"])?
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            let mut lines = BufReader::new(stderr).lines();
            while let Some(line) = lines.next_line().await? {
                said.push_str(&line);
                said.push('\n');
                if line.contains("worker runs") {
                    break;
                }
            }
        }
        Ok(said)
    }
}

#[tokio::test]
async fn an_older_schema_is_refused_with_what_to_do() -> Result<()> {
    let site = Site::new().await?;
    // As version 0.1.0 leaves it: that one lets nobody read what the version is.
    site.world
        .meddle("REVOKE SELECT ON offpeak._sqlx_migrations FROM offpeak_worker")
        .await?;
    let refused = "the database is at version 3 and this program needs OWN: run `offpeak \
                   migrate` with this program; processes of the version before go on meanwhile";
    assert_eq!(
        site.run(&["serve"]).await?,
        format!("exit 3\n--- stderr\nerror: {refused}\n")
    );
    let doctor = site.run(&["doctor"]).await?;
    assert!(
        doctor.contains(&format!("FAIL  database               {refused}")),
        "{doctor}"
    );

    // It is all there, so that nothing is left to do but to say so.
    let migrated = site.run(&["migrate"]).await?;
    assert!(migrated.ends_with("; 0 migrations applied\n"), "{migrated}");
    let said = site.begins().await?;
    assert!(
        said.contains("worker runs") && !said.contains("newer"),
        "{said}"
    );

    site.world
        .meddle("DELETE FROM offpeak._sqlx_migrations WHERE version > 4")
        .await?;
    let refused = site.run(&["serve"]).await?;
    assert!(
        refused.contains("the database is at version 4 and"),
        "{refused}"
    );
    Ok(())
}

#[tokio::test]
async fn on_a_newer_schema_it_runs_and_says_so() -> Result<()> {
    let site = Site::new().await?;
    site.world
        .meddle(
            "INSERT INTO offpeak._sqlx_migrations
                    (version, description, success, checksum, execution_time)
             VALUES (9999, 'of the next version', true, '', 0)",
        )
        .await?;
    let said = site.begins().await?;
    assert!(said.contains("worker runs"), "{said}");
    assert_eq!(
        said.matches("a newer program has migrated the database")
            .count(),
        1,
        "{said}"
    );
    assert_eq!(
        site.run(&["migrate"]).await?,
        "exit 0\n--- stdout\nthe database is at version 9999, which a newer program made; \
         nothing is to be done\n"
    );
    let doctor = site.run(&["doctor"]).await?;
    assert!(
        doctor.contains("ok    database               answers"),
        "{doctor}"
    );
    Ok(())
}

//! The command line as people and scripts meet it: exit code, stdout, stderr.

use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use super::api::Api;

/// The program, with nothing of our own environment.
pub(crate) fn offpeak(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_offpeak"));
    command
        .env_clear()
        .env("OFFPEAK_SERVER_METRICS_LISTEN", "127.0.0.1:0")
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A folder to work in and a served world.
pub(crate) struct Desk {
    pub(crate) api: Api,
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) async fn new() -> Result<Self> {
        Ok(Self {
            api: Api::new().await?,
            folder: tempfile::tempdir()?,
        })
    }

    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        Ok(std::fs::write(path, text)?)
    }

    /// A named pipe that nobody writes into.
    pub(crate) async fn pipe(&self, name: &str) -> Result<()> {
        let made = Command::new("mkfifo")
            .arg(self.folder.path().join(name))
            .status()
            .await?;
        anyhow::ensure!(made.success(), "mkfifo");
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = offpeak(self.folder.path());
        command
            .env("OFFPEAK_URL", &self.api.url)
            .env("OFFPEAK_KEY", &self.api.key)
            .args(arguments);
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).output().await?)
    }

    /// All that can be seen of a run, with what differs from run to run masked.
    pub(crate) async fn shown(&self, arguments: &[&str]) -> Result<String> {
        Ok(shown(&self.run(arguments).await?, &self.api.url))
    }

    pub(crate) async fn shown_with(&self, arguments: &[&str], stdin: &str) -> Result<String> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut pipe = child.stdin.take().context("a pipe")?;
        pipe.write_all(stdin.as_bytes()).await?;
        drop(pipe);
        Ok(shown(&child.wait_with_output().await?, &self.api.url))
    }

    /// Two files submitted; the group's id.
    async fn submitted(&self) -> Result<String> {
        self.file("docs/a.txt", "The first of two documents. It is short.")?;
        self.file(
            "docs/b.txt",
            "The second of two documents. It is short, too.",
        )?;
        let ran = self
            .run(&["submit", "docs", "--type", "summarize", "--name", "two"])
            .await?;
        assert!(ran.status.success(), "{}", shown(&ran, &self.api.url));
        Ok(String::from_utf8(ran.stdout)?.trim().to_owned())
    }
}

/// Exit code, stdout and stderr as one text.
pub(crate) fn shown(ran: &Output, url: &str) -> String {
    let part = |name: &str, bytes: &[u8]| {
        let text = mask(&String::from_utf8_lossy(bytes).replace(url, "URL"))
            // The number is another one on other systems.
            .replace(" (os error 111)", "");
        if text.is_empty() {
            String::new()
        } else {
            format!("--- {name}\n{text}")
        }
    };
    let code = ran
        .status
        .code()
        .map_or("signal".to_owned(), |code| code.to_string());
    format!(
        "exit {code}\n{}{}",
        part("stdout", &ran.stdout),
        part("stderr", &ran.stderr)
    )
}

/// Ids, times and request numbers are other ones each time.
fn mask(text: &str) -> String {
    let mut masked = String::new();
    for line in text.lines() {
        // Whether there is one depends on whether Node was there for the build.
        let line = match line.get(4..).map(str::trim_start) {
            Some(rest) if rest.starts_with("dashboard ") => {
                "look  dashboard              as it was built"
            }
            _ => line,
        };
        let mut words = Vec::new();
        for word in line.split(' ') {
            let id = ["grp_", "job_", "bat_", "ten_", "key_", "req_"]
                .into_iter()
                .find_map(|prefix| {
                    let at = word.find(prefix)?;
                    let tail = &word[at + prefix.len()..];
                    let length = tail.bytes().take_while(u8::is_ascii_alphanumeric).count();
                    let rest = &tail[length..];
                    (length >= 26).then(|| format!("{}{prefix}ID{rest}", &word[..at]))
                });
            words.push(id.unwrap_or_else(|| moment(word)));
        }
        masked.push_str(words.join(" ").trim_end());
        masked.push('\n');
    }
    masked
}

/// `2026-02-03`, `10:20:30` without their digits.
fn moment(word: &str) -> String {
    let shape: String = word
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    if shape == "0000-00-00" || shape == "00:00:00" {
        shape
    } else {
        word.to_owned()
    }
}

#[tokio::test]
async fn says_how_to_give_a_key_and_that_nobody_listens() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ran = offpeak(folder.path()).arg("jobs").output().await?;
    insta::assert_snapshot!(shown(&ran, "-"), @r"
    exit 2
    --- stderr
    error: no API key: set OFFPEAK_KEY (and OFFPEAK_URL), or start `offpeak dev` in this folder
    ");
    let ran = offpeak(folder.path())
        .args(["jobs"])
        .env("OFFPEAK_URL", "http://127.0.0.1:1")
        .env("OFFPEAK_KEY", "x")
        .output()
        .await?;
    insta::assert_snapshot!(shown(&ran, "-"), @r"
    exit 3
    --- stderr
    error: cannot reach http://127.0.0.1:1: connection refused; is `offpeak dev` or `offpeak serve` running?
    ");
    Ok(())
}

#[tokio::test]
async fn a_wrong_key_is_refused() -> Result<()> {
    let desk = Desk::new().await?;
    let ran = desk
        .command(&["groups"])
        .env("OFFPEAK_KEY", "ofp_live_wrong")
        .output()
        .await?;
    insta::assert_snapshot!(shown(&ran, &desk.api.url), @r"
    exit 3
    --- stderr
    error: an API key is ofp_live_ and 38 letters and digits (unauthenticated, request req_ID)
    The key in OFFPEAK_KEY is not one of this server's.
    ");
    Ok(())
}

#[tokio::test]
async fn files_go_in_and_results_come_out() -> Result<()> {
    let mut desk = Desk::new().await?;
    desk.file("docs/a.txt", "The first of two documents. It is short.")?;
    desk.file(
        "docs/deep/b.txt",
        "The second of two documents. It is short, too.",
    )?;
    desk.file("docs/image.png", [0x89, b'P', b'N', b'G', 0xff])?;
    desk.file("docs/empty.txt", "\n")?;
    let arguments = [
        "submit",
        "docs",
        "--type",
        "summarize",
        "--set-json",
        "max_words=50",
        "--name",
        "docs",
    ];
    insta::assert_snapshot!(desk.shown(&arguments).await?, @r"
    exit 1
    --- stdout
    grp_ID
    --- stderr
    1 of 4: sent
    left out docs/empty.txt: empty
    left out docs/image.png: not UTF-8 text
    4 of 4: 2 sent, 2 left out
    2 jobs accepted
    follow them with `offpeak watch grp_ID`
    ");
    insta::assert_snapshot!(desk.shown(&["groups"]).await?, @r"
    exit 0
    --- stdout
    GROUP                           NAME  CREATED (UTC)        JOBS   COST  SAVED  STATES
    grp_ID  docs  0000-00-00 00:00:00     2  $0.00  $0.00  2 queued
    --- stderr
    answers are the stand-in's, nothing was billed
    ");

    desk.api.world.run_out().await?;
    let group = desk.api.get("/v1/groups").await?.at("/data/0/id");
    insta::assert_snapshot!(desk.shown(&["watch", &group]).await?, @r"
    exit 0
    --- stdout
    grp_ID: 2 completed
    $0.0000318, synchronously $0.0000636, saved $0.0000318
    --- stderr
    2 of 2: 2 completed
    ");
    insta::assert_snapshot!(desk.shown(&["groups", &group]).await?, @r"
    exit 0
    --- stdout
    group          grp_ID
    name           docs
    created        0000-00-00 00:00:00
    jobs           2
    states         2 completed
    done           yes
    tokens         526 in, 22 out
    cost           $0.0000318
    synchronously  $0.0000636
    saved          $0.0000318
    --- stderr
    answers are the stand-in's, nothing was billed
    ");
    insta::assert_snapshot!(desk.shown(&["results", &group]).await?, @r"
    exit 0
    --- stdout
    == docs/a.txt [job_ID]
    The first of two documents. It is short.

    == docs/deep/b.txt [job_ID]
    The second of two documents. It is short, too.

    --- stderr
    answers are the stand-in's, nothing was billed
    ");
    insta::assert_snapshot!(desk.shown(&["jobs", "--state", "completed"]).await?, @r"
    exit 0
    --- stdout
    JOB                             STATE      LANE   TYPE       MODEL             CREATED (UTC)        EXPECTED (UTC)        COST  FILE
    job_ID  completed  batch  summarize  claude-haiku-5-5  0000-00-00 00:00:00                  $0.0000162  docs/deep/b.txt
    job_ID  completed  batch  summarize  claude-haiku-5-5  0000-00-00 00:00:00                  $0.0000156  docs/a.txt
    ");
    insta::assert_snapshot!(desk.shown(&["usage"]).await?, @r"
    exit 0
    --- stdout
    DAY         MODEL             TYPE       USER  ATTEMPTS  INPUT  OUTPUT        COST        SYNC       SAVED
    0000-00-00  claude-haiku-5-5  summarize               2    526      22  $0.0000318  $0.0000636  $0.0000318
    total                                                 2    526      22  $0.0000318  $0.0000636  $0.0000318

    saved by
      batches      $0.0000318
      caching      $0.00
      reuse        $0.00
    --- stderr
    0000-00-00 to 0000-00-00
    answers are the stand-in's, nothing was billed
    ");

    let ran = desk.run(&["results", &group, "--ndjson"]).await?;
    let files: Vec<String> = String::from_utf8(ran.stdout)?
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|result| {
            result["metadata"]["file"]
                .as_str()
                .expect("a file")
                .to_owned()
        })
        .collect();
    assert_eq!(files, ["docs/a.txt", "docs/deep/b.txt"]);
    Ok(())
}

#[tokio::test]
async fn shows_one_job_and_its_result() -> Result<()> {
    let mut desk = Desk::new().await?;
    let group = desk.submitted().await?;
    desk.api.world.run_out().await?;
    let jobs = desk.api.get(&format!("/v1/jobs?group={group}")).await?;
    let job = jobs.at("/data/1/id");
    insta::assert_snapshot!(desk.shown(&["jobs", &job]).await?, @r#"
    exit 0
    --- stdout
    job            job_ID
    state          completed
    type           summarize, version 1
    model          claude-haiku-5-5
    lane           batch
    group          grp_ID
    batch          bat_ID
    metadata       {"file":"docs/a.txt"}
    created        0000-00-00 00:00:00
    ended          0000-00-00 00:00:00
    attempt        1
    tokens         263 in, 10 out
    cost           $0.00001565
    synchronously  $0.0000313
    "#);
    insta::assert_snapshot!(desk.shown(&["results", &job]).await?, @r"
    exit 0
    --- stdout
    == docs/a.txt [job_ID]
    The first of two documents. It is short.

    --- stderr
    answers are the stand-in's, nothing was billed
    ");
    insta::assert_snapshot!(desk.shown(&["watch", &job]).await?, @r"
    exit 0
    --- stdout
    job_ID: completed, $0.00001565
    --- stderr
    1 of 1: completed
    ");
    let other = "job_00000000000000000000000000";
    insta::assert_snapshot!(desk.shown(&["jobs", other]).await?, @r"
    exit 3
    --- stderr
    error: there is no job with this id (not_found, request req_ID)
    ");
    Ok(())
}

#[tokio::test]
async fn cancels_and_retries() -> Result<()> {
    let desk = Desk::new().await?;
    let group = desk.submitted().await?;
    insta::assert_snapshot!(desk.shown(&["cancel", &group]).await?, @r"
    exit 0
    --- stdout
    grp_ID: 2 jobs canceled
    ");
    insta::assert_snapshot!(desk.shown(&["watch", &group]).await?, @r"
    exit 1
    --- stdout
    grp_ID: 2 canceled
    $0.00, synchronously $0.00, saved $0.00
    --- stderr
    2 of 2: 2 canceled
    ");
    insta::assert_snapshot!(desk.shown(&["retry", &group]).await?, @r"
    exit 0
    --- stdout
    grp_ID: 2 jobs queued again
    ");
    let job = desk.api.get("/v1/jobs").await?.at("/data/0/id");
    insta::assert_snapshot!(desk.shown(&["cancel", &job]).await?, @r"
    exit 0
    --- stdout
    job_ID: canceled, $0.00
    ");
    insta::assert_snapshot!(desk.shown(&["--json", "cancel", "job_nonsense"]).await?, @r#"
    exit 2
    --- stderr
    {"type":"/problems/usage","title":"The command line or the configuration is wrong","detail":"\"job_nonsense\" is no id: an id is job_ or grp_ and 26 letters and digits, as `offpeak groups` and `offpeak jobs` list them","code":"usage","exit":2}
    "#);
    Ok(())
}

#[tokio::test]
async fn ctrl_c_leaves_the_group_alone() -> Result<()> {
    let desk = Desk::new().await?;
    let group = desk.submitted().await?;
    let mut child = desk
        .command(&["watch", &group])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert_eq!(
        lines.next_line().await?.as_deref(),
        Some("0 of 2: 2 queued")
    );
    let pid = i32::try_from(child.id().expect("it runs"))?;
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
    let said = lines.next_line().await?.expect("a line");
    assert_eq!(
        said,
        format!("the group goes on; pick it up with `offpeak watch {group}`")
    );
    assert_eq!(child.wait().await?.code(), Some(130));
    Ok(())
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_failure() -> Result<()> {
    let mut desk = Desk::new().await?;
    let group = desk.submitted().await?;
    desk.api.world.run_out().await?;
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let ran = desk
        .command(&["results", &group])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()?
        .wait_with_output()
        .await?;
    insta::assert_snapshot!(shown(&ran, &desk.api.url), @"exit 0");
    Ok(())
}

#[tokio::test]
async fn the_job_types_are_listed_and_shown() -> Result<()> {
    let desk = Desk::new().await?;
    insta::assert_snapshot!(desk.shown(&["types"]).await?, @r"
    exit 0
    --- stdout
    TYPE            VERSION  MODEL             FROM     INPUT                   WHAT IT DOES
    analyze_policy        1  claude-haiku-5-5  shipped  text questions          Answers to questions about a policy, contract or licence, each with the words of the document that prove it.
    classify              1  claude-haiku-5-5  shipped  text categories [hint]  The one of your categories that fits a text best.
    summarize             1  claude-haiku-5-5  shipped  text [max_words]        A summary of a text in plain prose, within a number of words.
    ");
    let ran = desk.run(&["types", "classify"]).await?;
    let shown: serde_json::Value = serde_json::from_slice(&ran.stdout)?;
    assert_eq!(shown["name"], "classify");
    Ok(())
}

//! What the command line says when something is not as it should be, and what
//! it shows of text that is not its own.

use anyhow::Result;

use super::cli::{Desk, offpeak, shown};

const TYPE: &str = r#"
name = "translate"
model = "claude-haiku-5-5"
max_tokens = 2000
template = "Translate into French:\n\n{{ text }}"

[input_schema]
type = "object"
required = ["text"]
properties = { text = { type = "string" } }
"#;

#[tokio::test]
async fn a_wrong_kind_of_id_is_said_before_anything_is_asked() -> Result<()> {
    let desk = Desk::new().await?;
    let group = "grp_00000000000000000000000000";
    insta::assert_snapshot!(desk.shown(&["watch", "foo"]).await?, @r#"
    exit 2
    --- stderr
    error: "foo" is no id: an id is job_ or grp_ and 26 letters and digits, as `offpeak groups` and `offpeak jobs` list them
    "#);
    insta::assert_snapshot!(desk.shown(&["jobs", group]).await?, @r"
    exit 2
    --- stderr
    error: grp_ID is a group: `offpeak jobs --group grp_ID` lists its jobs, `offpeak groups grp_ID` shows it
    ");
    insta::assert_snapshot!(desk.shown(&["groups", "x\u{1b}[2J"]).await?, @r#"
    exit 2
    --- stderr
    error: "x\u{1b}[2J" is no id: a group's id is grp_ and 26 letters and digits, as `offpeak groups` and `offpeak jobs` list them
    "#);
    Ok(())
}

#[tokio::test]
async fn errors_are_json_when_json_is_asked_for() -> Result<()> {
    let desk = Desk::new().await?;
    let ran = desk
        .run(&["--json", "jobs", "job_00000000000000000000000000"])
        .await?;
    assert_eq!(ran.status.code(), Some(3));
    let problem: serde_json::Value = serde_json::from_slice(&ran.stderr)?;
    assert_eq!(problem["code"], "not_found");
    insta::assert_snapshot!(desk.shown(&["--json", "watch", "foo"]).await?, @r#"
    exit 2
    --- stderr
    {"type":"/problems/usage","title":"The command line or the configuration is wrong","detail":"\"foo\" is no id: an id is job_ or grp_ and 26 letters and digits, as `offpeak groups` and `offpeak jobs` list them","code":"usage","exit":2}
    "#);
    Ok(())
}

#[tokio::test]
async fn faults_go_by_file_and_odd_names_are_shown() -> Result<()> {
    let mut desk = Desk::new().await?;
    desk.file("docs/a\u{1b}[2J\n.txt", "One.")?;
    desk.file("docs/b.txt", "Two.")?;
    let submit = ["submit", "docs", "--type", "classify"];
    insta::assert_snapshot!(desk.shown(&submit).await?, @r"
    exit 3
    --- stderr
    1 of 2: sent
    2 of 2: sent
    error: nothing was stored (invalid_lines, request req_ID)
      docs/a\u{1b}[2J\n.txt, docs/b.txt: /input/categories is required
    ");
    let twice = ["submit", "docs", "--type", "summarize", "--set", "text=x"];
    insta::assert_snapshot!(desk.shown(&twice).await?, @r#"
    exit 2
    --- stderr
    error: the field "text" takes each file's text: set it not, or name another field with --field
    "#);
    insta::assert_snapshot!(desk.shown(&["submit", "-", "docs"]).await?, @r"
    exit 2
    --- stderr
    error: `-` (NDJSON on stdin) stands alone: name either it or files
    ");

    let group = desk.run(&["submit", "docs", "--type", "summarize"]).await?;
    let group = String::from_utf8(group.stdout)?.trim().to_owned();
    insta::assert_snapshot!(desk.shown(&["results", &group]).await?, @r"
    exit 1
    --- stderr
    2 jobs of this group had not ended yet; `offpeak watch grp_ID` waits
    ");
    desk.api.world.run_out().await?;
    insta::assert_snapshot!(desk.shown(&["results", &group]).await?, @r"
    exit 0
    --- stdout
    == docs/a\u{1b}[2J\n.txt [job_ID]
    One.

    == docs/b.txt [job_ID]
    Two.

    --- stderr
    answers are the stand-in's, nothing was billed
    ");
    let csv = desk.run(&["results", &group, "--csv"]).await?;
    assert_eq!(csv.status.code(), Some(0));
    let csv = String::from_utf8(csv.stdout)?;
    assert!(csv.starts_with("job,state,label,"), "{csv}");
    assert_eq!(csv.matches("\r\njob_").count(), 2, "{csv}");
    let job = "job_00000000000000000000000000";
    insta::assert_snapshot!(desk.shown(&["results", job, "--csv"]).await?, @r"
    exit 2
    --- stderr
    error: --csv is for the results of a group: give a grp_… id, or leave it out
    ");
    Ok(())
}

#[tokio::test]
async fn a_pipe_is_left_out() -> Result<()> {
    let desk = Desk::new().await?;
    desk.file("docs/b.txt", "Two.")?;
    desk.pipe("docs/pipe").await?;
    let submit = ["submit", "docs", "--type", "summarize"];
    insta::assert_snapshot!(desk.shown(&submit).await?, @r"
    exit 1
    --- stdout
    grp_ID
    --- stderr
    1 of 2: sent
    left out docs/pipe: not a regular file
    2 of 2: 1 sent, 1 left out
    1 job accepted
    follow them with `offpeak watch grp_ID`
    ");
    Ok(())
}

#[tokio::test]
async fn a_job_type_can_be_stored_and_used() -> Result<()> {
    let desk = Desk::new().await?;
    desk.file("translate.toml", TYPE)?;
    desk.file("bad.toml", "name = 1")?;
    desk.file("a.txt", "A text.")?;
    insta::assert_snapshot!(desk.shown(&["types", "create", "translate.toml"]).await?, @r"
    exit 0
    --- stdout
    translate, version 1
    --- stderr
    use it with `--type translate`
    ");
    insta::assert_snapshot!(desk.shown(&["types", "create", "bad.toml"]).await?, @r"
    exit 2
    --- stderr
    error: bad.toml is no definition of a job type: TOML parse error at line 1, column 8
      |
    1 | name = 1
      |        ^
    invalid type: integer `1`, expected a string
    ");
    let ran = desk
        .run(&["submit", "a.txt", "--type", "translate"])
        .await?;
    assert!(ran.status.success());
    Ok(())
}

#[tokio::test]
async fn settings_are_judged_before_anything_runs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let told = async |arguments: &[&str], pairs: &[(&str, &str)]| -> Result<String> {
        let ran = offpeak(folder.path())
            .args(arguments)
            .envs(pairs.iter().copied())
            .output()
            .await?;
        Ok(shown(&ran, "http://nowhere"))
    };
    let dead = ("DATABASE_URL", "postgres://a:b@127.0.0.1:1/c");
    let key = ("ANTHROPIC_API_KEY", "sk-ant-x");
    insta::assert_snapshot!(told(&["serve"], &[dead]).await?, @r"
    exit 2
    --- stderr
    error: no Anthropic key: set ANTHROPIC_API_KEY, or use `offpeak dev`, which brings a stand-in
    ");
    insta::assert_snapshot!(told(&["serve"], &[dead, key, ("ANTHROPIC_BASE_URL", "foo")]).await?, @r#"
    exit 2
    --- stderr
    error: ANTHROPIC_BASE_URL (base_url in [anthropic]) is "foo", which is no address: unset it, or write it like https://api.anthropic.com
    "#);
    insta::assert_snapshot!(told(&["serve", "--listen", "127.0.0.1:0"], &[dead, key]).await?, @r"
    exit 3
    --- stderr
    error: no PostgreSQL at 127.0.0.1:1: connection refused; start it, or check DATABASE_URL
    ");
    // Few enough for whatever this machine allows.
    let few = ("OFFPEAK_LIVE_MAX_CONNECTIONS", "1");
    insta::assert_snapshot!(told(&["doctor"], &[dead, few, ("OFFPEAK_SERVER_LISTEN", "zz")]).await?, @r#"
    exit 1
    --- stdout
    ok    configuration          can be read
    ok    prices                 17 models
    FAIL  address                "zz" is no address to listen on: write OFFPEAK_SERVER_LISTEN (listen in [server]) like 127.0.0.1:8080
    warn  public URL             not set: signed-in pages count only if every proxy in front passes on `host` and sets `x-forwarded-proto`; else set public_url in [server]
    ok    identity server        none set up: people sign in by keys and links
    ok    open files             enough are allowed
    look  dashboard              as it was built
    FAIL  database               no PostgreSQL at 127.0.0.1:1: connection refused; start it, or check DATABASE_URL
    ok    Anthropic              no key: `offpeak dev` will use the stand-in; `offpeak serve` needs ANTHROPIC_API_KEY
    "#);
    insta::assert_snapshot!(told(&["doctor"], &[("OFFPEAK_FOO", "1")]).await?, @r"
    exit 2
    --- stderr
    error: there is no setting for the environment variable OFFPEAK_FOO
    ");
    insta::assert_snapshot!(told(&["jobs"], &[("OFFPEAK_KEY", "a\nb")]).await?, @r"
    exit 2
    --- stderr
    error: OFFPEAK_KEY is no API key: a key is ofp_live_ and 38 letters and digits, without spaces or line ends
    ");
    let turnaround = [
        "standin",
        "--turnaround-min",
        "10s",
        "--turnaround-max",
        "1s",
    ];
    insta::assert_snapshot!(told(&turnaround, &[]).await?, @r"
    exit 2
    --- stderr
    error: --turnaround-min is longer than --turnaround-max
    ");
    Ok(())
}

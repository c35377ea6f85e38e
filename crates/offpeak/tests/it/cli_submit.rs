//! `offpeak submit`: what goes in, what is left out, and what is refused.

use anyhow::Result;

use super::cli::Desk;

#[tokio::test]
async fn what_cannot_be_sent_is_a_mistake_of_the_command_line() -> Result<()> {
    let desk = Desk::new().await?;
    desk.file("a.txt", "text")?;
    desk.file("only/b.bin", [0xff, 0xfe])?;
    insta::assert_snapshot!(desk.shown(&["submit", "a.txt"]).await?, @r"
    exit 2
    --- stderr
    error: say which job type the files are for: --type summarize (`offpeak types` lists them)
    ");
    insta::assert_snapshot!(desk.shown(&["submit", "no*.md", "--type", "summarize"]).await?, @r#"
    exit 2
    --- stderr
    error: no file matches "no*.md"
    "#);
    insta::assert_snapshot!(desk.shown(&["submit", "only", "--type", "summarize"]).await?, @r"
    exit 2
    --- stderr
    left out only/b.bin: not UTF-8 text
    1 of 1: 0 sent, 1 left out
    error: no file could be sent
    ");
    insta::assert_snapshot!(
        desk.shown(&["submit", "a.txt", "--type", "summarize", "--set-json", "max_words=many"]).await?,
        @r"
    exit 2
    --- stderr
    error: --set-json max_words: not JSON (for text use --set): expected value at line 1 column 1
    "
    );
    insta::assert_snapshot!(desk.shown(&["submit", "a.txt", "--type", "nothing"]).await?, @r#"
    exit 2
    --- stderr
    error: there is no job type "nothing": `offpeak types` lists those that there are
    "#);
    assert_eq!(
        desk.api
            .world
            .number("SELECT count(*) FROM offpeak.job")
            .await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn ndjson_comes_by_stdin_and_its_faults_are_named() -> Result<()> {
    let desk = Desk::new().await?;
    let good = r#"{"type":"summarize","input":{"text":"A text."}}"#;
    let lines = format!("{good}\n{{\"type\":\"summarize\",\"input\":{{}}}}\nnonsense\n{good}\n");
    insta::assert_snapshot!(desk.shown_with(&["submit", "-"], &lines).await?, @r"
    exit 3
    --- stderr
    error: 2 faults, first in line 2: /input/text is required; nothing was stored (invalid_lines, request req_ID)
      line 2: /input/text: is required
      line 3: is not valid JSON: expected ident (column 2)
    ");
    insta::assert_snapshot!(desk.shown_with(&["submit", "-", "--partial"], &lines).await?, @r"
    exit 1
    --- stdout
    grp_ID
    --- stderr
    skipped line 2: /input/text is required
    skipped line 3: is not valid JSON: expected ident (column 2)
    2 jobs accepted
    follow them with `offpeak watch grp_ID`
    ");
    insta::assert_snapshot!(
        desk.shown_with(&["submit", "-", "--type", "summarize"], &lines).await?, @r"
    exit 2
    --- stderr
    error: a line of NDJSON is a whole job: --type, --set and --set-json go with files
    "
    );
    Ok(())
}

#[tokio::test]
async fn the_same_key_submits_once() -> Result<()> {
    let desk = Desk::new().await?;
    desk.file("a.txt", "text")?;
    let arguments = [
        "submit",
        "a.txt",
        "--type",
        "summarize",
        "--idempotency-key",
        "once",
    ];
    let first = desk.run(&arguments).await?;
    let second = desk.run(&arguments).await?;
    assert_eq!(first.stdout, second.stdout);
    assert!(String::from_utf8(second.stderr)?.contains("submitted before"));
    assert_eq!(
        desk.api
            .world
            .number("SELECT count(*) FROM offpeak.job")
            .await?,
        1
    );
    Ok(())
}

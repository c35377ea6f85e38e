//! `offpeak budget`, as the operator meets it.

use super::*;
use crate::api_observe::database_url;
use crate::cli::offpeak;

#[tokio::test]
async fn the_operator_sets_lists_and_removes_budgets() -> Result<()> {
    let mut api = Api::new().await?;
    let folder = tempfile::tempdir()?;
    let url = database_url(&api.world)?;
    let run = async |arguments: &[&str]| -> Result<(Option<i32>, String, String)> {
        let ran = offpeak(folder.path())
            .env("DATABASE_URL", &url)
            .args(arguments)
            .output()
            .await?;
        let (out, talk) = (
            String::from_utf8(ran.stdout)?,
            String::from_utf8(ran.stderr)?,
        );
        Ok((ran.status.code(), out, talk))
    };
    let set = async |more: &[&str]| {
        let all = [&["budget", "set", "--tenant", "acme"], more].concat();
        run(&all).await
    };
    let (code, id, talk) = set(&["--limit", "0.01", "--per", "month", "--hard"]).await?;
    assert_eq!(
        (code, talk.as_str()),
        (
            Some(0),
            "the budget of the whole tenant counts from now on\n"
        )
    );
    let (_, same, talk) = set(&["--limit", "0.02", "--per", "month", "--hard"]).await?;
    assert_eq!(
        (&same, talk.as_str()),
        (
            &id,
            "the budget of the whole tenant was there, and is changed\n"
        )
    );
    for of in [
        &["--each-user"][..],
        &["--user", "ada"],
        &["--type", "summarize"],
        &["--each-type"],
    ] {
        let (code, ..) = set(&[&["--limit", "5", "--per", "day"], of].concat()).await?;
        assert_eq!(code, Some(0), "{of:?}");
    }
    for _ in 0..2 {
        api.post("/v1/jobs", typed("summarize", "One fine day."))
            .await?;
    }
    api.world.run_out().await?;
    api.post("/v1/jobs", job_of("ada")).await?;
    let (code, shown, _) = run(&["budget", "list", "--tenant", "acme"]).await?;
    assert_eq!(code, Some(0), "{shown}");
    let columns = |line: &str| -> Vec<String> {
        let words = line.split_whitespace().map(str::to_owned);
        words.filter(|word| !word.starts_with("bgt_")).collect()
    };
    let lines: Vec<Vec<String>> = shown.lines().map(columns).collect();
    let begins = |line: usize, words: &[&str]| {
        let found: Vec<&str> = lines[line].iter().map(String::as_str).collect();
        assert!(found.starts_with(words), "{shown}");
    };
    begins(
        0,
        &[
            "BUDGET", "OF", "NAME", "PER", "KIND", "LIMIT", "RESERVED", "SPENT", "LEFT",
        ],
    );
    begins(1, &["tenant", "month", "hard", "$0.0200"]);
    begins(
        2,
        &[
            "user", "each", "day", "soft", "$5.00", "$0.00", "$0.00", "$5.00",
        ],
    );
    begins(3, &["user", "ada", "day", "soft", "$5.00"]);
    begins(4, &["type", "each", "day", "soft"]);
    begins(5, &["type", "summarize", "day", "soft"]);
    begins(
        7,
        &["TYPE", "MODEL", "JOBS", "ESTIMATED", "SETTLED", "ERROR"],
    );
    begins(8, &["summarize"]);
    assert!(shown.trim_end().ends_with('%'), "{shown}");
    let (_, json, _) = run(&["--json", "budget", "list", "--tenant", "acme"]).await?;
    let json: Value = serde_json::from_str(&json)?;
    let own = api.get("/v1/budgets").await?.json();
    for n in 0..5 {
        for name in ["id", "scope", "period", "limit", "hard"] {
            assert_eq!(json["budgets"][n][name], own["budgets"][n][name], "{name}");
        }
    }
    assert_eq!(
        json["estimates"][0]["settled"],
        own["estimates"][0]["settled"]
    );

    let remove = ["budget", "remove", "--tenant", "acme", id.trim()];
    let gone = format!("{} limits nothing any more\n", id.trim());
    assert_eq!(run(&remove).await?, (Some(0), gone, String::new()));
    let (code, _, talk) = run(&remove).await?;
    assert_eq!(code, Some(2));
    assert!(
        talk.contains(&format!("acme has no budget {}", id.trim())),
        "{talk}"
    );
    for wrong in [
        &["--limit", "-1", "--per", "day"][..],
        &["--limit", "9000001", "--per", "day"],
        &["--limit", "1", "--per", "week"],
        &["--limit", "1", "--per", "day", "--user", "a", "--each-user"],
        &["--limit", "1", "--per", "day", "--user", ""],
    ] {
        let (code, _, talk) = set(wrong).await?;
        assert_eq!(code, Some(2), "{wrong:?}: {talk}");
    }
    Ok(())
}

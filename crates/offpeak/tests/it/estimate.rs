//! `offpeak estimate`: what it reads, what it says, and how near it is to what
//! was billed in the end.

#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use offpeak_domain::money::Pico;
use serde_json::{Value, json};

use super::cli::{Desk, offpeak, shown};

/// Runs it without a server and without a key.
async fn alone(folder: &Path, arguments: &[&str]) -> Result<std::process::Output> {
    Ok(offpeak(folder)
        .arg("estimate")
        .args(arguments)
        .output()
        .await?)
}

async fn shown_alone(folder: &Path, arguments: &[&str]) -> Result<String> {
    Ok(shown(&alone(folder, arguments).await?, "\0"))
}

async fn report(folder: &Path, arguments: &[&str]) -> Result<Value> {
    let ran = alone(folder, &[arguments, &["--json"]].concat()).await?;
    serde_json::from_slice(&ran.stdout).with_context(|| shown(&ran, "\0"))
}

fn amount(value: &Value) -> Pico {
    value.as_str().expect("an amount").parse().expect("dollars")
}

/// A request with a system prompt of so many tokens.
fn request(system: usize, question: &str) -> Value {
    json!({
        "model": "claude-sonnet-5-5",
        "max_tokens": 500,
        "system": "x".repeat(system * 4),
        "messages": [{ "role": "user", "content": question }],
    })
}

/// A day of calls as a log has them: 3,000 tokens of instructions, one in ten a repeat.
fn log() -> String {
    let mut lines = String::new();
    for n in 0..200 {
        let question = format!(
            "Question {}, about a matter that takes some words.",
            n - n % 10 / 9
        );
        let line = json!({
            "timestamp": format!("2026-11-03T09:{:02}:{:02}Z", n / 60, n % 60),
            "request": request(3_000, &question),
            "response": {
                "model": "claude-sonnet-5-5",
                "usage": { "input_tokens": 3_012, "output_tokens": 200 },
            },
        });
        writeln!(lines, "{line}").expect("memory");
    }
    lines
}

/// The project's own licences are classified and its documents summarized, as
/// the main job does it with those of its dependencies; `scripts/main-job` holds
/// the main job itself to the same.
#[tokio::test]
async fn the_estimate_is_within_five_percent_of_what_is_settled() -> Result<()> {
    let mut desk = Desk::new().await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("the root")?;
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        desk.file(&format!("licences/{name}"), std::fs::read(root.join(name))?)?;
    }
    for entry in root.join("docs").read_dir()?.chain(root.read_dir()?) {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "md") {
            let name = path
                .file_name()
                .context("a name")?
                .to_string_lossy()
                .into_owned();
            desk.file(&format!("readmes/{name}"), std::fs::read(path)?)?;
        }
    }
    let classify = [
        "licences",
        "--type",
        "classify",
        "--set-json",
        "categories=[\"MIT\",\"Apache-2.0\",\"other\"]",
    ];
    let summarize = [
        "readmes",
        "--type",
        "summarize",
        "--set-json",
        "max_words=60",
    ];
    let mut estimated = Pico::ZERO;
    for arguments in [&classify[..], &summarize[..]] {
        let ran = desk
            .run(&[&["estimate", "--json"], arguments].concat())
            .await?;
        let report: Value = serde_json::from_slice(&ran.stdout)?;
        assert_eq!(
            report["lanes"]["batch"], report["lanes"]["offpeak"][0]["cost"],
            "nothing shared"
        );
        estimated += amount(&report["lanes"]["offpeak"][1]["cost"]);
        let ran = desk.run(&[&["submit"], arguments].concat()).await?;
        assert!(ran.status.success(), "{}", shown(&ran, &desk.api.url));
    }
    desk.api.world.run_out().await?;
    let usage = desk.api.get("/v1/usage").await?;
    let settled: Pico = usage.at("/total/cost").parse()?;
    let off = (estimated - settled).0.abs() * 100;
    assert!(
        off <= 5 * settled.0,
        "estimated {estimated}, settled {settled}"
    );
    Ok(())
}

/// What a server has measured goes before what a prompt allows.
#[tokio::test]
async fn a_server_adds_its_own_types_and_measured_lengths() -> Result<()> {
    let mut desk = Desk::new().await?;
    for n in 0..20 {
        desk.file(
            &format!("docs/{n}.txt"),
            format!("Number {n}. It is short."),
        )?;
    }
    desk.file(
        "own.toml",
        "name = \"translate\"\nmodel = \"claude-haiku-5-5\"\nmax_tokens = 2000\n\
         template = \"Translate: {{ text }}\"\n\
         [input_schema]\ntype = \"object\"\nrequired = [\"text\"]\n\
         properties = { text = { type = \"string\" } }\n",
    )?;
    let ran = desk.run(&["types", "create", "own.toml"]).await?;
    assert!(ran.status.success(), "{}", shown(&ran, &desk.api.url));
    let own = desk
        .run(&["estimate", "docs", "--type", "translate", "--json"])
        .await?;
    let own: Value = serde_json::from_slice(&own.stdout)?;
    assert_eq!(own["output_tokens"], 20 * 300);

    let summarize = ["docs", "--type", "summarize"];
    let before = desk
        .run(&[&["estimate", "--json"], &summarize[..]].concat())
        .await?;
    desk.run(&[&["submit"], &summarize[..]].concat()).await?;
    desk.api.world.run_out().await?;
    let after = desk
        .run(&[&["estimate", "--json"], &summarize[..]].concat())
        .await?;
    let output = |ran: &std::process::Output| -> Result<Value> {
        Ok(serde_json::from_slice::<Value>(&ran.stdout)?["output_tokens"].clone())
    };
    let measured = desk.api.get("/v1/usage").await?.at("/total/output_tokens");
    assert_ne!(output(&before)?, output(&after)?);
    assert_eq!(output(&after)?.to_string(), measured);
    Ok(())
}

#[tokio::test]
async fn a_log_becomes_a_page_that_one_would_forward() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("november.jsonl"), log())?;
    let arguments = ["november.jsonl", "--urgent", "35%", "--html", "page.html"];
    insta::assert_snapshot!(shown_alone(folder.path(), &arguments).await?, @r"
    exit 0
    --- stdout
    200 requests of 2026-11-03: 602,400 tokens in, 40,000 out, 35 % urgent

    It cost $1.60 synchronously. Through offpeak it would cost about $0.64: 60.2 % less.

    LANE                                      COST    SHARE
    Synchronously, without caching           $1.60  100.0 %
    Synchronously, with caching at its best  $0.47   29.4 %
    Message batches, without caching         $1.08   67.5 %
    Through offpeak, few cache hits (30 %)   $0.95   59.2 %
    Through offpeak, some cache hits (64 %)  $0.64   39.8 %
    Through offpeak, many cache hits (98 %)  $0.33   20.4 %

    WHAT SAVES                                       SAVED   SHARE
    Half the token price, in batches                 $0.29  18.1 %
    1 shared prefix cached for 200 requests          $0.57  35.6 %
    20 requests equal to others, paid once           $0.10   6.5 %
    Together, against synchronously without caching  $0.96  60.2 %

    What this assumes:
    - Prices are Anthropic's list prices of the day of each call, today's where no time is given; a batch halves every token and no web search.
    - Tokens are those that were billed; which part of a prompt is shared goes by an estimate (four bytes a token, calibrated against offpeak's stand-in; a real model's count differs).
    - That way of counting is off by +0.0 % where it can be compared with what was billed (200 requests).
    - 35 % of the requests are urgent and go at once, at the full price.
    - Shared prefixes are tools and system prompt, cached for five minutes in both lanes where that pays; 30 %, 64 % and 98 % of the reads find theirs (caching in batches is best effort).
    - Synchronous caching is at its best: every call finds the prefix that another used in the five minutes before, or always where no times are given.
    - Requests that are equal to the byte within an hour of the first are paid once, unless they are urgent.
    ");
    let page = std::fs::read_to_string(folder.path().join("page.html"))?;
    assert!(page.contains("<h1>It cost $1.60 synchronously."), "{page}");
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(
            !page.contains(outside),
            "the page fetches something: {outside}"
        );
    }
    // The sums of the page are those of the JSON: 200 × (3,012 × $2 + 200 × $10) a million.
    let report = report(folder.path(), &["november.jsonl"]).await?;
    assert_eq!(report["lanes"]["logged"], "1.6048");
    assert_eq!(report["lanes"]["batch"], "0.8024");
    assert_eq!(report["repeated"], 20);
    for hits in report["lanes"]["offpeak"]
        .as_array()
        .context("three rates")?
    {
        let saved = &hits["saved"];
        let parts = ["batch", "cache", "duplicates"].map(|name| amount(&saved[name]));
        let all = amount(&hits["cost"]) + parts.iter().sum();
        assert_eq!(all, amount(&report["lanes"]["sync"]));
    }
    Ok(())
}

#[tokio::test]
async fn jobs_and_calls_of_every_shape_are_read() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let usage = json!({ "input_tokens": 1_000, "output_tokens": 100 });
    let mut bare = request(10, "bare");
    bare["usage"] = usage.clone();
    bare["latency_ms"] = json!(7);
    let mut again = bare.clone();
    again["latency_ms"] = json!(8);
    let lines = [
        json!({ "type": "summarize", "input": { "text": "A text." } }),
        json!({ "params": request(10, "params") }),
        json!({ "params": request(10, "params"), "usage": usage }),
        bare,
        again,
        json!({ "custom_id": "a", "result": { "type": "succeeded",
            "message": { "model": "claude-opus-5-5", "usage": usage } } }),
        json!({ "request": request(10, "x"), "response": { "type": "error", "error": {} } }),
    ];
    let text: Vec<String> = lines.iter().map(|line| format!("{line}\n\n")).collect();
    std::fs::write(folder.path().join("lines.ndjson"), text.concat())?;
    let report = report(folder.path(), &["lines.ndjson"]).await?;
    let said = |name: &str| report[name].as_u64();
    assert_eq!(
        (said("requests"), said("logged"), said("unbilled")),
        (Some(6), Some(4), Some(1))
    );
    assert_eq!((said("left_out"), said("repeated")), (Some(0), Some(2)));
    let models: Vec<&str> = report["models"]
        .as_array()
        .context("models")?
        .iter()
        .filter_map(|one| one["model"].as_str())
        .collect();
    assert_eq!(
        models,
        ["claude-haiku-5-5", "claude-opus-5-5", "claude-sonnet-5-5"]
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_priced_says_where_and_what_to_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let file = |name: &str, text: &str| std::fs::write(path.join(name), text);
    file("empty.ndjson", "")?;
    file("doc.md", "# A document\n")?;
    file("array.json", "[{}]")?;
    file(
        "unknown.ndjson",
        &format!(
            "{}\n",
            json!({ "params": { "model": "gpt-9", "messages": [] } })
        ),
    )?;
    let good = json!({ "params": request(10, "good") });
    file(
        "some.ndjson",
        &format!(
            "{good}\nnonsense\n{{\"type\":\"summarize\",\"input\":{{}}}}\n{{\"params\":{{\"messages\":[]}}}}\n\
             {{\"type\":\"nothing\",\"input\":{{}}}}\n{{\"usage\":{{\"input_tokens\":-1}}}}\n\
             {{\"model\":\"gpt-9\",\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}\n"
        ),
    )?;
    let mut table = String::new();
    for arguments in [
        &["empty.ndjson"][..],
        &["doc.md"],
        &["array.json"],
        &["unknown.ndjson"],
        &["doc.md", "--type", "nothing"],
        &["nowhere"],
        &["-", "doc.md"],
        &["some.ndjson", "--html", "no/such/folder.html"],
        &["some.ndjson"],
    ] {
        writeln!(table, "$ offpeak estimate {}", arguments.join(" "))?;
        table.push_str(&shown_alone(path, arguments).await?);
    }
    insta::assert_snapshot!(table, @r#"
    $ offpeak estimate empty.ndjson
    exit 2
    --- stderr
    error: there is nothing to price in empty.ndjson: it is empty
    $ offpeak estimate doc.md
    exit 2
    --- stderr
    error: doc.md, line 1: is not JSON; for documents say which job type they are for: --type summarize
    $ offpeak estimate array.json
    exit 2
    --- stderr
    error: array.json, line 1: is a JSON array, and one job or call a line is expected (`jq -c '.[]'` makes that of it)
    $ offpeak estimate unknown.ndjson
    exit 2
    --- stderr
    error: there is nothing to price in unknown.ndjson: no price is known for "gpt-9" (1 request)
    $ offpeak estimate doc.md --type nothing
    exit 2
    --- stderr
    error: no job type "nothing" ships with offpeak (analyze_policy, classify, summarize do): set OFFPEAK_URL and OFFPEAK_KEY for your own
    $ offpeak estimate nowhere
    exit 2
    --- stderr
    error: there is no nowhere
    $ offpeak estimate - doc.md
    exit 2
    --- stderr
    error: `-` (NDJSON on stdin) stands alone: name either it or files
    $ offpeak estimate some.ndjson --html no/such/folder.html
    exit 2
    --- stderr
    left out some.ndjson, line 2: must be a JSON object, one a line
    left out some.ndjson, line 3: /input/text: is required
    left out some.ndjson, line 4: /params/model: must be the name of a model
    left out some.ndjson, line 5: no job type "nothing" ships with offpeak (analyze_policy, classify, summarize do): set OFFPEAK_URL and OFFPEAK_KEY for your own
    left out some.ndjson, line 6: /usage: must be what Anthropic reports: input_tokens, output_tokens and the like, as whole numbers
    error: cannot write no/such/folder.html: No such file or directory (os error 2)
    $ offpeak estimate some.ndjson
    exit 1
    --- stdout
    1 request: 11 tokens in, 300 out

    It costs $0.003022 synchronously. Through offpeak it costs about $0.001511: 50.0 % less.

    LANE                                          COST    SHARE
    Synchronously, without caching           $0.003022  100.0 %
    Synchronously, with caching at its best  $0.003022  100.0 %
    Message batches, without caching         $0.001511   50.0 %
    Through offpeak                          $0.001511   50.0 %

    WHAT SAVES                                           SAVED   SHARE
    Half the token price, in batches                 $0.001511  50.0 %
    Together, against synchronously without caching  $0.001511  50.0 %

    What this assumes:
    - NOT PRICED, since no price is known for their model: gpt-9 (1).
    - LEFT OUT, since they could not be read: 5 lines or files.
    - Prices are Anthropic's list prices of the day of each call, today's where no time is given; a batch halves every token and no web search.
    - Prompt tokens of 1 request are estimated (four bytes a token, calibrated against offpeak's stand-in; a real model's count differs).
    - Output of 1 request is not known: 300 tokens, within max_tokens (--output-tokens N for another number).
    - 0 % of the requests are urgent and go at once, at the full price (--urgent 35% to see that).
    - Nothing is cached: no tools and system prompt that requests share are as long as their model asks for.
    - Requests that are equal to the byte within an hour of the first are paid once, unless they are urgent.
    --- stderr
    left out some.ndjson, line 2: must be a JSON object, one a line
    left out some.ndjson, line 3: /input/text: is required
    left out some.ndjson, line 4: /params/model: must be the name of a model
    left out some.ndjson, line 5: no job type "nothing" ships with offpeak (analyze_policy, classify, summarize do): set OFFPEAK_URL and OFFPEAK_KEY for your own
    left out some.ndjson, line 6: /usage: must be what Anthropic reports: input_tokens, output_tokens and the like, as whole numbers
    "#);
    Ok(())
}

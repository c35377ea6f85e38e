//! Sums of the ledger: whatever they are told apart by, they are the sum of the
//! entries to the last pico-dollar, and those are what the stand-in billed.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use offpeak_domain::money::Pico;
use offpeak_standin::Behavior;
use serde_json::{Value, json};

use super::api::Api;
use super::books;

const BY: [&str; 5] = ["day", "model", "type", "user", "lane"];
const COUNTS: [&str; 7] = [
    "attempts",
    "unpriced",
    "input_tokens",
    "output_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "web_searches",
];
const MONEY: [&str; 6] = [
    "cost",
    "cost_sync",
    "saved",
    "saved_batch",
    "saved_cache",
    "saved_reuse",
];

/// Counts and pico-dollars in the order of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sum([i128; 7], [i128; 6]);

impl Sum {
    fn add(&mut self, more: &Self) {
        let counts = self.0.iter_mut().zip(more.0);
        for (sum, more) in counts.chain(self.1.iter_mut().zip(more.1)) {
            *sum += more;
        }
    }
}

/// Rows of a report, by what tells them apart.
type Rows = BTreeMap<Vec<Option<String>>, Sum>;

/// Every entry, as it stands in the table.
async fn entries(api: &Api) -> Result<Vec<Value>> {
    let rows = "SELECT to_jsonb(l)::text FROM offpeak.ledger l";
    let rows = api.world.texts(rows).await?;
    Ok(rows
        .iter()
        .map(|row| serde_json::from_str(row))
        .collect::<Result<_, _>>()?)
}

/// Adds up entries the plain way.
fn added_up(entries: &[Value], by: &[&str]) -> Rows {
    let mut rows = Rows::new();
    for entry in entries {
        let number = |name: &str| i128::from(entry[name].as_i64().unwrap_or(0));
        let (cost, sync) = (number("cost_pico"), number("sync_pico"));
        let (cache, reuse) = (number("saved_cache_pico"), number("saved_reuse_pico"));
        let batch = match &entry["saved_batch_pico"] {
            Value::Null => sync - cost,
            _ => number("saved_batch_pico"),
        };
        let one = Sum(
            [
                1,
                i128::from(entry["unpriced"] == true),
                number("input_tokens"),
                number("output_tokens"),
                number("cache_write_5m") + number("cache_write_1h"),
                number("cache_read_tokens"),
                number("web_searches"),
            ],
            [cost, sync, sync - cost, batch, cache, reuse],
        );
        let key = by
            .iter()
            .map(|name| {
                let column = if *name == "user" { "user_label" } else { *name };
                entry[column].as_str().map(str::to_owned)
            })
            .collect();
        rows.entry(key).or_default().add(&one);
    }
    rows
}

fn sum_of(total: &Value) -> Result<Sum> {
    let mut sum = Sum::default();
    for (at, name) in COUNTS.iter().enumerate() {
        sum.0[at] = total[name].as_u64().context("a count")?.into();
    }
    for (at, name) in MONEY.iter().enumerate() {
        sum.1[at] = total[name]
            .as_str()
            .context("an amount")?
            .parse::<Pico>()?
            .0;
    }
    Ok(sum)
}

/// What the API answers, each row once.
fn told(report: &Value, by: &[&str]) -> Result<Rows> {
    let mut rows = Rows::new();
    for row in report["rows"].as_array().context("rows")? {
        let key = by.iter().map(|name| row[name].as_str().map(str::to_owned));
        let before = rows.insert(key.collect(), sum_of(&row["total"])?);
        assert_eq!(before, None, "a row stands there twice: {row}");
    }
    Ok(rows)
}

/// The same from CSV, whose labels hold no line ends here.
fn read(text: &str, by: &[&str]) -> Result<Rows> {
    let mut lines = text.split_terminator("\r\n");
    let head: Vec<&str> = lines.next().context("a head")?.split(',').collect();
    let expected: Vec<&str> = BY.iter().chain(&COUNTS).chain(&MONEY).copied().collect();
    assert_eq!(head, expected);
    let mut rows = Rows::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |name: &str| -> Result<&str> {
            let at = head.iter().position(|known| *known == name);
            Ok(cells[at.context("a column")?])
        };
        let mut sum = Sum::default();
        for (at, name) in COUNTS.iter().enumerate() {
            sum.0[at] = cell(name)?.parse()?;
        }
        for (at, name) in MONEY.iter().enumerate() {
            sum.1[at] = cell(name)?.parse::<Pico>()?.0;
        }
        let mut key = Vec::new();
        for name in by {
            key.push(Some(cell(name)?.to_owned()).filter(|cell| !cell.is_empty()));
        }
        assert_eq!(
            rows.insert(key, sum),
            None,
            "a line stands there twice: {line}"
        );
    }
    Ok(rows)
}

/// Every way to tell rows apart against the entries, and the total against both.
async fn check(api: &Api, span: &str) -> Result<Sum> {
    let entries = entries(api).await?;
    let all = added_up(&entries, &[]).pop_last().context("entries")?.1;
    for chosen in 1..1_u32 << BY.len() {
        let by: Vec<&str> = (0..BY.len())
            .filter(|at| chosen & (1 << at) != 0)
            .map(|at| BY[at])
            .collect();
        let path = format!("/v1/usage?{span}&by={}", by.join(","));
        let answer = api.get(&path).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let report = answer.json();
        let expected = added_up(&entries, &by);
        assert_eq!(told(&report, &by)?, expected, "by {by:?}");
        assert_eq!(sum_of(&report["total"])?, all, "by {by:?}");
        let csv = api.get(&format!("{path}&format=csv")).await?;
        assert!(
            csv.header("content-type").starts_with("text/csv"),
            "{csv:?}"
        );
        assert_eq!(read(&csv.text, &by)?, expected, "CSV by {by:?}");
    }
    Ok(all)
}

#[tokio::test]
async fn whatever_stands_in_the_ledger_every_sum_is_that_of_its_entries() -> Result<()> {
    let api = Api::new().await?;
    // Everything that an entry can be: old ones, amounts whose sum is beyond 64
    // bits, savings below zero, reused ones, ones without a price.
    api.world
        .meddle(
            "INSERT INTO offpeak.ledger
             WITH seeded AS MATERIALIZED (SELECT setseed(0.25)),
             drawn AS MATERIALIZED (
                 SELECT n, random() AS r, (random() * 4e18)::bigint AS cost,
                        (random() * 4e18)::bigint AS batch,
                        ((random() - 0.5) * 1e18)::bigint AS cache,
                        (random() * 1e6)::bigint AS tokens
                   FROM seeded, generate_series(1, 2000) AS n)
             SELECT t.id, gen_random_uuid(), gen_random_uuid(), 1, now(),
                    DATE '2026-01-05' + n % 9,
                    NULL, (ARRAY['summarize', 'classify', NULL])[1 + n % 3],
                    CASE WHEN n % 4 > 0 THEN 'user ' || n % 7 END,
                    (ARRAY['claude-haiku-5-5', 'claude-opus-5-5'])[1 + n % 2],
                    CASE WHEN n % 5 = 0 THEN 'direct' ELSE 'batch' END,
                    tokens, tokens / 2, tokens / 3, tokens / 5, tokens / 7, n % 11,
                    kind.cost, kind.cost + coalesce(kind.batch, tokens) + kind.cache + kind.reuse,
                    kind.batch, kind.cache, kind.reuse, kind.source, kind.unpriced
               FROM drawn
              CROSS JOIN (SELECT id FROM offpeak.tenant WHERE name = 'acme') AS t
              CROSS JOIN LATERAL (
                   -- Of version 0.1.0; reused; unpriced; any other.
                   SELECT cost, NULL::bigint AS batch, 0 AS cache, 0::bigint AS reuse,
                          NULL::uuid AS source, false AS unpriced WHERE n % 5 > 0 AND r < 0.2
                    UNION ALL
                   SELECT 0, 0, 0, batch, t.id, false WHERE n % 5 > 0 AND r >= 0.2 AND r < 0.3
                    UNION ALL
                   SELECT 0, 0, 0, 0, NULL, true WHERE n % 5 > 0 AND r >= 0.3 AND r < 0.4
                    UNION ALL
                   SELECT cost, CASE WHEN n % 5 = 0 THEN 0 ELSE batch END, cache, 0, NULL, false
                    WHERE n % 5 = 0 OR r >= 0.4) AS kind",
        )
        .await?;
    let broken = "UPDATE offpeak.tenant SET name = name";
    let checked = api.world.invariants_after(broken).await?;
    let adds_up = checked.iter().find(|check| check.name == "savings_add_up");
    assert_eq!(adds_up.context("the check")?.broken, 0);

    let all = check(&api, "from=2026-01-01&to=2026-01-31").await?;
    assert_eq!(all.0[0], 2_000);
    assert!(all.0[1] > 0, "some without a price");
    assert!(all.1[0] > i128::from(i64::MAX), "beyond a bigint: {all:?}");
    assert_eq!(
        all.1[2],
        all.1[3] + all.1[4] + all.1[5],
        "what was saved is all there"
    );
    // A part of the days is a part of the sum.
    let some = api
        .get("/v1/usage?from=2026-01-06&to=2026-01-07")
        .await?
        .json();
    let mut apart = Sum::default();
    for day in ["2026-01-06", "2026-01-07"] {
        let one = api.get(&format!("/v1/usage?from={day}&to={day}")).await?;
        apart.add(&sum_of(&one.json()["total"])?);
    }
    assert_eq!(sum_of(&some["total"])?, apart);
    Ok(())
}

/// A raw job that shares a prefix of some 700 tokens.
fn shared(text: &str, model: &str, place: &str, ttl: &str) -> Value {
    json!({
        "model": model, "max_tokens": 64, "inference_geo": place,
        "system": [{
            "type": "text", "text": "Say it again. ".repeat(220),
            "cache_control": { "type": "ephemeral", "ttl": ttl },
        }],
        "messages": [{ "role": "user", "content": text }],
    })
}

#[tokio::test]
async fn totals_are_what_the_stand_in_billed() -> Result<()> {
    let mut api = Api::new().await?;
    api.world.standin.set_behavior(Behavior {
        cache_hit_rate: 0.6,
        ..Behavior::default()
    });
    let mut lines = String::new();
    for (n, (model, place, ttl)) in [
        ("claude-haiku-5-5", "us", "5m"),
        ("claude-haiku-5-5", "global", "1h"),
        ("claude-sonnet-5-5", "us", "1h"),
        ("claude-sonnet-5-5", "global", "5m"),
    ]
    .into_iter()
    .cycle()
    .take(24)
    .enumerate()
    {
        let params = shared(&format!("Text {n}."), model, place, ttl);
        lines += &json!({ "params": params, "user": format!("u{}", n % 3) }).to_string();
        lines.push('\n');
    }
    for n in 0..4 {
        let input = json!({ "text": format!("Document {n}. It is short.") });
        lines += &json!({ "type": "summarize", "input": input }).to_string();
        lines.push('\n');
    }
    let accepted = api.post("/v1/jobs/bulk", lines).await?;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    api.world.run_out().await?;

    let all = check(&api, "").await?;
    assert_eq!(all.0[0], 28, "{all:?}");
    assert!(
        all.0[4] > 0 && all.0[5] > 0,
        "both written and read: {all:?}"
    );
    // The journal, priced entry by entry.
    let mut billed = [0; 5];
    for item in api.world.standin.journal()? {
        let bill = books::bill_of(&api.world.prices, &item)?;
        assert!(bill.adds_up());
        let parts = [
            bill.cost,
            bill.sync,
            bill.saved(),
            bill.saved_batch,
            bill.saved_cache,
        ];
        for (sum, part) in billed.iter_mut().zip(parts) {
            *sum += part.0;
        }
    }
    assert_eq!(all.1[..5], billed);
    assert_ne!(billed[4], 0, "the cache made a difference");
    // A group's sums are the same.
    let group = api
        .get(&format!("/v1/groups/{}", accepted.at("/group")))
        .await?;
    assert_eq!(group.at("/cost").parse::<Pico>()?.0, billed[0]);
    assert_eq!(group.at("/cost_sync").parse::<Pico>()?.0, billed[1]);
    books::are_right(&api.world).await
}

#[tokio::test]
async fn csv_is_for_whoever_asks_for_it() -> Result<()> {
    let api = Api::new().await?;
    let accepting = async |accept: &'static str, path: &str| {
        let header = ("accept", accept);
        api.send(reqwest::Method::GET, path, &api.key, &[header], "")
            .await
    };
    for (accept, path, is_csv) in [
        ("text/csv", "/v1/usage", true),
        (
            "text/html, text/csv;q=0.9, */*;q=0.1",
            "/v1/usage?by=user",
            true,
        ),
        ("application/json, text/csv", "/v1/usage", false),
        ("*/*", "/v1/usage", false),
        ("text/csv", "/v1/usage?format=json", false),
        ("application/json", "/v1/usage?format=csv", true),
    ] {
        let answer = accepting(accept, path).await?;
        let kind = answer.header("content-type");
        assert_eq!(
            kind.starts_with("text/csv"),
            is_csv,
            "{accept} {path}: {kind}"
        );
        assert_eq!(answer.status, 200);
        // Nothing was used: the head alone.
        assert!(!is_csv || answer.text.lines().count() == 1, "{answer:?}");
    }
    let wrong = api.get("/v1/usage?format=xml").await?;
    assert_eq!(
        wrong.problem(),
        r#"400 invalid_query "format" "invalid_value""#
    );
    Ok(())
}

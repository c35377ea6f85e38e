//! How jobs end, as programs see it: results, cancel, retry, money.

use std::time::Duration;

use anyhow::Result;
use offpeak_worker::Loop;
use serde_json::json;

use crate::api::{Api, raw_job};
use crate::books;

const CLASSIFY: &str = r#"{"type":"classify","metadata":{ "n" : 1 },
    "input":{"text":"Permission is hereby granted.","categories":["MIT","BSD"]}}"#;

/// Until its batch is at Anthropic.
async fn send_off(api: &Api) -> Result<()> {
    api.world.pass(Duration::from_secs(10));
    api.world.worker.settle_down().await?;
    Ok(())
}

#[tokio::test]
async fn a_group_goes_all_the_way() -> Result<()> {
    let mut api = Api::new().await?;
    let body = format!(
        "{}\n{}\n",
        CLASSIFY.replace('\n', " "),
        raw_job("One fine day.")
    );
    let accepted = api.post("/v1/jobs/bulk?name=two", body).await?;
    let group = format!("/v1/groups/{}", accepted.at("/group"));
    assert!(
        api.get(&format!("{group}/results"))
            .await?
            .lines()
            .is_empty()
    );
    api.world.run_out().await?;

    let shown = api.get(&group).await?;
    assert_eq!(
        (shown.at("/counts/completed"), shown.at("/done")),
        ("2".into(), "true".into())
    );
    let results = api.get(&format!("{group}/results")).await?.lines();
    assert_eq!(results.len(), 2);
    let (classified, told) = (&results[0], &results[1]);
    assert_eq!(classified["type"], "classify");
    assert_eq!(classified["metadata"], json!({"n": 1}));
    assert!(classified["output"].is_object(), "{classified}");
    assert!(
        told["output"].is_null() && told["text"].is_string(),
        "{told}"
    );
    assert!(
        told["message"]["id"]
            .as_str()
            .is_some_and(|id| id.contains("standin")),
        "{told}"
    );
    let brief = api
        .get(&format!("{group}/results?message=false"))
        .await?
        .lines();
    assert!(brief[0]["message"].is_null() && brief[0]["text"] == classified["text"]);
    assert!(
        results
            .iter()
            .chain(&brief)
            .all(|one| one["standin"] == true)
    );

    let job = format!("/v1/jobs/{}", told["job"].as_str().expect("an id"));
    assert_eq!(&api.get(&format!("{job}/result")).await?.json(), told);
    let ended = api.get(&job).await?;
    assert_eq!(ended.at("/state"), "completed");
    assert!(ended.json().get("latest_by").is_none() && ended.json().get("ended_at").is_some());

    // The same money, whoever is asked.
    let usage = api.get("/v1/usage").await?;
    assert_eq!(usage.at("/total/attempts"), "2");
    for sum in ["cost", "cost_sync", "saved"] {
        assert_eq!(
            shown.at(&format!("/{sum}")),
            usage.at(&format!("/total/{sum}")),
            "{sum}"
        );
    }
    assert_ne!(shown.at("/saved"), "0");
    assert_eq!(
        usage.json()["rows"].as_array().map(Vec::len),
        Some(2),
        "{usage:?}"
    );
    let batch = api.get("/v1/batches").await?;
    assert_eq!(
        (batch.at("/data/0/state"), batch.at("/data/0/items")),
        ("ingested".into(), "2".into())
    );
    assert_eq!(batch.at("/data/0/counts/succeeded"), "2");
    let one = api
        .get(&format!("/v1/batches/{}", batch.at("/data/0/id")))
        .await?;
    assert_eq!(one.json(), batch.json()["data"][0]);
    books::are_right(&api.world).await
}

#[tokio::test]
async fn the_results_of_a_group_are_csv_for_whoever_asks_for_it() -> Result<()> {
    let mut api = Api::new().await?;
    let body = format!(
        "{}\n{}\n",
        CLASSIFY
            .replace('\n', " ")
            .replace("\"metadata\"", "\"user\":\"=1+\\\"2\\\"\\n\",\"metadata\""),
        raw_job("One fine day.")
    );
    let accepted = api.post("/v1/jobs/bulk", body).await?;
    let group = accepted.at("/group");
    let results = format!("/v1/groups/{group}/results");
    let csv = format!("{results}?format=csv");

    let none = api.get(&csv).await?;
    assert!(
        none.header("content-type").starts_with("text/csv"),
        "{none:?}"
    );
    assert_eq!(
        none.header("content-disposition"),
        format!("attachment; filename=\"{group}.csv\"")
    );
    let columns = none.text.strip_suffix("\r\n").map(|line| line.split(','));
    assert_eq!(columns.map(Iterator::count), Some(20), "{none:?}");
    api.world.run_out().await?;

    let told = api.get(&csv).await?.text;
    let rest = told.strip_prefix(&none.text).expect("the same head");
    let lines = api.get(&results).await?.lines();
    let quoted = |text: &str| text.replace('"', "\"\"");
    for (line, user, answer) in [
        (
            &lines[0],
            "\"'=1+\"\"2\"\"\n\",\"{\"\"n\"\":1}\"",
            format!(",\"{}\"", quoted(&lines[0]["output"].to_string())),
        ),
        (
            &lines[1],
            ",",
            format!("{},", lines[1]["text"].as_str().expect("a text")),
        ),
    ] {
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let tokens = |name: &str| line["usage"][name].to_string();
        let begun = api.get(&format!("/v1/jobs/{}", word("job"))).await?;
        let record = [
            word("job"),
            word("state"),
            String::new(),
            String::new(),
            word("type"),
            user.to_owned(),
            word("model"),
            "true".to_owned(),
            answer,
            word("stop_reason"),
            tokens("input_tokens"),
            tokens("output_tokens"),
            tokens("cache_write_tokens"),
            tokens("cache_read_tokens"),
            word("cost"),
            word("cost_sync"),
            begun.at("/created_at"),
            word("ended_at"),
        ];
        let record = format!("{}\r\n", record.join(","));
        assert!(rest.contains(&record), "{record}: {rest}");
    }
    let wrong = api.get(&format!("{results}?format=xml")).await?;
    assert_eq!(
        wrong.problem(),
        r#"400 invalid_query "format" "invalid_value""#
    );
    Ok(())
}

#[tokio::test]
async fn a_queued_job_that_is_canceled_never_runs() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api.post("/v1/jobs", raw_job("no")).await?.at("/id");
    let early = api.get(&format!("/v1/jobs/{id}/result")).await?;
    assert_eq!(early.problem(), "409 job_not_ended");
    assert_eq!(
        api.post(&format!("/v1/jobs/{id}/retry"), "")
            .await?
            .problem(),
        "409 job_not_ended"
    );
    let canceled = api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
    assert_eq!(
        (canceled.status, canceled.at("/state")),
        (200, "canceled".into())
    );
    let again = api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
    assert_eq!(again.json(), canceled.json());
    let result = api.get(&format!("/v1/jobs/{id}/result")).await?;
    assert_eq!(
        (result.at("/state"), result.at("/cost")),
        ("canceled".into(), "0".into())
    );

    api.world.run_out().await?;
    assert_eq!(api.get("/v1/batches").await?.json()["data"], json!([]));
    let retried = api.post(&format!("/v1/jobs/{id}/retry"), "").await?;
    assert_eq!(
        (retried.at("/state"), retried.at("/attempt")),
        ("queued".into(), "2".into())
    );
    api.world.run_out().await?;
    assert_eq!(
        api.get(&format!("/v1/jobs/{id}")).await?.at("/state"),
        "completed"
    );
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_job_canceled_at_anthropic_is_paid_set_aside_and_retried_afterwards() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api.post("/v1/jobs", raw_job("late")).await?.at("/id");
    let other = api.post("/v1/jobs", raw_job("stays")).await?.at("/id");
    send_off(&api).await?;
    assert_eq!(
        api.get(&format!("/v1/jobs/{id}")).await?.at("/state"),
        "submitted"
    );
    let canceled = api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
    assert_eq!(canceled.at("/state"), "canceled");
    assert_eq!(api.world.counted("submitted").await?, 1);
    assert_eq!(
        api.post(&format!("/v1/jobs/{id}/retry"), "")
            .await?
            .problem(),
        "409 job_in_flight"
    );
    api.world.run_out().await?;
    for _ in 0..20 {
        // Its batch comes back after the other job's result was all that was open.
        api.world.pass(Duration::from_secs(30));
        api.world.worker.settle_down().await?;
    }
    assert_eq!(
        api.get(&format!("/v1/jobs/{id}")).await?.at("/state"),
        "canceled"
    );
    assert_eq!(
        api.get(&format!("/v1/jobs/{other}")).await?.at("/state"),
        "completed"
    );
    books::are_right(&api.world).await?;

    let retried = api.post(&format!("/v1/jobs/{id}/retry"), "").await?;
    assert_eq!(
        (retried.status, retried.at("/attempt")),
        (200, "2".into()),
        "{retried:?}"
    );
    api.world.run_out().await?;
    assert_eq!(
        api.get(&format!("/v1/jobs/{id}")).await?.at("/state"),
        "completed"
    );
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_batch_in_the_making_gives_a_canceled_job_up() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api.post("/v1/jobs", raw_job("planned")).await?.at("/id");
    api.world.pass(Duration::from_secs(10));
    api.world.worker.tick(Loop::Form).await?;
    let job = api.get(&format!("/v1/jobs/{id}")).await?;
    assert_eq!(
        (job.at("/state"), job.at("/detail")),
        ("queued".into(), "sending".into())
    );
    api.post(&format!("/v1/jobs/{id}/cancel"), "").await?;
    api.world.run_out().await?;
    for _ in 0..20 {
        api.world.pass(Duration::from_secs(30));
        api.world.worker.settle_down().await?;
    }
    assert_eq!(
        api.get(&format!("/v1/jobs/{id}")).await?.at("/state"),
        "canceled"
    );
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_completed_job_runs_again_on_demand_and_both_runs_are_booked() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api.post("/v1/jobs", CLASSIFY).await?.at("/id");
    api.world.run_out().await?;
    let first = api.get(&format!("/v1/jobs/{id}/result")).await?;
    let refused = api.post(&format!("/v1/jobs/{id}/retry"), "").await?;
    assert_eq!(refused.problem(), "409 already_completed");
    assert!(refused.at("/detail").contains("?completed=true"));
    let kept = api.get(&format!("/v1/jobs/{id}/result")).await?;
    assert_eq!(kept.json(), first.json());
    let retried = api
        .post(&format!("/v1/jobs/{id}/retry?completed=true"), "")
        .await?;
    assert_eq!(retried.at("/state"), "queued");
    assert_eq!(
        api.get(&format!("/v1/jobs/{id}/result")).await?.problem(),
        "409 job_not_ended"
    );
    api.world.run_out().await?;
    let second = api.get(&format!("/v1/jobs/{id}/result")).await?;
    assert_eq!(
        (first.at("/attempt"), second.at("/attempt")),
        ("1".into(), "2".into())
    );
    assert_eq!(
        api.get("/v1/usage?by=day").await?.at("/total/attempts"),
        "2"
    );
    let kept = "SELECT count(*) FROM offpeak.attempt WHERE line IS NOT NULL AND cost_pico > 0";
    assert_eq!(api.world.number(kept).await?, 1);
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_failed_job_says_why_in_the_same_words_everywhere() -> Result<()> {
    let mut api = Api::plain().await?;
    let body = format!("{}\n{}\n", raw_job("bad"), raw_job("good"));
    let accepted = api.post("/v1/jobs/bulk", body).await?;
    let group = format!("/v1/groups/{}", accepted.at("/group"));
    // Anthropic's own check finds what ours would have refused.
    api.world
        .meddle(
            r#"UPDATE offpeak.payload
                  SET params = convert_to(replace(convert_from(params, 'UTF8'),
                                                  '"max_tokens":256', '"max_tokens":-56'), 'UTF8')
                WHERE convert_from(params, 'UTF8') LIKE '%"bad"%'"#,
        )
        .await?;
    api.world.run_out().await?;

    let lines = api
        .get(&format!("{group}/results?message=false"))
        .await?
        .lines();
    let failed = &lines[0];
    assert_eq!(
        (&failed["state"], &failed["label"], &failed["standin"]),
        (&json!("failed"), &json!("invalid_request"), &json!(true))
    );
    assert_eq!(failed["error"]["error"]["type"], "invalid_request_error");
    let cause = failed["error"]["error"]["message"].as_str();
    assert!(
        cause.is_some_and(|cause| cause.contains("max_tokens")),
        "{failed}"
    );
    assert!(failed.get("text").is_none() && failed.get("output").is_none());

    let id = failed["job"].as_str().expect("an id");
    let result = api.get(&format!("/v1/jobs/{id}/result")).await?;
    assert_eq!(&result.json(), failed);
    let job = api.get(&format!("/v1/jobs/{id}")).await?.json();
    assert!(job.get("message").is_none());
    for word in ["reason", "label"] {
        assert!(job[word].is_string() && job[word] == failed[word], "{job}");
    }

    // The good one has an answer to lose.
    let retried = api.post(&format!("{group}/retry"), "").await?;
    assert_eq!(retried.at("/retried"), "1");
    assert_eq!(retried.at("/group/counts/completed"), "1");
    Ok(())
}

#[tokio::test]
async fn a_result_says_who_answered_whatever_the_jobs_go_to_now() -> Result<()> {
    let mut api = Api::plain().await?;
    let id = api.post("/v1/jobs", raw_job("whose?")).await?.at("/id");
    api.world.run_out().await?;
    let path = format!("/v1/jobs/{id}/result");
    assert_eq!(api.get(&path).await?.at("/standin"), "true");
    api.world
        .meddle(
            "UPDATE offpeak.output
                SET line = convert_to(replace(convert_from(line, 'UTF8'), '_standin_', '_'), 'UTF8')",
        )
        .await?;
    assert_eq!(api.get(&path).await?.at("/standin"), "true");
    api.world
        .meddle(
            "UPDATE offpeak.batch
                SET upstream_batch_id = replace(upstream_batch_id, '_standin_', '_')",
        )
        .await?;
    assert!(api.get(&path).await?.json().get("standin").is_none());
    Ok(())
}

#[tokio::test]
async fn a_group_is_canceled_and_retried_as_one() -> Result<()> {
    let mut api = Api::new().await?;
    let lines: String = (0..1_200)
        .map(|i| raw_job(&format!("{i}")) + "\n")
        .collect();
    let group = api.post("/v1/jobs/bulk", lines).await?.at("/group");
    let first = api
        .get(&format!("/v1/jobs?group={group}&limit=1"))
        .await?
        .at("/data/0/id");
    api.post(&format!("/v1/jobs/{first}/cancel"), "").await?;

    let canceled = api.post(&format!("/v1/groups/{group}/cancel"), "").await?;
    assert_eq!(
        (canceled.at("/canceled"), canceled.at("/group/done")),
        ("1199".into(), "true".into())
    );
    assert_eq!(canceled.at("/group/counts/canceled"), "1200");
    let ended = api
        .get(&format!(
            "/v1/jobs?state=canceled,failed&group={group}&limit=200"
        ))
        .await?;
    assert_eq!(ended.json()["data"].as_array().map(Vec::len), Some(200));
    assert_eq!(
        api.world
            .number("SELECT count(*) FROM offpeak.ready")
            .await?,
        0
    );

    let retried = api.post(&format!("/v1/groups/{group}/retry"), "").await?;
    assert_eq!(
        (retried.at("/retried"), retried.at("/in_flight")),
        ("1200".into(), "0".into())
    );
    assert_eq!(retried.at("/group/counts/queued"), "1200");
    let again = api.post(&format!("/v1/groups/{group}/retry"), "").await?;
    assert_eq!(again.at("/retried"), "0");
    api.world.run_out().await?;
    let shown = api.get(&format!("/v1/groups/{group}")).await?;
    assert_eq!(shown.at("/counts/completed"), "1200");
    let results = api
        .get(&format!("/v1/groups/{group}/results"))
        .await?
        .lines();
    assert_eq!(results.len(), 1_200);
    let csv = api
        .get(&format!("/v1/groups/{group}/results?format=csv"))
        .await?;
    let records = csv.text.matches("\r\n").count();
    assert_eq!(records, 1_201, "its head stands once, over several steps");
    books::are_right(&api.world).await
}

#[tokio::test]
async fn a_group_of_which_a_job_cannot_be_caught_is_not_said_to_be_canceled() -> Result<()> {
    let api = Api::new().await?;
    let body = format!("{}\n{}\n", raw_job("one"), raw_job("two"));
    let group = api.post("/v1/jobs/bulk", body).await?.at("/group");
    let cancel = format!("/v1/groups/{group}/cancel");
    // As if it were just on its way from the queue into a batch, each time that
    // somebody looks.
    api.world
        .meddle(
            "CREATE TABLE public.hidden AS
             WITH one AS (DELETE FROM offpeak.ready
                           WHERE id = (SELECT id FROM offpeak.ready ORDER BY id LIMIT 1)
                          RETURNING *)
             SELECT * FROM one",
        )
        .await?;
    let answer = api.post(&cancel, "").await?;
    assert_eq!(answer.problem(), "503 unavailable");
    api.world
        .meddle("INSERT INTO offpeak.ready SELECT * FROM public.hidden")
        .await?;
    let answer = api.post(&cancel, "").await?;
    assert_eq!(answer.at("/group/counts/canceled"), "2");
    Ok(())
}

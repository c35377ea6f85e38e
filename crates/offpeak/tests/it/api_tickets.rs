//! Tickets: what the browser of a tenant's own user sees, and what it does not.

#![expect(clippy::expect_used, reason = "a test ends where it cannot go on")]

use anyhow::Result;
use offpeak_worker::Loop;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api, raw_job};
use crate::api_walls::operations;

pub(crate) const PAGE: &str = "https://app.example.com";

/// A job with a user and metadata of the app.
pub(crate) fn job_of(user: &str, prompt: &str) -> String {
    let raw = raw_job(prompt);
    raw.replacen(
        '{',
        &format!(r#"{{"user":"{user}","metadata":{{"of":"acme"}},"#),
        1,
    )
}

impl Api {
    pub(crate) async fn ticket(&self, key: &str, asked: Value) -> Result<String> {
        let made = self
            .send(
                Method::POST,
                "/v1/live/tickets",
                key,
                &[],
                asked.to_string(),
            )
            .await?;
        assert_eq!(made.status, 201, "{made:?}");
        Ok(made.at("/ticket"))
    }

    pub(crate) async fn submit(&self, key: &str, body: String) -> Result<String> {
        let made = self.send(Method::POST, "/v1/jobs", key, &[], body).await?;
        assert_eq!(made.status, 202, "{made:?}");
        Ok(made.at("/id"))
    }

    pub(crate) async fn allow(&self, key: &str, origins: Value) -> Result<Answer> {
        let body = json!({ "origins": origins }).to_string();
        self.send(Method::PUT, "/v1/live/origins", key, &[], body)
            .await
    }

    /// A GET with a ticket, from a page or from none.
    pub(crate) async fn read(
        &self,
        ticket: &str,
        path: &str,
        page: Option<&str>,
    ) -> Result<Answer> {
        let origin: Vec<_> = page.map(|page| ("origin", page)).into_iter().collect();
        self.send(Method::GET, path, ticket, &origin, "").await
    }

    /// The ids of a list, read with a ticket page by page.
    async fn ids(&self, ticket: &str, filter: &str) -> Result<Vec<String>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/jobs?limit=1{filter}{cursor}");
            let page = self.read(ticket, &path, None).await?;
            assert_eq!(page.status, 200, "{page:?}");
            let page = page.json();
            for job in page["data"].as_array().expect("a list") {
                all.push(job["id"].as_str().expect("an id").to_owned());
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }
}

pub(crate) fn granted(answer: &Answer) -> &str {
    answer.header("access-control-allow-origin")
}

#[tokio::test]
async fn a_ticket_opens_its_users_jobs_and_no_others() -> Result<()> {
    let mut api = Api::new().await?;
    let (_, other) = api.tenant("other").await?;
    let mine = api.submit(&api.key, job_of("ann", "One.")).await?;
    let bobs = api.submit(&api.key, job_of("bob", "Two.")).await?;
    let nobodys = api.submit(&api.key, raw_job("Three.")).await?;
    let elsewhere = api.submit(&other, job_of("ann", "Four.")).await?;
    let lines = format!("{}\n{}", job_of("ann", "Five."), job_of("bob", "Six."));
    let group = api.post("/v1/jobs/bulk", lines).await?.at("/group");
    api.world.run_out().await?;
    let late = api.submit(&api.key, job_of("ann", "Seven.")).await?;
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;

    let seen = api.ids(&ticket, "").await?;
    assert_eq!((seen.len(), &seen[0], &seen[2]), (3, &late, &mine));
    let in_group = api.ids(&ticket, &format!("&group={group}")).await?;
    assert_eq!(in_group, seen[1..2]);
    assert_eq!(api.ids(&ticket, "&state=queued").await?, seen[..1]);
    assert_eq!(api.ids(&ticket, "&user=ann").await?, seen);
    assert_eq!(api.ids(&ticket, "&user=bob").await?, [""; 0]);

    let id = [("x-request-id", "same")];
    let nothing = "job_00000000000000000000000000".to_owned();
    for end in ["", "/result"] {
        let at = |id: &str| format!("/v1/jobs/{id}{end}");
        assert_eq!(api.read(&ticket, &at(&mine), None).await?.status, 200);
        let none = api
            .send(Method::GET, &at(&nothing), &ticket, &id, "")
            .await?;
        for hidden in [&bobs, &nobodys, &elsewhere] {
            let answer = api.send(Method::GET, &at(hidden), &ticket, &id, "").await?;
            assert_eq!(answer.problem(), "404 not_found");
            assert_eq!(answer.text, none.text);
        }
    }
    let waits = api
        .read(&ticket, &format!("/v1/jobs/{late}/result"), None)
        .await?;
    assert_eq!(waits.problem(), "409 job_not_ended");
    // A page of everything does not go on with a ticket.
    let cursor = api.get("/v1/jobs?limit=1").await?.at("/next_cursor");
    let foreign = api
        .read(&ticket, &format!("/v1/jobs?limit=1&cursor={cursor}"), None)
        .await?;
    assert_eq!(
        foreign.problem(),
        r#"400 invalid_cursor "cursor" "invalid_cursor""#
    );
    Ok(())
}

#[tokio::test]
async fn a_ticket_opens_its_groups_jobs_and_no_others() -> Result<()> {
    let mut api = Api::new().await?;
    let two = format!("{}\n{}", job_of("ann", "One."), job_of("bob", "Two."));
    let group = api.post("/v1/jobs/bulk", two.clone()).await?.at("/group");
    let second = api.post("/v1/jobs/bulk", two.clone()).await?.at("/group");
    let alone = api.submit(&api.key, job_of("ann", "Three.")).await?;
    let ticket = api.ticket(&api.key, json!({"group": group})).await?;
    let seen = api.ids(&ticket, "").await?;
    assert_eq!(seen.len(), 2);
    assert_eq!(api.ids(&ticket, "&user=ann").await?.len(), 1);
    let others = api.ids(&ticket, &format!("&group={second}")).await?;
    assert_eq!(others, [""; 0]);
    for id in api.ids(&api.key, &format!("&group={second}")).await? {
        let hidden = api.read(&ticket, &format!("/v1/jobs/{id}"), None).await?;
        assert_eq!(hidden.problem(), "404 not_found");
    }
    let hidden = api
        .read(&ticket, &format!("/v1/jobs/{alone}"), None)
        .await?;
    assert_eq!(hidden.problem(), "404 not_found");
    let shown = api
        .read(&ticket, &format!("/v1/jobs/{}", seen[0]), None)
        .await?;
    assert_eq!(shown.at("/group"), group);

    // One of another tenant, and one that is not open yet, are not there.
    let (_, other) = api.tenant("other").await?;
    let asked = json!({"group": group}).to_string();
    let unknown = r#"422 invalid_input "/group" "unknown_group""#;
    let refused = api
        .send(Method::POST, "/v1/live/tickets", &other, &[], asked.clone())
        .await?;
    assert_eq!(refused.problem(), unknown);
    api.world
        .meddle("UPDATE offpeak.job_group SET opened_at = NULL")
        .await?;
    let refused = api.post("/v1/live/tickets", asked).await?;
    assert_eq!(refused.problem(), unknown);
    Ok(())
}

#[tokio::test]
async fn a_ticket_does_nothing_else() -> Result<()> {
    let api = Api::new().await?;
    let mine = api.submit(&api.key, job_of("ann", "One.")).await?;
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;
    let before = api.world.everything().await?;
    let mut refused = 0;
    for operation in operations() {
        let reads = ["/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/result"]
            .contains(&operation.path.as_str());
        let live = ["/v1/live", "/v1/events"].contains(&operation.path.as_str());
        let open = !operation.is_of_tenants();
        if open || live || reads && operation.method == Method::GET {
            continue;
        }
        let path = operation.path.replace("{id}", &mine);
        let answer = api
            .send(
                operation.method.clone(),
                &path,
                &ticket,
                &[],
                job_of("ann", "x"),
            )
            .await?;
        assert_eq!(answer.problem(), "403 ticket_scope", "{operation:?}");
        refused += 1;
    }
    assert!(refused > 15, "{refused}");
    assert_eq!(api.world.everything().await?, before, "nothing changed");
    Ok(())
}

#[tokio::test]
async fn what_a_ticket_reads_leaves_out_what_is_the_tenants() -> Result<()> {
    let mut api = Api::new().await?;
    let id = api.submit(&api.key, job_of("ann", "One.")).await?;
    api.world.run_out().await?;
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;
    let hidden = ["cost", "cost_sync", "metadata", "batch", "usage"];
    for (path, place) in [
        (format!("/v1/jobs/{id}"), ""),
        (format!("/v1/jobs/{id}/result"), ""),
        ("/v1/jobs".to_owned(), "/data/0"),
    ] {
        let (whole, seen) = (api.get(&path).await?, api.read(&ticket, &path, None).await?);
        let (whole, seen) = (whole.json(), seen.json());
        let mut whole = whole.pointer(place).expect("a job").clone();
        let members = whole.as_object_mut().expect("an object");
        for field in hidden {
            assert!(members.remove(field).is_some(), "{path} {field}");
        }
        if let Some(message) = members.get_mut("message") {
            let message = message.as_object_mut().expect("a message");
            assert!(message.remove("usage").is_some(), "{path}");
        }
        // All else is there, the user too.
        assert_eq!(seen.pointer(place), Some(&whole), "{path}");
        assert_eq!(whole["user"], "ann");
        for field in hidden {
            assert!(
                !seen.to_string().contains(&format!("\"{field}\":")),
                "{path} {field}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_ticket_that_is_over_opens_nothing_and_says_so_to_its_page() -> Result<()> {
    let mut api = Api::new().await?;
    api.submit(&api.key, job_of("ann", "One.")).await?;
    assert_eq!(api.allow(&api.key, json!([PAGE])).await?.status, 200);
    let second = api.another_key().await?;
    let of_second = api.ticket(&second, json!({"user": "ann"})).await?;
    let asked = json!({"user": "ann", "ttl": 10}).to_string();
    let made = api.post("/v1/live/tickets", asked).await?;
    assert_eq!(made.at("/user"), "ann");
    let expiring = made.at("/ticket");
    let lasts = "SELECT extract(epoch FROM expires_at - created_at)::bigint
                   FROM offpeak.ticket ORDER BY expires_at LIMIT 1";
    assert_eq!(api.world.number(lasts).await?, 10);
    let unless_said = "SELECT extract(epoch FROM expires_at - created_at)::bigint
                         FROM offpeak.ticket ORDER BY expires_at DESC LIMIT 1";
    assert_eq!(api.world.number(unless_said).await?, 600);
    for ticket in [&expiring, &of_second] {
        assert_eq!(api.read(ticket, "/v1/jobs", Some(PAGE)).await?.status, 200);
    }

    api.world
        .meddle(
            "UPDATE offpeak.ticket SET expires_at = clock_timestamp()
              WHERE expires_at < created_at + interval '1 minute'",
        )
        .await?;
    let over = api.read(&expiring, "/v1/jobs", Some(PAGE)).await?;
    assert_eq!(over.problem(), "401 unauthenticated");
    assert_eq!(granted(&over), PAGE, "the page has to hear it");
    let over = api
        .read(&expiring, "/v1/jobs", Some("https://evil.example"))
        .await?;
    assert_eq!((over.status, granted(&over)), (401, ""));
    assert_eq!(api.read(&of_second, "/v1/jobs", None).await?.status, 200);

    api.world
        .meddle(
            "UPDATE offpeak.api_key SET revoked_at = now()
              WHERE id = (SELECT max(id::text)::uuid FROM offpeak.api_key)",
        )
        .await?;
    let over = api.read(&of_second, "/v1/jobs", None).await?;
    assert_eq!(over.problem(), "401 unauthenticated");
    let open = api.ticket(&api.key, json!({"user": "ann"})).await?;
    assert_eq!(api.read(&open, "/v1/jobs", None).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_ticket_may_stand_in_the_query_of_what_it_opens() -> Result<()> {
    let api = Api::new().await?;
    let id = api.submit(&api.key, job_of("ann", "One.")).await?;
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;
    let status = async |path: String| -> Result<String> {
        let answer = api.read("", &path, None).await?;
        Ok(match answer.status {
            200 => "200".to_owned(),
            _ => answer.problem(),
        })
    };
    for (path, want) in [
        (format!("/v1/jobs?ticket={ticket}"), "200"),
        (format!("/v1/jobs?user=ann&ticket={ticket}&limit=1"), "200"),
        (format!("/v1/jobs/{id}?ticket={ticket}"), "200"),
        (
            format!("/v1/jobs/{id}/result?ticket={ticket}"),
            "409 job_not_ended",
        ),
        (
            format!("/v1/jobs?ticket={ticket}&ticket={ticket}"),
            r#"400 invalid_query "ticket" "duplicate""#,
        ),
        (format!("/v1/jobs?ticket={ticket}x"), "401 unauthenticated"),
        ("/v1/jobs?ticket=".into(), "401 unauthenticated"),
        (format!("/v1/groups?ticket={ticket}"), "401 unauthenticated"),
        (format!("/v1/usage?ticket={ticket}"), "401 unauthenticated"),
    ] {
        assert_eq!(status(path.clone()).await?, want, "{path}");
    }
    // The cookie of somebody who is signed in here as well is not asked.
    let headers = [("cookie", "offpeak_session=x")];
    let path = format!("/v1/jobs?ticket={ticket}");
    let answer = api.send(Method::GET, &path, "", &headers, "").await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn an_answer_says_up_to_which_event_it_holds() -> Result<()> {
    let api = Api::new().await?;
    let id = api.submit(&api.key, job_of("ann", "One.")).await?;
    let group = api
        .post("/v1/jobs/bulk", raw_job("Two."))
        .await?
        .at("/group");
    let ticket = api.ticket(&api.key, json!({"user": "ann"})).await?;
    let paths = [
        "/v1/jobs".to_owned(),
        "/v1/jobs?user=nobody".to_owned(),
        format!("/v1/jobs/{id}"),
        format!("/v1/groups/{group}"),
    ];
    let reached = async |key: &str, path: &str| -> Result<(String, u64)> {
        let answer = api.send(Method::GET, path, key, &[], "").await?;
        let (epoch, seq) = answer
            .header("offpeak-cursor")
            .split_once('.')
            .unwrap_or_else(|| panic!("{answer:?}"));
        Ok((epoch.to_owned(), seq.parse()?))
    };
    for path in &paths {
        assert_eq!(reached(&api.key, path).await?.1, 0, "{path}");
    }
    api.world.worker.tick(Loop::Relay).await?;
    let (epoch, seq) = reached(&api.key, "/v1/jobs").await?;
    assert!(seq > 0 && epoch.len() == 8, "{epoch}.{seq}");
    for path in &paths {
        assert_eq!(reached(&api.key, path).await?, (epoch.clone(), seq));
    }
    assert_eq!(reached(&ticket, "/v1/jobs").await?, (epoch.clone(), seq));
    assert_eq!(reached(&ticket, &paths[1]).await?, (epoch, seq));
    Ok(())
}

//! The walls between tenants, tried at every place of every route: as whoever should not
//! come in, what is another tenant's answers byte for byte as what nobody has, changes
//! nothing and is told of nowhere.
//!
//! Three runs of the same. The whole; the statements alone, with policies that let
//! everything through; and row-level security alone, with the victim's id bound to the
//! statements (`--features torture`, which no build has that is shipped). Each ends with
//! a line of JSON that counts the cases and what was found.

use std::collections::BTreeSet;

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api_people::needs;
use crate::live::{Live, relay};

mod ask;
mod heard;
mod kinds;
mod places;
mod stage;

use ask::{Ask, comparable};
use kinds::Kind;
use places::Operation;
use stage::{Actor, As, Stage};

/// Lets the API's role through to every row of every table.
const OPENED: &str = "DO $$
    DECLARE t text;
    BEGIN
        FOR t IN SELECT c.relname FROM pg_class c
                  WHERE c.relnamespace = 'offpeak'::regnamespace AND c.relrowsecurity
        LOOP
            EXECUTE format('CREATE POLICY opened ON offpeak.%I TO offpeak_api
                                USING (true) WITH CHECK (true)', t);
        END LOOP;
    END $$";

/// What is not in the document, since no program asks for it.
const UNDOCUMENTED: [&str; 3] = ["GET /", "GET /assets/{*name}", "GET /openapi.json"];

#[tokio::test]
async fn every_route_is_in_the_document_and_every_place_is_known() -> Result<()> {
    let stage = crate::api::Api::new().await?;
    let document = document();
    let mut routed = BTreeSet::new();
    for path in offpeak_api::paths() {
        let somewhere = path.replace("{*name}", "x");
        let asked = stage.send(Method::TRACE, &somewhere, "", &[], "").await?;
        assert_eq!(asked.status, 405, "{path}: {asked:?}");
        let allowed = asked.header("allow").to_owned();
        assert!(!allowed.is_empty(), "{path} does not tell its methods");
        for method in allowed.split(',').filter(|method| *method != "HEAD") {
            routed.insert(format!("{method} {path}"));
        }
    }
    let mut known: BTreeSet<String> = UNDOCUMENTED.map(str::to_owned).into();
    for operation in places::operations(&document) {
        known.insert(operation.name());
        for place in &operation.places {
            let kind = kinds::at(&operation, place);
            assert!(
                kind.is_some(),
                "{} has {place:?}: say in walls_matrix/kinds.rs what that names",
                operation.name()
            );
        }
    }
    assert_eq!(routed, known, "the router beside the document");
    let said = places::said(&document);
    assert!(said.len() >= 4, "{said:?}");
    for pointer in said {
        assert!(
            kinds::said(&pointer).is_some(),
            "{pointer}: say in walls_matrix/kinds.rs what that names"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_another_tenants_is_what_nobody_has() -> Result<()> {
    let stage = Stage::set().await?;
    tried(stage, "all walls").await
}

#[tokio::test]
async fn without_policies_the_statements_alone_hold() -> Result<()> {
    let stage = Stage::set().await?;
    stage.api.world.meddle(OPENED).await?;
    let all = stage.api.world.seen_by(stage.spy.tenant, "payload").await?;
    let rows = "SELECT count(*) FROM offpeak.payload";
    assert_eq!(
        all,
        stage.api.world.number(rows).await?,
        "the policies are open"
    );
    tried(stage, "statements alone").await
}

#[cfg(feature = "torture")]
#[tokio::test]
async fn with_the_victims_id_bound_row_level_security_alone_holds() -> Result<()> {
    let mut stage = Stage::set().await?;
    stage.is_bound = true;
    offpeak_store::torture::bind(stage.spy.tenant, stage.victim.tenant);
    let own = format!("/v1/jobs/{}", stage.spy.queued);
    let own = stage.api.send(Method::GET, &own, &stage.spy.key, &[], "");
    assert_eq!(
        own.await?.problem(),
        "404 not_found",
        "the victim's id is bound"
    );
    tried(stage, "row-level security alone").await
}

/// Where neither wall stands, it is noticed.
#[cfg(feature = "torture")]
#[tokio::test]
async fn without_both_it_is_found() -> Result<()> {
    let mut stage = Stage::set().await?;
    stage.is_bound = true;
    stage.api.world.meddle(OPENED).await?;
    offpeak_store::torture::bind(stage.spy.tenant, stage.victim.tenant);
    let mut trial = Trial::default();
    let before = stage.api.world.everything_of(stage.victim.tenant).await?;
    for operation in &places::operations(&document()) {
        let name = operation.name();
        if [
            "GET /v1/jobs",
            "GET /v1/jobs/{id}",
            "POST /v1/jobs/{id}/cancel",
        ]
        .contains(&&*name)
        {
            let found = trial.findings.len();
            for actor in &stage.actors {
                if actor.as_whom == As::Spy {
                    try_all(&stage, &mut trial, actor, operation, Expected::AsNobodys).await?;
                }
            }
            assert!(trial.findings.len() > found, "{name} gave nothing away");
        }
    }
    let after = stage.api.world.everything_of(stage.victim.tenant).await?;
    assert_ne!(before, after, "a job of the victim's was canceled");
    heard::try_streams(&stage, &mut trial).await?;
    let heard = |finding: &&String| finding.contains(" heard of the victim's ");
    assert!(
        trial.findings.iter().any(|finding| heard(&finding)),
        "nothing was heard"
    );
    Ok(())
}

fn document() -> Value {
    serde_json::to_value(offpeak_api::openapi()).unwrap_or_default()
}

/// What was tried, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    cases: usize,
    findings: Vec<String>,
}

impl Trial {
    fn case(&mut self, holds: bool, told: impl FnOnce() -> String) {
        self.cases += 1;
        if !holds {
            self.findings.push(told());
        }
    }

    /// Notes what an answer holds of the victim's.
    fn secrets(&mut self, stage: &Stage, who: &str, text: &str, asked: &str) {
        let text = if asked.is_empty() {
            text.to_owned()
        } else {
            text.replace(asked, "")
        };
        for secret in stage.victim.secrets() {
            if text.contains(secret) {
                self.findings.push(format!(
                    "{who}: the answer holds the victim's {secret}: {text}"
                ));
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the counts are for whoever runs it")]
async fn tried(stage: Stage, run: &str) -> Result<()> {
    let mut trial = Trial::default();
    heard::try_streams(&stage, &mut trial).await?;
    let (_, from) = Live::open(&stage.api, json!({"t": "hello", "topics": ["jobs"]})).await?;
    let before = stage.api.world.everything_of(stage.victim.tenant).await?;
    let operations = places::operations(&document());
    for operation in &operations {
        for actor in &stage.actors {
            if let Some(expected) = expected(actor, operation) {
                try_all(&stage, &mut trial, actor, operation, expected).await?;
            }
        }
        let after = stage.api.world.everything_of(stage.victim.tenant).await?;
        trial.case(after == before, || {
            let differs = |(old, new): &(&str, &str)| old != new;
            let rows = before.lines().zip(after.lines()).find(differs);
            format!(
                "{}: rows of the victim have changed: {rows:?}",
                operation.name()
            )
        });
    }

    // Of all that, the victim's stream says nothing: what comes next is the victim's own.
    let last = stage
        .api
        .submit(&stage.victim.key, crate::api::raw_job("The last."))
        .await?;
    relay(&stage.api).await?;
    let mut own = Live::events(&stage.api, &["jobs", "batches", "usage"], Some(&from)).await?;
    let first = loop {
        let frame = serde_json::to_value(own.frame().await?)?;
        if frame["t"] == "events" {
            break frame["events"].to_string();
        }
    };
    trial.case(
        first.contains(&last) && first.matches("\"kind\"").count() == 1,
        || format!("after {from} the victim heard {first}"),
    );

    controls(&stage, &mut trial, &operations).await?;
    let (cases, findings) = (trial.cases, trial.findings.len());
    // On a line of its own, whatever the harness has said.
    println!(
        "\n{}",
        json!({"run": run, "cases": cases, "findings": findings})
    );
    assert!(trial.findings.is_empty(), "{}", trial.findings.join("\n\n"));
    assert!(cases > 500, "{cases} cases only");
    Ok(())
}

/// How somebody is answered who should not come in.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Refused(&'static str),
    /// As whoever asks for what nobody has.
    AsNobodys,
}

/// What is expected; nothing where they may.
fn expected(actor: &Actor, operation: &Operation) -> Option<Expected> {
    use Expected::{AsNobodys, Refused};
    if operation.is_open() {
        return Some(AsNobodys);
    }
    match actor.as_whom {
        As::Operator if operation.is_operators() => None,
        _ if operation.is_operators() => Some(Refused("401 unauthenticated")),
        As::Nobody | As::Operator => Some(Refused("401 unauthenticated")),
        As::Narrow(scope) => match needs(&operation.name()) {
            Some(needed) if needed != scope => Some(Refused("403 missing_scope")),
            _ => None,
        },
        // A stream does not end: `heard` listens to it.
        _ if operation.path == "/v1/events" => None,
        As::Spy | As::SpysUser | As::SpysGroup => Some(AsNobodys),
    }
}

/// Everything that one asks of one operation.
async fn try_all(
    stage: &Stage,
    trial: &mut Trial,
    actor: &Actor,
    operation: &Operation,
    expected: Expected,
) -> Result<()> {
    let name = operation.name();
    let who = format!("{name} by {}", actor.name);
    let refused = |answer: &crate::api::Answer| match expected {
        Expected::Refused(problem) => answer.problem() == problem,
        Expected::AsNobodys => true,
    };
    // What ends the asker's own things is asked for only of the victim's.
    if !name.contains('{') {
        let answer = stage.ask(actor, &Ask::plain(operation, &stage.spy)).await?;
        trial.case(refused(&answer), || format!("{who}: {answer:?}"));
        trial.secrets(stage, &who, &answer.text, "");
    }
    for place in &operation.places {
        let Some(kind) = kinds::at(operation, place).filter(|kind| kind.is_tried()) else {
            continue;
        };
        for (real, nobody) in stage.pairs(kind, operation, place) {
            let theirs = Ask::with(operation, &stage.spy, place, &real);
            let nobodys = Ask::with(operation, &stage.spy, place, &nobody);
            for (theirs, nobodys) in theirs.iter().zip(&nobodys) {
                let who = || format!("{who}, {place:?} {real}");
                let there = stage.ask(actor, theirs).await?;
                let none = stage.ask(actor, nobodys).await?;
                let (one, other) = (comparable(&there, &real), comparable(&none, &nobody));
                trial.case(one == other, || {
                    format!("{}: {one}\nbut for {nobody}: {other}", who())
                });
                trial.case(refused(&there), || format!("{}: {there:?}", who()));
                trial.secrets(stage, &who(), &there.text, &real);
            }
        }
    }
    Ok(())
}

/// That each place is one at which the owner finds what is the owner's: or nothing would
/// be shown by all this.
async fn controls(stage: &Stage, trial: &mut Trial, operations: &[Operation]) -> Result<()> {
    let owner = stage.owner();
    for operation in operations.iter().filter(|one| one.path != "/v1/events") {
        for place in &operation.places {
            let kind = kinds::at(operation, place).filter(|kind| kind.is_tried());
            // A label or a name is taken as it comes, whoever has it, and an upload does not
            // say what its lines share.
            let is_told = |kind: &Kind| match kind {
                Kind::User | Kind::PersonName => operation.method == Method::GET,
                Kind::Params => !operation.path.ends_with("/bulk"),
                _ => true,
            };
            let Some(kind) = kind.filter(is_told) else {
                continue;
            };
            let Some((real, nobody)) = stage.pairs(kind, operation, place).into_iter().next()
            else {
                continue;
            };
            let mine = &Ask::with(operation, &stage.victim, place, &real)[0];
            let nobodys = &Ask::with(operation, &stage.victim, place, &nobody)[0];
            let (there, none) = (
                stage.ask(&owner, mine).await?,
                stage.ask(&owner, nobodys).await?,
            );
            if comparable(&there, &real) == comparable(&none, &nobody) {
                trial.findings.push(format!(
                    "{} shows nothing at {place:?}: for the owner, {real} is as {nobody}: {there:?}",
                    operation.name()
                ));
            }
        }
    }
    Ok(())
}

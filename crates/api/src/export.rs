//! Everything that a tenant has, as one stream of lines.

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use offpeak_domain::audit::{Action, hex};
use offpeak_domain::id::{BatchId, ContextId, GroupId, JobId};
use offpeak_domain::scope::Scope;
use offpeak_store::{
    TenantTx, api_key, audit, batches, budget, context, export, group, job, origin, person,
    quarantine, result, retention,
};
use offpeak_wire::{
    ExportKind, ExportLine, ExportedContext, ExportedJob, FlawedLine, Problem, SetAside,
};
use serde::Serialize;

use crate::caller::{Caller, May, SettingsManage};
use crate::error::{Broken, Error, Result};
use crate::json::raw;
use crate::query::Query;
use crate::routes::Routes;
use crate::{State, contexts, jobs};

/// How the log says that a stream broke off.
const BROKEN: &str = "the export could not be read to its end";

/// Rows of one step, but for contexts and jobs.
const STEP: i64 = 200;
/// Lines that were put aside, of one step: of each up to 64 kB are kept.
const FLAWED: i64 = 50;
/// Contexts of one step: each may have a megabyte of text.
const CONTEXTS: i64 = 4;
/// Jobs of one step, and about how many bytes of requests and answers.
const JOBS: (i64, u64) = (500, 4_000_000);
/// Users or job types that are shown of a budget which is each one's.
const USES: i64 = 1_000;

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/export", get(handle))
}

/// All that you have
///
/// One JSON object a line: `kind` says what `data` is. Settings, keys (never their
/// secrets), people, budgets, job types in every version, contexts with their text,
/// your own Anthropic key (how it stands, never what it is), groups, batches, lines of
/// their results that could not be taken as they came, the audit log, and jobs with their
/// requests, results and attempts that were set aside. The last line is of kind `end`, with
/// the number of lines before it: without one, the export broke off.
///
/// Each step of the stream is read as it is at that moment; what is submitted meanwhile
/// comes along, as long as the stream has not passed its place. Left out is what serves
/// offpeak alone: counters, leases, idempotency keys, tickets, and errors of whole batches.
#[utoipa::path(
    get, path = "/v1/export", tag = "retention", operation_id = "export",
    responses(
        (status = 200, description = "One thing a line", body = ExportLine, content_type = "application/x-ndjson"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: May<SettingsManage>,
    query: Query,
) -> Result<Response> {
    query.end()?;
    // It shows all that these show.
    for scope in [Scope::JobsRead, Scope::ResultsRead, Scope::KeysManage] {
        caller.expect(scope)?;
    }
    let mut tx = caller.begin().await?;
    caller.note(&mut tx, Action::TenantExport, "", "").await?;
    tx.commit().await?;

    let steps = stream::try_unfold(Some((At::Settings, 0)), move |place| {
        let (state, caller) = (state.clone(), caller.clone());
        async move {
            let Some((at, before)) = place else {
                return Ok(None);
            };
            let mut lines = Lines::default();
            let next = step(&state, &caller, at, before, &mut lines)
                .await
                .map_err(|error| Broken(BROKEN, error))?;
            let place = next.map(|next| (next, before + lines.n));
            Ok::<_, Broken>(Some((Bytes::from(lines.text), place)))
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"offpeak-export.ndjson\"",
        ),
    ];
    Ok((headers, Body::from_stream(steps)).into_response())
}

/// Where a stream stands: the part, and what of it came last.
enum At {
    Settings,
    JobTypes(Option<(String, u32)>),
    Contexts(Option<ContextId>),
    Groups(Option<GroupId>),
    Batches(Option<BatchId>),
    Flawed(Option<quarantine::Place>),
    Audit(Option<i64>),
    Jobs(Option<JobId>),
    End,
}

/// Writes the lines of one step and gives where the next begins. Its transaction is over
/// before the client reads a byte.
async fn step(
    state: &State,
    caller: &Caller,
    at: At,
    before: u64,
    lines: &mut Lines,
) -> Result<Option<At>> {
    let outlook = state.outlook(caller.tenant()).await;
    let mut tx = caller.go_on().await?;
    let next = match at {
        At::Settings => {
            settings(state, caller, &mut tx, lines).await?;
            At::JobTypes(None)
        }
        At::JobTypes(after) => {
            let after = after.as_ref().map(|(name, version)| (&**name, *version));
            let found = export::job_types(&mut tx, after, STEP).await?;
            for stored in &found {
                lines.push(ExportKind::JobType, &crate::job_types::view(stored)?)?;
            }
            let last = found.last().map(|last| (last.name.clone(), last.version));
            last.map_or(At::Contexts(None), |last| At::JobTypes(Some(last)))
        }
        At::Contexts(before) => {
            let found = context::with_texts(&mut tx, before, CONTEXTS).await?;
            let last = found.last().map(|(last, _)| last.id);
            for (one, text) in found {
                let context = contexts::view(one);
                lines.push(ExportKind::Context, &ExportedContext { context, text })?;
            }
            last.map_or(At::Groups(None), |last| At::Contexts(Some(last)))
        }
        At::Groups(before) => {
            let found = group::list(&mut tx, before, STEP).await?;
            let last = found.last().map(|last| last.id);
            for one in crate::groups::shown(&mut tx, found, &outlook).await? {
                lines.push(ExportKind::Group, &one)?;
            }
            last.map_or(At::Batches(None), |last| At::Groups(Some(last)))
        }
        At::Batches(before) => {
            let found = batches::list(&mut tx, before, STEP).await?;
            let last = found.last().map(|last| last.id);
            for one in found {
                lines.push(ExportKind::Batch, &crate::batches::view(one, &outlook))?;
            }
            last.map_or(At::Flawed(None), |last| At::Batches(Some(last)))
        }
        At::Flawed(after) => {
            let found = quarantine::own(&mut tx, after.as_ref(), FLAWED).await?;
            let last = found.last().map(quarantine::PutAside::place);
            for one in found {
                lines.push(ExportKind::FlawedLine, &flawed(one))?;
            }
            last.map_or(At::Audit(None), |last| At::Flawed(Some(last)))
        }
        At::Audit(before) => {
            let found = audit::page(&mut tx, before, STEP).await?;
            let last = found.last().map(|last| last.entry.seq);
            for one in found {
                lines.push(ExportKind::Audit, &crate::audit::view(one))?;
            }
            last.map_or(At::Jobs(None), |last| At::Audit(Some(last)))
        }
        At::Jobs(after) => {
            let found = export::jobs(&mut tx, after, JOBS.0, JOBS.1).await?;
            whole(&mut tx, &found.ids, &outlook, lines).await?;
            found.next.map_or(At::End, |last| At::Jobs(Some(last)))
        }
        At::End => {
            lines.push(ExportKind::End, &serde_json::json!({ "lines": before }))?;
            tx.commit().await?;
            return Ok(None);
        }
    };
    tx.commit().await?;
    Ok(Some(next))
}

async fn settings(
    state: &State,
    caller: &Caller,
    tx: &mut TenantTx,
    lines: &mut Lines,
) -> Result<()> {
    lines.push(ExportKind::Tenant, &crate::me::of(state, caller, tx).await?)?;
    for key in api_key::own(tx).await? {
        lines.push(ExportKind::Key, &crate::keys::view(key, caller.key()))?;
    }
    for one in person::own(tx).await? {
        if let Some(one) = crate::people::list::view(one, caller.by()) {
            lines.push(ExportKind::Person, &one)?;
        }
    }
    for origin in origin::list(tx).await? {
        lines.push(ExportKind::Origin, &serde_json::json!({ "origin": origin }))?;
    }
    let upstream = crate::own_upstream::view(state, tx).await?;
    lines.push(ExportKind::Upstream, &upstream)?;
    let own = retention::get(tx).await?;
    let holds = crate::retention::view(&own, state.retention);
    lines.push(ExportKind::Retention, &holds)?;
    let now = tx.now();
    let budgets = budget::list(tx).await?;
    let uses = budget::uses(tx, now, USES).await?;
    for one in budgets {
        lines.push(ExportKind::Budget, &crate::budgets::view(one, &uses, now))?;
    }
    Ok(())
}

/// Each of these jobs with all that there is of it.
async fn whole(
    tx: &mut TenantTx,
    ids: &[JobId],
    outlook: &crate::outlook::Outlook,
    lines: &mut Lines,
) -> Result<()> {
    let now = tx.now();
    let mut heads = job::by_ids(tx, ids).await?;
    heads.sort_by_key(|head| head.id);
    let mut requests = export::requests(tx, ids).await?.into_iter().peekable();
    let mut ended = result::of(tx, ids).await?.into_iter().peekable();
    let mut aside = export::set_aside(tx, ids).await?.into_iter().peekable();
    for head in heads {
        let id = head.id;
        // All four are in the order of ids; a job that is being staged has no head.
        while requests.next_if(|(job, _)| *job < id).is_some() {}
        let request = requests.next_if(|(job, _)| *job == id);
        while ended.next_if(|one| one.job < id).is_some() {}
        let result = ended.next_if(|one| one.job == id);
        let mut set_aside = Vec::new();
        while let Some(one) = aside.next_if(|one| one.job <= id) {
            if one.job == id {
                set_aside.push(put_aside(one));
            }
        }
        let line = ExportedJob {
            job: jobs::view::job(head, now, outlook),
            request: request.and_then(|(_, params)| raw(String::from_utf8(params).ok()?)),
            result: result.map(|one| jobs::result::shown(one, true)),
            set_aside,
        };
        lines.push(ExportKind::Job, &line)?;
    }
    Ok(())
}

fn flawed(one: quarantine::PutAside) -> FlawedLine {
    FlawedLine {
        batch: one.batch.to_string(),
        at: one.at,
        flaw: one.flaw,
        bytes: one.bytes,
        sha256: hex(&one.hash),
        begins: one
            .head
            .map(|head| String::from_utf8_lossy(&head).into_owned()),
    }
}

fn put_aside(one: export::SetAside) -> SetAside {
    SetAside {
        attempt: one.attempt,
        outcome: one.outcome,
        label: one.label,
        batch: one.batch.map(|batch| batch.to_string()),
        ended_at: one.ended_at,
        line: one
            .line
            .map(|line| String::from_utf8_lossy(&line).into_owned()),
    }
}

/// Lines of one step.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    n: u64,
}

impl Lines {
    fn push<T: Serialize>(&mut self, kind: ExportKind, data: &T) -> Result<()> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            kind: ExportKind,
            data: &'a T,
        }
        serde_json::to_writer(&mut self.text, &Line { kind, data })
            .map_err(|error| Error::internal(&error))?;
        self.text.push(b'\n');
        self.n += 1;
        Ok(())
    }
}

use std::time::Instant;

use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::id::{JobId, Minter};
use offpeak_store::job::one::{Claim, Submitted};
use offpeak_store::job::{self, NewJob};
use offpeak_store::job_type::Newest;
use offpeak_store::{TenantTx, idempotency, mutant, point};
use offpeak_wire::{Job, JobRequest, Problem};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::draft::{Draft, Drafting};
use super::{FIELDS, idempotency_key, view};
use crate::body::{Json, parse};
use crate::caller::{Caller, Presumed, unknown_key};
use crate::error::{Code, Error, Result, fault};
use crate::limits::Jobs;
use crate::live::{Wait, Waited, Waiting};
use crate::outlook::Outlook;
use crate::query::Query;
use crate::room::Place;
use crate::state::rng;
use crate::text::{self, MAX_KEY};
use crate::{State, error};

/// Submit one job
///
/// A 2xx means that the job is stored durably. With an idempotency key, in the
/// header or in the body, the same body may be sent any number of times and
/// makes one job; another body under the same key is refused.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", operation_id = "submit_job",
    params(
        ("idempotency-key" = Option<String>, Header, min_length = 1, max_length = 255, description = "At most 255 characters"),
        ("prefer" = Option<String>, Header, description = "`wait=N`: answer when the job has ended, or after N seconds, at most 100"),
    ),
    request_body = JobRequest,
    responses(
        (status = 202, description = "Accepted", body = Job),
        (status = 200, description = "Accepted before under the same idempotency key; or ended, when the client waits", body = Job,
            headers(("preference-applied" = String, description = "`wait=N` when the job has ended"))),
        (status = 402, description = "A hard budget has no room; `budget` says which, what is left of it and when it renews", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The key is in use at this moment", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "A limit is reached, which `limit` names; `retry-after` says when to try again", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room for more jobs, or no database; `retry-after` says when to try again", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: Presumed,
    headers: HeaderMap,
    // What is wrong with them is not said before the key is confirmed either.
    query: Result<Query>,
    body: Result<Json>,
) -> Result<Response> {
    let answer = submit(&state, &caller, &headers, query, body).await;
    if answer
        .as_ref()
        .is_err_and(|error| error.code() != Code::Unavailable)
    {
        // Who may not call hears that, and nothing of what else is wrong. A
        // database that does not answer need not be waited for again.
        caller.confirm().await?;
    }
    answer
}

async fn submit(
    state: &State,
    caller: &Presumed,
    headers: &HeaderMap,
    query: Result<Query>,
    body: Result<Json>,
) -> Result<Response> {
    query?.end()?;
    let Json(body) = body?;
    let header_key = idempotency_key(headers)?;
    let wait = Wait::read(headers)?;
    let request: JobRequest = parse(&body, FIELDS).map_err(Error::input)?;
    let key = one_key(header_key, request.idempotency_key.clone())?;
    let hash: Option<[u8; 32]> = key.is_some().then(|| Sha256::digest(&body).into());
    let claim = key
        .as_deref()
        .zip(hash.as_ref())
        .map(|(key, body_hash)| Claim { key, body_hash })
        .filter(|_| !mutant!("no_idempotency"));
    // It follows from before the submit, or it could miss the end.
    let waiting = wait.and_then(|wait| {
        let waiting = Waiting::begin(&state.hub, caller.caller(), wait)?;
        Some((wait, waiting))
    });
    let outlook = state.outlook(caller.caller().tenant()).await;
    let mut trusting = true;
    let mut corrections = state.estimates.known(caller.caller().tenant());
    let (id, shown, status) = loop {
        let (draft, assumed) = drafted(state, caller.caller(), &request, trusting).await?;
        // The store gives it its time: the database's.
        let undated: JobId = Minter::new(OffsetDateTime::UNIX_EPOCH, rng()).mint();
        let mut new = stored(draft, undated, None, state);
        let today = outlook.now.date();
        new.expected = corrections
            .as_ref()
            .map(|known| known.expect(&new, today, &state.prices));
        let place = match taken(state, caller.caller(), new.params.len() as u64).await {
            Ok(place) => place,
            Err(full) => match replayed(&outlook, caller, claim).await? {
                Some((id, shown)) => break (id, shown, StatusCode::OK),
                None => return Err(full),
            },
        };
        match caller.submit(new, claim, assumed).await? {
            Submitted::Stored(job, now) => {
                point!("api.job");
                let (jobs, place) = place;
                jobs.keep();
                place.keep();
                state.hint.ready();
                // Nobody can have moved it on before now, so it need not be read back.
                break (job.id, view::job(*job, now, &outlook), StatusCode::ACCEPTED);
            }
            Submitted::Before(id) => {
                let mut tx = caller.caller().begin().await?;
                break (id, before(&outlook, &mut tx, id).await?, StatusCode::OK);
            }
            Submitted::Outdated => trusting = false,
            Submitted::Unestimated => {
                corrections = Some(state.estimates.read(caller.caller()).await?);
            }
            Submitted::Revoked => return Err(unknown_key()),
        }
    };
    let Some((wait, waiting)) = waiting else {
        return Ok(answer(status, shown));
    };
    let began = Instant::now();
    let (ended, shown) = if shown.ended_at.is_some() {
        (true, shown)
    } else {
        match waiting.ended(caller.caller(), id).await {
            Some((job, now)) => {
                let replayed = shown.replayed;
                let shown = view::job(job, now, &outlook);
                (true, Job { replayed, ..shown })
            }
            None => (false, shown),
        }
    };
    let mut response = answer(if ended { StatusCode::OK } else { status }, shown);
    response.extensions_mut().insert(Waited(began.elapsed()));
    if let (true, Ok(applied)) = (ended, wait.applied().parse()) {
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

/// Room for one more job, within its tenant's rate.
async fn taken(state: &State, caller: &Caller, bytes: u64) -> Result<(Jobs, Place)> {
    let jobs = state.allowance.jobs(caller.tenant(), 1)?;
    Ok((jobs, state.room.take(caller, 1, bytes).await?))
}

fn answer(status: StatusCode, shown: Job) -> Response {
    let location = format!("/v1/jobs/{}", shown.id);
    (status, [(header::LOCATION, location)], axum::Json(shown)).into_response()
}

/// What the key stands for, when the queue takes nothing new: that is answered
/// all the same.
async fn replayed(
    outlook: &Outlook,
    caller: &Presumed,
    claim: Option<Claim<'_>>,
) -> Result<Option<(JobId, Job)>> {
    let Some(claim) = claim else { return Ok(None) };
    caller.confirm().await?;
    let mut tx = caller.caller().begin().await?;
    match idempotency::job_of(&mut tx, claim.key, claim.body_hash).await? {
        Some(id) => Ok(Some((id, before(outlook, &mut tx, id).await?))),
        None => Ok(None),
    }
}

/// A job that was made before.
async fn before(outlook: &Outlook, tx: &mut TenantTx, id: JobId) -> Result<Job> {
    let before = job::get(tx, id).await?;
    let mut shown = view::job(before, tx.now(), outlook);
    shown.replayed = true;
    Ok(shown)
}

/// The draft of a request. Where that is allowed, by the version of its job type
/// that was the newest when it was last asked for: then that version comes with
/// it, for the store to confirm.
async fn drafted(
    state: &State,
    caller: &Caller,
    request: &JobRequest,
    trusting: bool,
) -> Result<(Draft, Option<Newest>)> {
    if trusting
        && let Some(name) = &request.r#type
        && let Some((newest, compiled)) = state.catalog.remembered(caller.tenant(), name)
    {
        let mut drafting = Drafting::new(state, caller);
        drafting.assume(name, newest.version, compiled);
        // What one version refuses the next may allow: only a fresh look refuses.
        if let Ok(draft) = drafting.draft(request).await? {
            return Ok((draft, Some(newest)));
        }
    }
    let draft = Drafting::new(state, caller).draft(request).await?;
    Ok((draft.map_err(Error::input)?, None))
}

/// The row of a draft.
pub(super) fn stored(
    draft: Draft,
    id: JobId,
    group: Option<offpeak_domain::id::GroupId>,
    state: &State,
) -> NewJob {
    NewJob {
        id,
        group,
        job_type: draft.job_type,
        user: draft.user,
        model: draft.model,
        upstream: state.upstream.id,
        lane: draft.lane,
        terms: draft.terms,
        priority: draft.priority,
        metadata: draft.metadata,
        structured: draft.structured,
        prefix: draft.prefix,
        sharing: draft.sharing,
        expected: None,
        params: draft.params,
    }
}

/// The key may stand in the header, in the body, or in both alike.
fn one_key(header: Option<String>, body: Option<String>) -> error::Result<Option<String>> {
    let at = "/idempotency_key";
    if let Some(key) = &body {
        text::label(at, key, MAX_KEY).map_err(|fault| Error::input(vec![fault]))?;
    }
    match (header, body) {
        (Some(header), Some(body)) if header != body => Err(Error::input(vec![fault(
            at,
            "conflicting_fields",
            "differs from the header `idempotency-key`",
        )])),
        (header, body) => Ok(header.or(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::one_key;

    #[test]
    fn two_keys_must_agree() {
        let key = |text: &str| Some(text.to_owned());
        assert_eq!(one_key(key("a"), key("a")).unwrap(), key("a"));
        assert_eq!(one_key(None, key("b")).unwrap(), key("b"));
        assert_eq!(one_key(key("a"), None).unwrap(), key("a"));
        assert!(one_key(key("a"), key("b")).is_err());
        assert!(one_key(None, key("")).is_err());
    }
}

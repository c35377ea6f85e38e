use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::id::{JobId, Minter};
use offpeak_store::idempotency::{self, Made};
use offpeak_store::job::{self, Entry, NewJob};
use offpeak_wire::{Job, JobRequest, Problem};
use sha2::{Digest, Sha256};

use super::draft::{Draft, Drafting};
use super::{FIELDS, idempotency_key, view};
use crate::body::{Json, parse};
use crate::caller::Caller;
use crate::error::{Error, Result, fault};
use crate::query::Query;
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
    params(("idempotency-key" = Option<String>, Header, description = "At most 255 characters")),
    request_body = JobRequest,
    responses(
        (status = 202, description = "Accepted", body = Job),
        (status = 200, description = "Accepted before under the same idempotency key", body = Job),
        (status = 409, description = "The key is in use at this moment", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many jobs wait; `retry-after` says when to try again", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room for more jobs, or no database; `retry-after` says when to try again", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    caller: Caller,
    headers: HeaderMap,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    let header_key = idempotency_key(&headers)?;
    let request: JobRequest = parse(&body, FIELDS).map_err(Error::input)?;
    let key = one_key(header_key, request.idempotency_key.clone())?;
    let draft = Drafting::new(&state, &caller)
        .draft(&request)
        .await?
        .map_err(Error::input)?;

    let mut tx = caller.begin().await?;
    let mut id: JobId = Minter::new(tx.now(), rng()).mint();
    let mut made = Made::Now;
    if let Some(key) = &key {
        let hash: [u8; 32] = Sha256::digest(&body).into();
        (made, id) = idempotency::claim_job(&mut tx, key, id, &hash).await?;
    }
    if made == Made::Now {
        state.room.take(&mut tx, 1, draft.params.len()).await?;
        let new = stored(draft, id, None, &state);
        job::insert_chunk(&mut tx, &[new], Entry::Ready).await?;
    }
    let now = tx.now();
    let mut shown = view::job(job::get(&mut tx, id).await?, now, state.flush_after());
    tx.commit().await?;

    let status = match made {
        Made::Now => {
            state.hint.ready();
            StatusCode::ACCEPTED
        }
        Made::Before => {
            shown.replayed = true;
            StatusCode::OK
        }
    };
    let location = format!("/v1/jobs/{}", shown.id);
    Ok((status, [(header::LOCATION, location)], axum::Json(shown)).into_response())
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
        priority: draft.priority,
        metadata: draft.metadata,
        structured: draft.structured,
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

use axum::extract::State as Extract;
use axum::http::{HeaderName, HeaderValue};
use offpeak_domain::id::JobId;
use offpeak_store::list::{self, Filter};
use offpeak_store::stream;
use offpeak_wire::{FailureLabel, Job, Page, Problem};
use time::OffsetDateTime;

use super::{filter, view};
use crate::caller::{Extent, JobsRead, Reads};
use crate::cursor;
use crate::error::Result;
use crate::live_cursor::LiveCursor;
use crate::query::Query;

/// Jobs, newest first
///
/// Every filter that is given must hold. A page of a rare filter may hold fewer
/// jobs than asked for and still have a cursor. With a ticket the list holds what
/// the ticket opens, without costs, usage, metadata and batches.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", operation_id = "list_jobs",
    params(
        ("state" = Option<String>, Query, description = "One or several states, separated by commas"),
        ("type" = Option<String>, Query, description = "Name of a job type"),
        ("group" = Option<String>, Query, description = "`grp_…`"),
        ("user" = Option<String>, Query, description = "The app's label"),
        ("model" = Option<String>, Query, description = "The model asked for"),
        ("label" = Option<FailureLabel>, Query, description = "Why they failed"),
        ("batch" = Option<String>, Query, description = "`bat_…` that their last attempt is or was part of; not with a ticket"),
        ("since" = Option<String>, Query, description = "Accepted at this time or later, as in 2026-11-28T05:00:00Z"),
        ("until" = Option<String>, Query, description = "Accepted before this time"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("ticket" = Option<String>, Query, description = "`ofp_ticket_…`, where no header can be set"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<Job>,
            headers(("offpeak-cursor" = String, description = "The answer holds at least every event up to there"))),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("session" = []), ("ticket" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<crate::State>,
    reader: Reads<JobsRead>,
    mut query: Query,
) -> Result<Shown> {
    let mut filter = filter::read(&mut query);
    let limit = query.limit();
    let given = query.text("cursor");
    query.read_before("ticket");
    query.end()?;
    let possible = narrow(&mut filter, reader.extent());
    if let Some(given) = given {
        filter.before = Some(JobId::from_uuid(filter_cursor(&filter, |parts| {
            cursor::read(parts, &given)
        })?));
    }

    let outlook = state.outlook(reader.tenant()).await;
    let mut tx = reader.begin().await?;
    let reached = LiveCursor::from(stream::head(&mut tx).await?);
    let page = if possible {
        list::page(&mut tx, &filter, limit).await?
    } else {
        list::Page::default()
    };
    let now = tx.now();
    tx.commit().await?;
    let next_cursor = page
        .next
        .map(|last| filter_cursor(&filter, |parts| cursor::write(parts, last.as_uuid())));
    let guest = reader.is_guest();
    let data = page
        .jobs
        .into_iter()
        .map(|job| view::job(job, now, &outlook))
        .map(|job| if guest { view::for_guests(job) } else { job })
        .collect();
    Ok((reached.header(), axum::Json(Page { data, next_cursor })))
}

type Shown = ([(HeaderName, HeaderValue); 1], axum::Json<Page<Job>>);

/// Narrows a filter to what the reader may see. False when it asks for something
/// else, and so for nothing: a batch is no affair of a tenant's users.
fn narrow(filter: &mut Filter, scope: &Extent) -> bool {
    match scope {
        Extent::User(_) | Extent::Group(_) if filter.batch.is_some() => false,
        Extent::Tenant => true,
        Extent::User(label) => filter.user.get_or_insert_with(|| label.clone()) == label,
        Extent::Group(id) => filter.group.get_or_insert(*id) == id,
    }
}

/// The parts of a filter that a cursor is bound to.
fn filter_cursor<T>(filter: &Filter, with: impl FnOnce(&[&str]) -> T) -> T {
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    let group = filter
        .group
        .map(|group| group.to_string())
        .unwrap_or_default();
    let batch = filter
        .batch
        .map(|batch| batch.to_string())
        .unwrap_or_default();
    let at = |time: Option<OffsetDateTime>| {
        time.map(|at| at.unix_timestamp_nanos().to_string())
            .unwrap_or_default()
    };
    // Empty and absent are the same: no text filter can be empty.
    with(&[
        "jobs",
        &states.join(","),
        &group,
        filter.job_type.as_deref().unwrap_or_default(),
        filter.user.as_deref().unwrap_or_default(),
        filter.model.as_deref().unwrap_or_default(),
        filter.label.as_deref().unwrap_or_default(),
        &batch,
        &at(filter.since),
        &at(filter.until),
    ])
}

#[cfg(test)]
mod tests {
    use super::{Extent, Filter, narrow};
    use offpeak_domain::id::GroupId;
    use uuid::Uuid;

    #[test]
    fn a_ticket_narrows_every_filter() {
        let group = |n| GroupId::from_uuid(Uuid::from_u128(n));
        let user = Extent::User("a".into());
        let mut filter = Filter::default();
        assert!(narrow(&mut filter, &user));
        assert_eq!(filter.user.as_deref(), Some("a"));
        assert!(narrow(&mut filter, &user), "the same again");
        filter.user = Some("b".into());
        assert!(!narrow(&mut filter, &user));
        let mut filter = Filter::default();
        assert!(narrow(&mut filter, &Extent::Group(group(1))));
        assert_eq!(filter.group, Some(group(1)));
        assert!(!narrow(&mut filter, &Extent::Group(group(2))));
        assert!(narrow(&mut filter, &Extent::Tenant));
    }
}

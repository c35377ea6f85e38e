use axum::extract::State as Extract;
use offpeak_domain::id::{GroupId, JobId};
use offpeak_domain::job::State;
use offpeak_store::list::{self, Filter};
use offpeak_wire::{Job, Page, Problem};

use super::view;
use crate::caller::Caller;
use crate::cursor;
use crate::error::Result;
use crate::query::Query;

/// Jobs, newest first
///
/// Every filter that is given must hold. A page of a rare filter may hold fewer
/// jobs than asked for and still have a cursor.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", operation_id = "list_jobs",
    params(
        ("state" = Option<String>, Query, description = "One or several states, separated by commas"),
        ("type" = Option<String>, Query, description = "Name of a job type"),
        ("group" = Option<String>, Query, description = "`grp_…`"),
        ("user" = Option<String>, Query, description = "The app's label"),
        ("model" = Option<String>, Query, description = "The model asked for"),
        ("limit" = Option<u32>, Query, description = "From 1 to 200; 50 unless said"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<Job>),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    Extract(state): Extract<crate::State>,
    caller: Caller,
    mut query: Query,
) -> Result<axum::Json<Page<Job>>> {
    let words = State::ALL
        .iter()
        .map(|state| state.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let mut filter = Filter {
        states: query.words("state", &words, |word| word.parse().ok()),
        group: query.parsed("group", "the id of a group, grp_…", |id| {
            id.parse::<GroupId>().ok()
        }),
        job_type: query.text("type"),
        user: query.text("user"),
        model: query.text("model"),
        before: None,
    };
    let limit = query.limit();
    let given = query.text("cursor");
    query.end()?;
    filter.states.sort_unstable();
    filter.states.dedup();
    if let Some(given) = given {
        filter.before = Some(JobId::from_uuid(filter_cursor(&filter, |parts| {
            cursor::read(parts, &given)
        })?));
    }

    let mut tx = caller.begin().await?;
    let page = list::page(&mut tx, &filter, limit).await?;
    let now = tx.now();
    tx.commit().await?;
    let next_cursor = page
        .next
        .map(|last| filter_cursor(&filter, |parts| cursor::write(parts, last.as_uuid())));
    let data = page
        .jobs
        .into_iter()
        .map(|job| view::job(job, now, state.flush_after()))
        .collect();
    Ok(axum::Json(Page { data, next_cursor }))
}

/// The parts of a filter that a cursor is bound to.
fn filter_cursor<T>(filter: &Filter, with: impl FnOnce(&[&str]) -> T) -> T {
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    let group = filter
        .group
        .map(|group| group.to_string())
        .unwrap_or_default();
    // Empty and absent are the same: no text filter can be empty.
    with(&[
        "jobs",
        &states.join(","),
        &group,
        filter.job_type.as_deref().unwrap_or_default(),
        filter.user.as_deref().unwrap_or_default(),
        filter.model.as_deref().unwrap_or_default(),
    ])
}

mod csv;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use offpeak_domain::id::{GroupId, JobId};
use offpeak_store::{group, result};
use offpeak_wire::{JobResult, Problem};
use utoipa::ToSchema;

use super::parse_id;
use crate::caller::{Caller, May, ResultsRead};
use crate::csv::KIND;
use crate::error::{Broken, Result};
use crate::jobs::result::shown;
use crate::query::Query;
use crate::segment::Segment;

/// How the log says that a stream broke off.
const BROKEN: &str = "the results could not be read to their end";

/// Jobs that one step of the stream looks at.
const STEP_JOBS: i64 = 500;
/// Bytes of result lines that one step reads, more or less.
const STEP_BYTES: u64 = 4_000_000;

/// How a client names the form.
#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
enum Format {
    Ndjson,
    Csv,
}

/// In which form results are asked for.
#[derive(Clone, Copy, Debug)]
enum Form {
    Ndjson { with_message: bool },
    Csv,
}

/// Results of a group
///
/// One line for each job that has ended so far, in the order of submission. A
/// stream that breaks off ends without its last newline, and the connection
/// with an error.
///
/// As CSV (`format=csv`; RFC 4180, UTF-8, names in the first line) without
/// Anthropic's messages and errors: a structured answer stands in `output` as
/// JSON, any other in `text`. A text that begins with `=`, `+`, `-`, `@`, a tab
/// or a carriage return gets an apostrophe in front, so that no spreadsheet runs
/// it as a formula; NDJSON leaves all as it is.
#[utoipa::path(
    get, path = "/v1/groups/{id}/results", tag = "groups", operation_id = "get_group_results",
    params(
        ("id" = String, Path, description = "`grp_…`"),
        ("format" = inline(Option<Format>), Query, description = "ndjson or csv; ndjson unless said"),
        ("message" = Option<bool>, Query, description = "False leaves out Anthropic's messages as they came; CSV is always without"),
    ),
    responses(
        (status = 200, description = "One result a line", content((JobResult = "application/x-ndjson"), (String = "text/csv"))),
        (status = 404, description = "There is no such group", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<ResultsRead>,
    Segment(id): Segment,
    mut query: Query,
) -> Result<Response> {
    let with_message = query.flag("message", true);
    let format = query.parsed("format", "ndjson or csv", |word| match word {
        "ndjson" => Some(Format::Ndjson),
        "csv" => Some(Format::Csv),
        _ => None,
    });
    query.end()?;
    let form = match format.unwrap_or(Format::Ndjson) {
        Format::Csv => Form::Csv,
        Format::Ndjson => Form::Ndjson { with_message },
    };
    let group = parse_id(&id)?;
    let mut tx = caller.begin().await?;
    group::progress(&mut tx, group).await?;
    tx.commit().await?;

    let steps = stream::try_unfold(Some(None), move |at| {
        let caller = caller.clone();
        async move {
            let Some(after) = at else { return Ok(None) };
            let (text, next) = step(&caller, group, after, form)
                .await
                .map_err(|error| Broken(BROKEN, error))?;
            Ok::<_, Broken>(Some((text, next.map(Some))))
        }
    });
    let body = Body::from_stream(steps);
    Ok(match form {
        Form::Ndjson { .. } => {
            ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        Form::Csv => {
            let name = format!("attachment; filename=\"{group}.csv\"");
            let headers = [
                (header::CONTENT_TYPE, KIND),
                (header::CONTENT_DISPOSITION, name.as_str()),
            ];
            (headers, body).into_response()
        }
    })
}

/// The lines of one step, and where the next begins. Its transaction is over
/// before the client reads a byte.
async fn step(
    caller: &Caller,
    group: GroupId,
    after: Option<JobId>,
    form: Form,
) -> Result<(Bytes, Option<JobId>)> {
    let mut tx = caller.go_on().await?;
    let page = result::page(&mut tx, group, after, STEP_JOBS, STEP_BYTES).await?;
    tx.commit().await?;
    let text = match form {
        Form::Ndjson { with_message } => {
            let mut text = Vec::new();
            for ended in page.ended {
                serde_json::to_writer(&mut text, &shown(ended, with_message))
                    .map_err(|error| crate::error::Error::internal(&error))?;
                text.push(b'\n');
            }
            text.into()
        }
        Form::Csv => {
            // The names of the columns come with the first step, whatever it holds.
            let head = if after.is_none() { csv::HEAD } else { "" };
            let mut text = head.to_owned();
            for ended in page.ended {
                csv::line(&mut text, ended);
            }
            text.into()
        }
    };
    Ok((text, page.next))
}

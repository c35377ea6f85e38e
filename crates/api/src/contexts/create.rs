use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::id::{ContextId, Minter};
use offpeak_store::context;
use offpeak_wire::{Context, ContextRequest, Problem};
use utoipa::ToSchema;

use super::view;
use crate::body::{self, Field, Json, parse, reads_as};
use crate::caller::{JobsWrite, May};
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;
use crate::state::rng;
use crate::text::{self, MAX_LABEL};

/// Bytes of a text, at most: about a million tokens, which no model exceeds.
const MAX_TEXT: usize = 4_000_000;

const FIELDS: &[Field] = &[
    Field {
        name: "text",
        expected: "a string",
        required: true,
        fits: reads_as::<String>,
    },
    Field {
        name: "title",
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    },
];

/// A document's text.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 4_000_000)]
#[expect(dead_code, reason = "the document of the API alone names it")]
struct Plain(String);

/// Store a document that many jobs share
///
/// Jobs of a type name it in `context`; its text follows the system prompt. Jobs
/// with the same type and contexts go out together, so that Anthropic's cache may
/// serve what they share. A plain text may be sent as `text/plain` or
/// `text/markdown`, its title in the query.
#[utoipa::path(
    post, path = "/v1/contexts", tag = "contexts", operation_id = "create_context",
    params(("title" = Option<String>, Query, max_length = 256, description = "The title of a plain text")),
    request_body(content(
        (ContextRequest = "application/json"),
        (Plain = "text/plain"),
        (Plain = "text/markdown"),
    )),
    responses(
        (status = 201, description = "Stored", body = Context),
        (status = 200, description = "The same text is stored already", body = Context),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<JobsWrite>,
    mut query: Query,
    given: Request,
) -> Result<Response> {
    let title = query.text("title");
    query.end()?;
    let request = read(given, title).await?;
    check(&request)?;
    let mut tx = caller.begin().await?;
    let id: ContextId = Minter::new(tx.now(), rng()).mint();
    let (stored, new) =
        context::create(&mut tx, id, request.title.as_deref(), &request.text).await?;
    tx.commit().await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let location = format!("/v1/contexts/{}", stored.id);
    let shown: Context = view(stored);
    Ok((status, [(header::LOCATION, location)], axum::Json(shown)).into_response())
}

async fn read(given: Request, title: Option<String>) -> Result<ContextRequest> {
    let content_type = given.headers().get(header::CONTENT_TYPE);
    let is_text = content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"text/"));
    if is_text {
        body::expect_media_type(given.headers(), "text/plain", |kind| {
            ["text/plain", "text/markdown"].contains(&kind)
        })?;
        let bytes = body::read(given.into_body()).await?;
        let text = String::from_utf8(bytes.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let message = format!("is not UTF-8 from byte {at} on");
            Error::input(vec![fault("", "invalid_text", message)])
        })?;
        return Ok(ContextRequest { text, title });
    }
    if title.is_some() {
        let message = "is for a plain text; of a JSON body it is a field";
        return Err(
            Error::new(Code::InvalidQuery, format!("title {message}")).with(vec![fault(
                "title",
                "conflicting_fields",
                message,
            )]),
        );
    }
    let Json(bytes) = Json::from_request(given, &()).await?;
    parse(&bytes, FIELDS).map_err(Error::input)
}

fn check(request: &ContextRequest) -> Result<()> {
    if request.text.len() > MAX_TEXT {
        let detail = format!("the text of a context is at most {MAX_TEXT} bytes");
        return Err(Error::new(Code::TooLarge, detail));
    }
    let mut faults = Vec::new();
    if request.text.trim().is_empty() {
        faults.push(fault("/text", "empty", "must not be empty"));
    }
    if let Some(title) = &request.title {
        faults.extend(text::label("/title", title, MAX_LABEL).err());
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Error::input(faults))
    }
}

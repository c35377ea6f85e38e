//! The dashboard: the files that its own build has made, out of the binary.
//!
//! It begins at `/`. Names in `/assets/` hold a hash of what they name, so a browser
//! keeps them for a year; the page itself is asked for again each time. Whatever a
//! browser opens and the API does not know is a path of the page's own.
//!
//! What it never does: answer below `/v1`, read a file, or compress: each file is
//! there as it is, with brotli and with gzip.

mod embedded;
mod files;

use axum::extract::State as Extract;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::State;
use crate::error::{Error, no_route};
use crate::routes::Routes;

pub use embedded::Embedded;
pub(crate) use files::Files;

use files::File;

/// Nothing from elsewhere, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// Of the page that is shown where there is no dashboard: it has a style of its own.
const PLACEHOLDER_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const PLACEHOLDER: &str = include_str!("dashboard/placeholder.html");

const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
const NOT_AT_ALL: HeaderValue = HeaderValue::from_static("no-store");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/", get(or_no_route))
        .at("/assets/{*name}", get(or_no_route))
}

/// What no route answers: a file or a path of the dashboard, or nothing.
pub(crate) async fn or_no_route(
    Extract(state): Extract<State>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match state.dashboard.answer(&method, uri.path(), &headers) {
        Some(mut answer) => {
            if state.is_secure() && is_page(&answer) {
                // Elsewhere a browser complains about it.
                let alone = HeaderValue::from_static("same-origin");
                answer.headers_mut().insert(OPENER_POLICY, alone);
            }
            answer
        }
        None => no_route().await.into_response(),
    }
}

fn is_page(answer: &Response) -> bool {
    answer
        .headers()
        .contains_key(header::CONTENT_SECURITY_POLICY)
}

impl Files {
    /// The answer to a request, or none where the dashboard has nothing to say.
    fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
        if ![Method::GET, Method::HEAD].contains(method) {
            return None;
        }
        let name = path.strip_prefix('/')?;
        if name == "v1" || name.starts_with("v1/") {
            return None;
        }
        if let Some(asset) = name.strip_prefix("assets/") {
            return Some(match self.get(name).filter(|_| !asset.is_empty()) {
                Some(file) => send(file, headers, FOR_EVER),
                None => unknown_asset(),
            });
        }
        if let Some(file) = self.get(name).filter(|file| !file.is_page()) {
            return Some(send(file, headers, ASK_AGAIN));
        }
        // A program that mistypes a path hears so; a browser that opens one gets the page.
        let last = name.rsplit('/').next().unwrap_or_default();
        let page = name.is_empty() || name == files::PAGE;
        if !page && (last.contains('.') || !opens_a_page(headers)) {
            return None;
        }
        Some(match self.page() {
            Some(index) => with_policy(send(index, headers, ASK_AGAIN), POLICY),
            None => placeholder(),
        })
    }
}

/// Whether a browser asks for a document to show.
fn opens_a_page(headers: &HeaderMap) -> bool {
    words(headers, &header::ACCEPT).any(|(kind, _)| kind.eq_ignore_ascii_case("text/html"))
}

fn unknown_asset() -> Response {
    // After an upgrade an old page may ask for what is no longer there: neither the
    // answer nor its cause may stay.
    let mut answer = Error::new(
        crate::error::Code::NoRoute,
        "this version of the dashboard has no such file: load the page again",
    )
    .into_response();
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, NOT_AT_ALL);
    answer
}

fn placeholder() -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, NOT_AT_ALL),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    with_policy((headers, PLACEHOLDER).into_response(), PLACEHOLDER_POLICY)
}

fn with_policy(mut answer: Response, policy: &'static str) -> Response {
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    answer
}

/// A file in the shortest form that the client reads, unless it has that already.
fn send(file: &File, asked: &HeaderMap, keep: HeaderValue) -> Response {
    let reads = |coding: &str| {
        words(asked, &header::ACCEPT_ENCODING).any(|(word, parameters)| {
            word.eq_ignore_ascii_case(coding)
                && !matches!(parameters.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    };
    let (coding, copy) = file.in_form(reads);
    let has_it = words(asked, &header::IF_NONE_MATCH).any(|(tag, _)| {
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == copy.tag.as_bytes()
    });
    let mut answer = if has_it {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        copy.bytes.clone().into_response()
    };
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind()));
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::ETAG, copy.tag.clone());
    headers.insert(header::CACHE_CONTROL, keep);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// The elements of a header that is a list, each with its parameters.
fn words<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(|one| {
            let (word, parameters) = one.split_once(';').unwrap_or((one, ""));
            (word.trim(), parameters)
        })
}

#[cfg(test)]
mod tests;

//! What no route takes, whoever asks and for what: a head that is too long, a body
//! that is compressed, or one that says itself that it is too long.
//!
//! A compressed body would be a bound on the wire and none in memory.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::body::{MAX_BYTES, too_long};
use crate::error::{Code, Error, Result};

/// Headers of a request, at most.
pub(crate) const MAX_HEADERS: usize = 100;
/// Bytes of a request's address and headers, at most.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
/// Whose body is read line by line, so that it may be longer than one line.
const STREAMED: &str = "/v1/jobs/bulk";

pub(crate) async fn limit(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let unencoded = error.code() == Code::WrongMediaType;
            let mut answer = error.into_response();
            if unencoded {
                // By RFC 9110 this says which encodings would do.
                let identity = HeaderValue::from_static("identity");
                answer
                    .headers_mut()
                    .insert(header::ACCEPT_ENCODING, identity);
            }
            answer
        }
    }
}

fn check(request: &Request) -> Result<()> {
    let headers = request.headers();
    if headers.len() > MAX_HEADERS {
        return Err(Error::new(
            Code::HeadersTooLarge,
            format!("there are more than {MAX_HEADERS} headers; send fewer"),
        ));
    }
    let address = request.uri().path_and_query();
    let address = address.map_or(0, |address| address.as_str().len());
    if address + length(headers) > MAX_HEAD {
        return Err(Error::new(
            Code::HeadersTooLarge,
            format!("the address and the headers are longer than {MAX_HEAD} bytes together"),
        ));
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Error::new(
            Code::WrongMediaType,
            "send the body uncompressed",
        ));
    }
    // Nobody has to send 32 MB to hear that they are too many.
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let route = request.extensions().get::<MatchedPath>();
    let is_streamed = route.is_some_and(|route| route.as_str() == STREAMED);
    if !is_streamed && announced.is_some_and(|length| length > MAX_BYTES as u64) {
        return Err(too_long());
    }
    Ok(())
}

/// As the headers stand on the wire.
fn length(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum()
}

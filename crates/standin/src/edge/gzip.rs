//! Compressed answers, piece by piece.

use std::io::{self, Write};

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt, stream};

/// What a bomb is made of, a piece at a time.
const PIECE: usize = 1 << 20;

/// Compresses an answer that has a body and is not compressed yet.
pub(crate) fn compress(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let empty = headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length == "0");
    if empty
        || headers.contains_key(header::CONTENT_ENCODING)
        || !headers.contains_key(header::CONTENT_TYPE)
    {
        return response;
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response.map(|body| {
        let source = body
            .into_data_stream()
            .map(|chunk| chunk.map_err(io::Error::other));
        Body::from_stream(encode(source))
    })
}

/// In place of the body, so many spaces.
pub(crate) fn bomb(mut response: Response, bytes: u64) -> Response {
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let piece = Bytes::from(vec![b' '; PIECE]);
    let source = stream::unfold(bytes, move |left| {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let piece = piece.slice(..now);
        std::future::ready((now > 0).then(|| (Ok(piece), left - now as u64)))
    });
    response.map(|_| Body::from_stream(encode(source)))
}

/// Compresses a stream. If the source breaks off, so does the result, after what
/// was compressed so far.
fn encode(
    source: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    enum Stage<S> {
        Open(S, GzEncoder<Vec<u8>>),
        Failing(io::Error),
        Done,
    }
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    stream::unfold(Stage::Open(Box::pin(source), encoder), |stage| async move {
        let (mut source, mut encoder) = match stage {
            Stage::Open(source, encoder) => (source, encoder),
            Stage::Failing(error) => return Some((Err(error), Stage::Done)),
            Stage::Done => return None,
        };
        loop {
            let written = match source.next().await {
                Some(Ok(chunk)) => encoder.write_all(&chunk),
                Some(Err(error)) => {
                    let _ok = encoder.flush();
                    let rest = std::mem::take(encoder.get_mut());
                    return Some((Ok(rest.into()), Stage::Failing(error)));
                }
                None => {
                    let rest = encoder.finish();
                    return Some((rest.map(Bytes::from), Stage::Done));
                }
            };
            if let Err(error) = written {
                return Some((Err(error), Stage::Done));
            }
            if !encoder.get_ref().is_empty() {
                let ready = std::mem::take(encoder.get_mut());
                return Some((Ok(ready.into()), Stage::Open(source, encoder)));
            }
        }
    })
}

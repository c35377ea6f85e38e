//! A body cut into lines, as it arrives.

use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::body::{MAX_BYTES, broken};
use crate::error::{Code, Error, Result};

/// Lines of one body, at most.
pub(crate) const MAX_LINES: u64 = 1_000_000;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Something to read.
    Text(Vec<u8>),
    /// White space alone.
    Blank,
    /// Longer than a job may be; its content was thrown away.
    TooLong,
}

/// How far a body was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// Number of the last line, from 1.
    pub(crate) number: u64,
    /// The hash over all lines so far.
    pub(crate) chain: [u8; 32],
}

/// The lines of a body, each bounded, with a running hash over them: the hash
/// of nothing is given, and with each line it becomes SHA-256 of itself and
/// the line's bytes.
pub(crate) struct Lines {
    body: BodyDataStream,
    rest: Bytes,
    number: u64,
    chain: [u8; 32],
    max_bytes: usize,
}

impl Lines {
    pub(crate) fn new(body: Body, chain: [u8; 32]) -> Self {
        Self {
            body: body.into_data_stream(),
            rest: Bytes::new(),
            number: 0,
            chain,
            max_bytes: MAX_BYTES,
        }
    }

    /// How far it was read.
    pub(crate) fn at(&self) -> At {
        At {
            number: self.number,
            chain: self.chain,
        }
    }

    /// The next line; none at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>> {
        let mut hash = Sha256::new_with_prefix(self.chain);
        let (mut line, mut too_long) = (Vec::new(), false);
        let mut begun = false;
        loop {
            if self.rest.is_empty() {
                let more = self.body.try_next().await;
                match more.map_err(|error| broken(&error))? {
                    Some(frame) => {
                        self.rest = frame;
                        continue;
                    }
                    None if begun => break,
                    None => return Ok(None),
                }
            }
            begun = true;
            let end = memchr::memchr(b'\n', &self.rest);
            let piece = self.rest.split_to(end.unwrap_or(self.rest.len()));
            hash.update(&piece);
            too_long |= line.len() + piece.len() > self.max_bytes;
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(&piece);
            }
            if end.is_some() {
                self.rest.advance(1);
                break;
            }
        }
        self.number += 1;
        self.chain = hash.finalize().into();
        if self.number > MAX_LINES {
            let detail =
                format!("the body has more than {MAX_LINES} lines; send the rest as another");
            return Err(Error::new(Code::TooLarge, detail));
        }
        Ok(Some(if too_long {
            Line::TooLong
        } else if line.iter().all(u8::is_ascii_whitespace) {
            Line::Blank
        } else {
            Line::Text(line)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};
    use axum::body::Body;
    use bytes::Bytes;
    use futures_util::stream;
    use std::convert::Infallible;

    async fn cut(frames: &[&'static str]) -> (Vec<Line>, [u8; 32]) {
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| Ok::<_, Infallible>(Bytes::from_static(frame.as_bytes())))
            .collect();
        let mut lines = Lines::new(Body::from_stream(stream::iter(frames)), [0; 32]);
        lines.max_bytes = 5;
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        let at = lines.at();
        assert_eq!(at.number, u64::try_from(all.len()).unwrap());
        (all, at.chain)
    }

    #[tokio::test]
    async fn frames_do_not_matter() {
        let text = |text: &str| Line::Text(text.into());
        let whole = cut(&["ab\n\r\ncdefg\ncdefgh\nx"]).await;
        assert_eq!(
            whole.0,
            [
                text("ab"),
                Line::Blank,
                text("cdefg"),
                Line::TooLong,
                text("x")
            ]
        );
        assert_eq!(
            cut(&["a", "b\n\r", "\ncde", "fg\ncd", "efgh", "\n", "", "x\n"]).await,
            whole
        );
    }

    #[tokio::test]
    async fn the_hash_tells_bodies_apart() {
        let (_, whole) = cut(&["a\nb"]).await;
        for other in [
            &["a\nc"][..],
            &["b\na"],
            &["a"],
            &["a\nb\nc"],
            &["a\n\nb"],
            &["ab"],
        ] {
            assert_ne!(cut(other).await.1, whole);
        }
        assert_eq!(cut(&[]).await, (vec![], [0; 32]));
    }
}

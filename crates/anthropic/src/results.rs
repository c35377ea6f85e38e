//! The results of one batch as a stream of raw lines.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use bytes::Bytes;

use crate::error::Error;
use crate::lines::{Line, Lines};

/// An open results download. Dropping it closes the connection.
pub struct Results {
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    lines: Lines,
    ended: bool,
}

impl Results {
    pub(crate) fn new(response: reqwest::Response, max_line: usize) -> Self {
        Self {
            chunks: response.bytes_stream().boxed(),
            lines: Lines::new(max_line),
            ended: false,
        }
    }

    /// The next line, `None` at the end of the answer. An end by a broken
    /// connection is an error, and what was begun of a line is lost; an orderly
    /// end proves nothing about completeness, so count the lines.
    pub async fn next_line(&mut self) -> Result<Option<Line>, Error> {
        loop {
            if let Some(line) = self.lines.take() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.lines.push(chunk),
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(Error::transport(error, true));
                }
                None => {
                    self.ended = true;
                    return Ok(self.lines.finish());
                }
            }
        }
    }
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Results")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

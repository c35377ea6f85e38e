//! The results of one batch as a stream of raw lines.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::error::Error;
use crate::lines::{Line, Lines};

/// How fast results have to come: so many bytes in each window of waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    bytes: u64,
    window: Duration,
    /// In the present window.
    came: u64,
    waited: Duration,
}

impl Pace {
    pub(crate) fn new(bytes: u64, window: Duration) -> Self {
        Self {
            bytes,
            window,
            came: 0,
            waited: Duration::ZERO,
        }
    }

    /// How long may be waited until it is known whether they come too slowly.
    fn left(&self) -> Duration {
        self.window.saturating_sub(self.waited)
    }

    /// Counts what was waited for and what came. False when that was too little.
    fn went(&mut self, waited: Duration, came: usize) -> bool {
        self.waited += waited;
        self.came += came as u64;
        if self.waited < self.window {
            return true;
        }
        let enough = self.came >= self.bytes;
        (self.came, self.waited) = (0, Duration::ZERO);
        enough
    }
}

/// An open results download. Dropping it closes the connection.
pub struct Results {
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    lines: Lines,
    pace: Pace,
    ended: bool,
}

impl Results {
    pub(crate) fn new(response: reqwest::Response, max_line: usize, pace: Pace) -> Self {
        Self {
            chunks: response.bytes_stream().boxed(),
            lines: Lines::new(max_line),
            pace,
            ended: false,
        }
    }

    /// The next line, `None` at the end of the answer. An end by a broken
    /// connection is an error, and what was begun of a line is lost; an orderly
    /// end proves nothing about completeness, so count the lines. A download
    /// that drips is ended by [`Error::Slow`].
    pub async fn next_line(&mut self) -> Result<Option<Line>, Error> {
        loop {
            if let Some(line) = self.lines.take() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            let asked = Instant::now();
            let next = tokio::time::timeout(self.pace.left(), self.chunks.next()).await;
            let came = match &next {
                Ok(Some(Ok(chunk))) => chunk.len(),
                Ok(Some(Err(_)) | None) | Err(_) => 0,
            };
            let in_time = self.pace.went(asked.elapsed(), came);
            match next {
                Ok(Some(Err(error))) => {
                    self.ended = true;
                    return Err(Error::transport(error, true));
                }
                Ok(None) => {
                    self.ended = true;
                    return Ok(self.lines.finish());
                }
                Ok(Some(Ok(chunk))) => self.lines.push(chunk),
                Err(_) => {}
            }
            if !in_time {
                self.ended = true;
                return Err(Error::Slow);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_windows_of_waiting_are_judged() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(30_000, second * 30);
        // Little in a short time may be all that there is.
        assert!(pace.went(second, 10));
        assert_eq!(pace.left(), second * 29);
        assert!(pace.went(second * 29, 29_990), "just enough");
        assert_eq!(pace.left(), second * 30, "and a new window");
        assert!(pace.went(second * 10, 29_999));
        assert!(!pace.went(second * 20, 0), "one byte too few");
        // A long wait that ends with much is fast enough.
        assert!(pace.went(second * 100, 1 << 20));
    }
}

//! An answer that is read line by line, while it comes.

use bytes::{Buf as _, BytesMut};
use reqwest::Response;

use super::http::Client;
use crate::exit::Failure;

/// The lines of an answer.
pub(super) struct Lines {
    answer: Response,
    rest: BytesMut,
    /// So many bytes of `rest` have no end of a line.
    looked: usize,
}

impl Lines {
    pub(super) fn of(answer: Response) -> Self {
        Self {
            answer,
            rest: BytesMut::new(),
            looked: 0,
        }
    }

    /// The next one, without its end; none after the last. A line without an end is an
    /// error: the answer broke off.
    pub(super) async fn next(&mut self, client: &Client) -> Result<Option<BytesMut>, Failure> {
        loop {
            let fresh = &self.rest[self.looked..];
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.looked + end);
                self.rest.advance(1);
                self.looked = 0;
                return Ok(Some(line));
            }
            self.looked = self.rest.len();
            let chunk = self.answer.chunk().await;
            match chunk.map_err(|cause| client.unreachable(cause))? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None if self.rest.is_empty() => return Ok(None),
                None => {
                    return Err(Failure::server(anyhow::anyhow!(
                        "the answer broke off in the middle of a line; repeat the command"
                    )));
                }
            }
        }
    }
}

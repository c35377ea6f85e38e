//! Splits a stream of bytes into lines of bounded size, on raw `\n` only.

use bytes::{Bytes, BytesMut};

/// One line of a result stream, without its line ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line within the bound.
    Whole {
        /// All of it.
        bytes: Bytes,
        /// Whether a newline ended it; a last line without one may have been cut.
        terminated: bool,
    },
    /// A line over the bound; what follows its head was thrown away.
    Oversized {
        /// How it begins (1 KiB), enough to find its `custom_id`.
        head: Bytes,
        /// Its whole length in bytes.
        len: u64,
        /// Whether a newline ended it.
        terminated: bool,
    },
}

impl Line {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Whole { bytes, .. } if bytes.is_empty())
    }
}

/// How much of an oversized line is kept, in bytes.
const HEAD: usize = 1024;

/// The splitter: give it chunks, take lines.
#[derive(Debug)]
pub(crate) struct Lines {
    max: usize,
    /// What came in and was not looked at yet.
    input: Bytes,
    /// The begun line, at most `max` bytes of it.
    begun: BytesMut,
    /// Length of the begun line, including what was thrown away.
    len: u64,
}

impl Lines {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            input: Bytes::new(),
            begun: BytesMut::new(),
            len: 0,
        }
    }

    /// Adds a chunk. Take all lines before adding the next one.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(
            self.input.is_empty(),
            "lines are taken before the next chunk comes"
        );
        self.input = chunk;
    }

    /// The next terminated line, or `None` when another chunk is needed. Empty
    /// lines are skipped.
    pub(crate) fn take(&mut self) -> Option<Line> {
        while !self.input.is_empty() {
            let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else {
                let rest = std::mem::take(&mut self.input);
                self.extend(&rest);
                return None;
            };
            let rest = self.input.split_to(end);
            let _newline = self.input.split_to(1);
            // The common case copies nothing: the line lies within one chunk.
            let line = if self.len == 0 && rest.len() <= self.max {
                Line::Whole {
                    bytes: without_return(rest),
                    terminated: true,
                }
            } else {
                self.extend(&rest);
                self.close(true)
            };
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }

    /// The last line, when the stream ended without a newline. One that was cut between
    /// return and newline is empty, and as little a line as any other empty one.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        (self.len > 0)
            .then(|| self.close(false))
            .filter(|line| !line.is_empty())
    }

    fn extend(&mut self, part: &[u8]) {
        self.len += part.len() as u64;
        let room = self.max.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&part[..part.len().min(room)]);
        if self.len > self.max as u64 {
            // Over the bound already: give the memory back.
            self.begun.truncate(HEAD);
        }
    }

    fn close(&mut self, terminated: bool) -> Line {
        let mut begun = std::mem::take(&mut self.begun);
        let len = std::mem::take(&mut self.len);
        if len > self.max as u64 {
            begun.truncate(HEAD);
            Line::Oversized {
                head: begun.freeze(),
                len,
                terminated,
            }
        } else {
            Line::Whole {
                bytes: without_return(begun.freeze()),
                terminated,
            }
        }
    }
}

fn without_return(mut line: Bytes) -> Bytes {
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]], max: usize) -> Vec<Line> {
        let mut lines = Lines::new(max);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.push(Bytes::copy_from_slice(chunk));
            while let Some(line) = lines.take() {
                out.push(line);
            }
        }
        out.extend(lines.finish());
        out
    }

    fn whole(text: &'static str, terminated: bool) -> Line {
        Line::Whole {
            bytes: Bytes::from_static(text.as_bytes()),
            terminated,
        }
    }

    #[test]
    fn the_same_lines_however_the_bytes_arrive() {
        let input = "a\r\nbb\n\n\u{2028}c\u{85}\nlast".as_bytes();
        let expected = vec![
            whole("a", true),
            whole("bb", true),
            whole("\u{2028}c\u{85}", true),
            whole("last", false),
        ];
        for size in 1..=input.len() {
            let chunks: Vec<&[u8]> = input.chunks(size).collect();
            assert_eq!(split(&chunks, 100), expected, "chunks of {size}");
        }
    }

    #[test]
    fn what_was_cut_before_its_newline_leaves_no_empty_line() {
        assert_eq!(split(&[b"a\n\r"], 100), [whole("a", true)]);
        assert_eq!(split(&[b"a\r"], 100), [whole("a", false)]);
    }

    #[test]
    fn a_line_over_the_bound_is_counted_and_thrown_away() {
        let long = vec![b'x'; 5000];
        let mut input = long.clone();
        input.extend_from_slice(b"\nok\n");
        for size in [1, 7, 1024, 6000] {
            let chunks: Vec<&[u8]> = input.chunks(size).collect();
            let expected = vec![
                Line::Oversized {
                    head: Bytes::copy_from_slice(&long[..HEAD]),
                    len: 5000,
                    terminated: true,
                },
                whole("ok", true),
            ];
            assert_eq!(split(&chunks, 4000), expected, "chunks of {size}");
        }
    }

    #[test]
    fn memory_stays_at_the_bound() {
        let mut lines = Lines::new(4000);
        for _ in 0..1000 {
            lines.push(Bytes::from(vec![b'x'; 1000]));
            assert_eq!(lines.take(), None);
            assert!(lines.begun.len() <= 4000);
        }
        assert!(matches!(
            lines.finish(),
            Some(Line::Oversized {
                len: 1_000_000,
                terminated: false,
                ..
            })
        ));
    }
}

//! What holds of any bytes that come as results: for `make fuzz` and for the test that
//! replays its corpus.

#![expect(
    clippy::missing_panics_doc,
    reason = "that they panic is how they say it"
)]

use bytes::Bytes;

use crate::lines::{Line, Lines};
use crate::shape::{ResultKind, ResultLine};

/// Bytes of a line, at most: so few that short inputs go beyond it.
const MAX: usize = 64;

/// The first byte says how long the chunks are in which the others come.
pub fn results(bytes: &[u8]) {
    let Some((length, body)) = bytes.split_first() else {
        return;
    };
    let chunked = split(body, usize::from(*length).max(1), MAX);
    assert_eq!(chunked, split(body, body.len().max(1), MAX), "by chunks");
    let mut total = 0;
    for line in &chunked {
        match line {
            Line::Whole { bytes, .. } => {
                assert!(!bytes.is_empty() && bytes.len() <= MAX);
                total += bytes.len();
            }
            Line::Oversized { head, len, .. } => {
                assert!(head.len() <= MAX && *len > MAX as u64);
                assert!(usize::try_from(*len).is_ok_and(|len| len <= body.len()));
                total += head.len();
            }
        }
    }
    assert!(total <= body.len(), "more came out than in");
    for line in split(body, body.len().max(1), body.len()) {
        let Line::Whole { bytes, .. } = line else {
            unreachable!("no line is longer than all");
        };
        if let Ok(read) = ResultLine::parse(&bytes) {
            judge(&read, &bytes);
        }
    }
}

fn judge(read: &ResultLine<'_>, line: &[u8]) {
    assert!(read.custom_id.len() <= line.len());
    let text = read.text();
    if let ResultKind::Succeeded(message) = &read.result {
        assert_eq!(text, message.text());
        // A character that is no more than half of one becomes three bytes of six.
        assert!(text.is_none_or(|text| text.len() <= line.len()));
    } else {
        assert_eq!(text, None);
    }
}

fn split(body: &[u8], chunk: usize, max: usize) -> Vec<Line> {
    let mut lines = Lines::new(max);
    let mut found = Vec::new();
    for chunk in body.chunks(chunk) {
        lines.push(Bytes::copy_from_slice(chunk));
        while let Some(line) = lines.take() {
            found.push(line);
        }
    }
    found.extend(lines.finish());
    found
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn the_corpus_of_results_holds() {
        replay("results", super::results);
    }
}

//! Result lines, damaged on their way out. Nothing on disk changes, and a line is
//! held only as long as it is damaged.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};

use crate::fault::lines::{Damage, LineFault};

const PIECE: usize = 64 << 10;
const OVERSIZE: u64 = 64 << 20;
const DEPTH: u64 = 100_000;

/// What follows a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Next,
    End,
    Break,
}

struct Lines<S> {
    source: S,
    held: BytesMut,
    ready: VecDeque<Bytes>,
    number: u64,
    then: Then,
}

/// The lines of `source` with these damages. `seed` and `draw` name the download.
pub(crate) fn damage(
    source: impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    faults: Arc<[LineFault]>,
    seed: u64,
    draw: String,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let lines = Lines {
        source,
        held: BytesMut::new(),
        ready: VecDeque::new(),
        number: 0,
        then: Then::Next,
    };
    stream::unfold(Some(lines), move |lines| {
        let (faults, draw) = (Arc::clone(&faults), draw.clone());
        async move {
            let mut lines = lines?;
            loop {
                if let Some(piece) = lines.ready.pop_front() {
                    return Some((Ok(piece), Some(lines)));
                }
                match lines.then {
                    Then::End => return None,
                    Then::Break => {
                        tokio::task::yield_now().await;
                        return Some((Err(io::ErrorKind::ConnectionReset.into()), None));
                    }
                    Then::Next => {}
                }
                match lines.line().await {
                    Ok(Some(line)) => {
                        let number = lines.number;
                        lines.number += 1;
                        let here = faults
                            .iter()
                            .filter(|fault| fault.falls_on(number, seed, &draw));
                        (lines.ready, lines.then) = apply(&line, here, number);
                    }
                    Ok(None) => return None,
                    Err(error) => return Some((Err(error), None)),
                }
            }
        }
    })
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Lines<S> {
    /// The next line, without its newline.
    async fn line(&mut self) -> io::Result<Option<Bytes>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.held[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.held.split_to(searched + at + 1).freeze();
                line.truncate(searched + at);
                return Ok(Some(line));
            }
            searched = self.held.len();
            match self.source.next().await {
                Some(chunk) => self.held.extend_from_slice(&chunk?),
                None if self.held.is_empty() => return Ok(None),
                None => return Ok(Some(self.held.split().freeze())),
            }
        }
    }
}

/// One line with all damages that fall on it.
fn apply<'a>(
    line: &Bytes,
    faults: impl Iterator<Item = &'a LineFault>,
    number: u64,
) -> (VecDeque<Bytes>, Then) {
    let mut before = Vec::new();
    let mut pieces = vec![line.clone()];
    let mut behind = Vec::new();
    let mut ending: &'static [u8] = b"\n";
    let mut then = Then::Next;
    let mut missing = false;
    let text =
        |insert: &'static [u8]| split_in(line, br#""text":""#, vec![Bytes::from_static(insert)]);
    for fault in faults {
        match fault.what {
            Damage::Missing => missing = true,
            Damage::Duplicate => behind.extend([line.clone(), Bytes::from_static(b"\n")]),
            Damage::Conflict => behind.extend([twin(line), Bytes::from_static(b"\n")]),
            Damage::Unknown => {
                let stray = format!("stray-{number}");
                let ids = if fault.ids.is_empty() {
                    std::slice::from_ref(&stray)
                } else {
                    &fault.ids
                };
                for id in ids {
                    let result = json!({ "custom_id": id, "result": { "type": "expired" } });
                    before.push(Bytes::from(format!("{result}\n")));
                }
            }
            Damage::Truncate | Damage::TruncateNewline | Damage::Reset => {
                pieces = vec![line.slice(..line.len() / 2)];
                if fault.what != Damage::TruncateNewline {
                    ending = b"";
                }
                then = if fault.what == Damage::Reset {
                    Then::Break
                } else {
                    Then::End
                };
            }
            Damage::NoNewline => (ending, then) = (b"", Then::End),
            Damage::Oversize => pieces = oversize(line, fault.size.unwrap_or(OVERSIZE)),
            Damage::Nul => pieces = text(b"\0"),
            Damage::NulEscape => pieces = text(br"\u0000"),
            Damage::LoneSurrogate => pieces = text(br"\ud83d"),
            Damage::LineSeparator => pieces = text(b"\xe2\x80\xa8"),
            Damage::BadUtf8 => pieces = text(b"\xc3\x28"),
            Damage::Bom => before.push(Bytes::from_static(b"\xef\xbb\xbf")),
            Damage::Crlf => ending = b"\r\n",
            Damage::Blank => before.push(Bytes::from_static(b"\n")),
            Damage::Depth => pieces = deep(line, fault.size.unwrap_or(DEPTH)),
            Damage::Garbage => pieces = vec![Bytes::from_static(b"upstream connect error")],
            Damage::ResultType => {
                let result = json!({ "type": "postponed", "until": "2027-01-01T00:00:00Z" });
                let line = json!({ "custom_id": custom_id(line), "result": result });
                pieces = vec![line.to_string().into()];
            }
            Damage::BlockType => {
                let block = br#"{"type":"hologram","data":"AAAA"},"#;
                pieces = split_in(line, br#""content":["#, vec![Bytes::from_static(block)]);
            }
        }
    }
    let mut out: VecDeque<Bytes> = before.into();
    if !missing {
        out.extend(pieces);
        out.push_back(Bytes::from_static(ending));
    }
    out.extend(behind);
    out.retain(|piece| !piece.is_empty());
    (out, then)
}

/// The line with something put in behind a mark; unchanged, where there is none.
fn split_in(line: &Bytes, mark: &[u8], insert: Vec<Bytes>) -> Vec<Bytes> {
    let Some(at) = line.windows(mark.len()).position(|part| part == mark) else {
        return vec![line.clone()];
    };
    let at = at + mark.len();
    let mut pieces = vec![line.slice(..at)];
    pieces.extend(insert);
    pieces.push(line.slice(at..));
    pieces
}

fn oversize(line: &Bytes, size: u64) -> Vec<Bytes> {
    let size = usize::try_from(size).unwrap_or(PIECE);
    let block = Bytes::from(vec![b'x'; PIECE]);
    let padding = (0..size.div_ceil(PIECE)).map(|n| block.slice(..PIECE.min(size - n * PIECE)));
    let mut insert = vec![Bytes::from_static(br#""padding":""#)];
    insert.extend(padding);
    insert.push(Bytes::from_static(br#"","#));
    split_in(line, br#""result":{"#, insert)
}

fn deep(line: &Bytes, levels: u64) -> Vec<Bytes> {
    let levels = usize::try_from(levels).unwrap_or(0);
    let insert = vec![
        Bytes::from_static(br#""deep":"#),
        vec![b'['; levels].into(),
        vec![b']'; levels].into(),
        Bytes::from_static(b","),
    ];
    split_in(line, br#""result":{"#, insert)
}

fn custom_id(line: &[u8]) -> Value {
    let mut line: Value = serde_json::from_slice(line).unwrap_or_default();
    line["custom_id"].take()
}

/// Another result for the same request.
fn twin(line: &[u8]) -> Bytes {
    let succeeded = line.windows(11).any(|part| part == br#""succeeded""#);
    let other = if succeeded { "expired" } else { "canceled" };
    let twin = json!({ "custom_id": custom_id(line), "result": { "type": other } });
    twin.to_string().into()
}

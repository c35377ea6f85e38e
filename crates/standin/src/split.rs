//! Takes `{"requests":[…]}` apart as its bytes come in, one raw item at a time.
//!
//! It holds one item in memory, never the body. It finds the borders only; each
//! item is parsed by whoever takes it.

use crate::refusal::Refusal;

/// Largest item, in bytes: that of one Messages body and a little.
pub(crate) const MAX_ITEM: usize = 33_000_000;
/// Longest top-level key that is kept.
const MAX_KEY: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// Before a key or the end; `true` once a key stood there.
    Key(bool),
    InKey,
    Colon,
    Array,
    /// Before an item; `true` where `]` may stand instead.
    Item(bool),
    InItem,
    AfterItem,
    AfterArray,
    End,
}

/// Takes one item, with its number.
pub(crate) type Take<'a> = dyn FnMut(usize, &[u8]) -> Result<(), Refusal> + 'a;

/// The splitter. Feed it chunks, then [`finish`](Self::finish) it.
#[derive(Debug)]
pub(crate) struct Split {
    at: At,
    key: Vec<u8>,
    item: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    items: usize,
}

impl Split {
    pub(crate) fn new() -> Self {
        Self {
            at: At::Start,
            key: Vec::new(),
            item: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            items: 0,
        }
    }

    /// Looks at a chunk; each item that ends in it goes to `take`, with its number.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], take: &mut Take<'_>) -> Result<(), Refusal> {
        while !chunk.is_empty() {
            if self.at == At::InItem {
                let length = self.item_end(chunk);
                let (part, rest) = chunk.split_at(length.unwrap_or(chunk.len()));
                self.item.extend_from_slice(part);
                chunk = rest;
                if self.item.len() > MAX_ITEM {
                    return Err(Refusal::too_large());
                }
                if length.is_some() {
                    take(self.items, &self.item)?;
                    self.items += 1;
                    self.item.clear();
                    self.at = At::AfterItem;
                }
            } else {
                self.step(chunk[0])?;
                chunk = &chunk[1..];
            }
        }
        Ok(())
    }

    /// The number of items, if the body ended where it should.
    pub(crate) fn finish(self) -> Result<usize, Refusal> {
        match self.at {
            At::End => Ok(self.items),
            _ => Err(malformed("it ends too early")),
        }
    }

    /// Where the current item ends within the chunk.
    fn item_end(&mut self, chunk: &[u8]) -> Option<usize> {
        for (at, byte) in chunk.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn step(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.at == At::InKey {
            return self.key_byte(byte);
        }
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.at = match (self.at, byte) {
            (At::Start, b'{') => At::Key(false),
            (At::Key(_), b'"') => At::InKey,
            (At::Key(false), b'}') => return Err(Refusal::invalid("requests: Field required")),
            (At::Colon, b':') => At::Array,
            (At::Array, b'[') => At::Item(true),
            (At::Array, _) => {
                return Err(Refusal::invalid("requests: Input should be a valid list"));
            }
            (At::Item(true), b']') => {
                return Err(Refusal::invalid(
                    "requests: List should have at least 1 item after validation, not 0",
                ));
            }
            (At::Item(_), b'{') => {
                self.item.push(byte);
                self.depth = 1;
                At::InItem
            }
            (At::Item(_), b'[' | b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n') => {
                let number = self.items;
                return Err(Refusal::invalid(format!(
                    "requests.{number}: Input should be a valid dictionary"
                )));
            }
            (At::AfterItem, b',') => At::Item(false),
            (At::AfterItem, b']') => At::AfterArray,
            (At::AfterArray, b'}') => At::End,
            (At::AfterArray, b',') => At::Key(true),
            _ => {
                return Err(malformed(
                    "an unexpected character stands outside the items",
                ));
            }
        };
        Ok(())
    }

    fn key_byte(&mut self, byte: u8) -> Result<(), Refusal> {
        if byte != b'"' {
            if self.key.len() < MAX_KEY {
                self.key.push(byte);
            }
            return Ok(());
        }
        let key = String::from_utf8_lossy(&self.key).into_owned();
        if key != "requests" {
            return Err(Refusal::invalid(format!(
                "{key}: Extra inputs are not permitted"
            )));
        }
        if self.items > 0 {
            return Err(malformed("`requests` stands twice"));
        }
        self.key.clear();
        self.at = At::Colon;
        Ok(())
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::invalid(format!("The request body is not valid JSON: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str, size: usize) -> Result<Vec<String>, String> {
        let mut split = Split::new();
        let mut items = Vec::new();
        let mut take = |number: usize, item: &[u8]| {
            assert_eq!(number, items.len());
            items.push(String::from_utf8(item.to_vec()).unwrap());
            Ok(())
        };
        for chunk in body.as_bytes().chunks(size) {
            split
                .feed(chunk, &mut take)
                .map_err(|refusal| refusal.message)?;
        }
        split.finish().map_err(|refusal| refusal.message)?;
        Ok(items)
    }

    #[test]
    fn the_same_items_however_the_bytes_arrive() {
        let body = r#" {"requests" : [ {"a":"}]\\\"{"} ,{"b":[{},{"c":"é"}]}
            ] } "#;
        let items = vec![
            r#"{"a":"}]\\\"{"}"#.to_owned(),
            r#"{"b":[{},{"c":"é"}]}"#.to_owned(),
        ];
        for size in 1..=body.len() {
            assert_eq!(split(body, size), Ok(items.clone()), "chunks of {size}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", "The request body is not valid JSON: it ends too early"),
            ("{}", "requests: Field required"),
            (
                r#"{"requests":{}}"#,
                "requests: Input should be a valid list",
            ),
            (
                r#"{"requests":[]}"#,
                "requests: List should have at least 1 item after validation, not 0",
            ),
            (
                r#"{"requests":[{},7]}"#,
                "requests.1: Input should be a valid dictionary",
            ),
            (r#"{"model":"x"}"#, "model: Extra inputs are not permitted"),
            (
                r#"{"requests":[{}],"betas":[]}"#,
                "betas: Extra inputs are not permitted",
            ),
            (
                r#"{"requests":[{}]"#,
                "The request body is not valid JSON: it ends too early",
            ),
            (
                r#"{"requests":[{"a":"]}"#,
                "The request body is not valid JSON: it ends too early",
            ),
            (
                r#"{"requests":[{}]}x"#,
                "The request body is not valid JSON: an unexpected character stands outside the items",
            ),
            (
                r#"{"requests":[{}],"requests":[{}]}"#,
                "The request body is not valid JSON: `requests` stands twice",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(split(body, 3), Err(expected.to_owned()), "{body}");
        }
    }
}

//! Tokens of a prompt from the bytes of its JSON.
//!
//! No tokenizer runs here: a submit must not wait for one, and none is public.
//! What stands in for it is a number of bytes for each kind of text. The shipped
//! numbers are calibrated against offpeak's stand-in, whose rule they are;
//! [`Drift`] says how far they are from what was really measured.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes and flat sizes of which tokens are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    /// Bytes of a hundred tokens of text.
    pub text: u64,
    /// Bytes of a hundred tokens of JSON: tools, schemas, tool calls.
    pub json: u64,
    /// Tokens of an image.
    pub image: u64,
    /// Tokens of a file whose text is not in the request.
    pub file: u64,
}

impl Calibration {
    /// Calibrated against the stand-in: four bytes a token, 1,600 tokens an
    /// image, 3,000 a file. English text is near it on real models too; other
    /// languages and code have fewer bytes a token.
    pub const SHIPPED: Self = Self {
        text: 400,
        json: 400,
        image: 1_600,
        file: 3_000,
    };

    /// Tokens of so many bytes of text.
    pub fn of_text(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(100).div_ceil(self.text.max(1))
    }

    /// Tokens of a JSON value, without the spaces that only lay it out.
    pub(super) fn of_json(&self, json: &str) -> u64 {
        compact(json).saturating_mul(100).div_ceil(self.json.max(1))
    }

    /// Tokens of a content: a string, or an array of blocks.
    pub(super) fn of_content(&self, content: &str) -> u64 {
        if content.starts_with('"') {
            return self.of_text(decoded(content));
        }
        let blocks: Vec<&RawValue> = serde_json::from_str(content).unwrap_or_default();
        blocks.into_iter().map(|block| self.of_block(block)).sum()
    }

    fn of_block(&self, raw: &RawValue) -> u64 {
        let Ok(block) = serde_json::from_str::<Block<'_>>(raw.get()) else {
            return self.of_json(raw.get());
        };
        let content = |part: Option<&RawValue>| part.map_or(0, |p| self.of_content(p.get()));
        match block.kind.as_deref() {
            Some("text") => content(block.text),
            Some("image") => self.image,
            Some("document") => match block.source {
                Some(source) if source.kind.as_deref() == Some("text") => content(source.data),
                Some(source) if source.kind.as_deref() == Some("content") => {
                    content(source.content)
                }
                _ => self.file,
            },
            Some("tool_result" | "search_result") => content(block.content),
            _ => self.of_json(raw.get()),
        }
    }
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<Source<'a>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// Estimated beside measured prompt tokens: how wrong the calibration is here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drift {
    /// Prompts that were both estimated and measured.
    pub prompts: u64,
    /// Tokens as estimated.
    pub estimated: u64,
    /// Tokens as billed.
    pub measured: u64,
}

impl Drift {
    /// One more prompt.
    pub fn add(&mut self, estimated: u64, measured: u64) {
        self.prompts += 1;
        self.estimated = self.estimated.saturating_add(estimated);
        self.measured = self.measured.saturating_add(measured);
    }

    /// By how many tenths of a percent the estimate is above what was measured;
    /// none before anything was measured.
    pub fn permille(&self) -> Option<i64> {
        let (estimated, measured) = (i128::from(self.estimated), i128::from(self.measured));
        let off = ((estimated - measured) * 1_000).checked_div(measured)?;
        i64::try_from(off).ok()
    }
}

/// Bytes of the text that a JSON string stands for.
pub(super) fn decoded(string: &str) -> u64 {
    let inside = string
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let inside = inside.unwrap_or(string).as_bytes();
    let mut bytes = 0;
    let mut at = 0;
    while let Some(byte) = inside.get(at) {
        if *byte != b'\\' {
            bytes += 1;
            at += 1;
            continue;
        }
        let unit = inside
            .get(at + 1..at + 6)
            .filter(|escape| escape[0] == b'u')
            .and_then(|escape| std::str::from_utf8(&escape[1..]).ok())
            .and_then(|digits| u16::from_str_radix(digits, 16).ok());
        at += if unit.is_some() { 6 } else { 2 };
        bytes += match unit {
            None | Some(..0x80) => 1,
            // Half of a pair, which is four bytes as a whole.
            Some(0x80..0x800 | 0xd800..=0xdfff) => 2,
            Some(_) => 3,
        };
    }
    bytes
}

/// Bytes of JSON without space between its parts.
fn compact(json: &str) -> u64 {
    let (mut bytes, mut in_string, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            in_string = byte == b'"';
        }
        bytes += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Calibration, Drift, compact, decoded};
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_content_has_its_size() {
        let tokens = |content: &str| Calibration::SHIPPED.of_content(content);
        assert_eq!(tokens(r#""12345678""#), 2);
        assert_eq!(tokens(r#""12345\n\n78""#), 3);
        let blocks = r#"[
            {"type":"text","text":"12345678"},
            {"type":"image","source":{"type":"base64","data":"AAAAAAAAAAAAAAAAAAAA"}},
            {"type":"document","source":{"type":"text","data":"1234"}},
            {"type":"document","source":{"type":"content","content":[{"type":"text","text":"1"}]}},
            {"type":"document","source":{"type":"url","url":"https://x"}},
            {"type":"tool_result","content":"1234"},
            {"type":"tool_use","id": 1}
        ]"#;
        assert_eq!(tokens(blocks), 2 + 1_600 + 1 + 1 + 3_000 + 1 + 7);
        assert_eq!(tokens("7"), 0);
    }

    #[test]
    fn the_error_is_in_tenths_of_a_percent() {
        let mut drift = Drift::default();
        assert_eq!(drift.permille(), None);
        drift.add(1_024, 1_000);
        assert_eq!(drift.permille(), Some(24));
        drift.add(876, 1_000);
        assert_eq!((drift.prompts, drift.permille()), (2, Some(-50)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever a text holds, and however it is written as JSON.
        #[test]
        fn lengths_are_those_of_the_text(text in "\\PC{0,40}[\n\"\\\\]{0,3}\\PC{0,5}") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(decoded(&json), text.len() as u64);
            let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let ascii = units.concat();
            prop_assert_eq!(decoded(&format!("\"{ascii}\"")), text.len() as u64);
            prop_assert_eq!(compact(&format!(" {{ \"a\" :\n{json} }}")), 6 + json.len() as u64);
        }
    }
}

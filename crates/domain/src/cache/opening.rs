//! The request that goes ahead of a batch: its prefix, marked, and no answer.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Mark;

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow)]
    system: &'a RawValue,
}

#[derive(Serialize)]
struct Opening<'a> {
    model: &'a RawValue,
    max_tokens: u32,
    system: &'a RawValue,
    messages: [Message; 1],
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: &'static str,
}

/// A Messages body with the prefix of these params, whose mark is to be put in at
/// this byte, that asks for no answer. Nothing, when they are not of that form.
pub fn opening(params: &[u8], at: usize, mark: Mark) -> Option<Vec<u8>> {
    let mut head = params.get(..at)?.to_vec();
    head.extend_from_slice(mark.text().as_bytes());
    head.extend_from_slice(b"}]}");
    let head: Head<'_> = serde_json::from_slice(&head).ok()?;
    let opening = Opening {
        model: head.model,
        // Allowed in such a request alone: it only fills the cache.
        max_tokens: 0,
        system: head.system,
        messages: [Message {
            role: "user",
            content: ".",
        }],
    };
    serde_json::to_vec(&opening).ok()
}

#[cfg(test)]
mod tests {
    use super::opening;
    use crate::cache::Mark;

    #[test]
    fn the_prefix_and_no_more() {
        let params = br#"{"model":"m","max_tokens":64,"system":[{"type":"text","text":"a\u00e9"}],"messages":[{"role":"user","content":"secret"}]}"#;
        let at = params.windows(2).position(|two| two == b"}]").unwrap();
        let body = String::from_utf8(opening(params, at, Mark::OneHour).unwrap()).unwrap();
        insta::assert_snapshot!(body, @r#"{"model":"m","max_tokens":0,"system":[{"type":"text","text":"a\u00e9","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":"."}]}"#);
        assert_eq!(opening(params, 3, Mark::OneHour), None);
        assert_eq!(opening(params, 10_000, Mark::OneHour), None);
    }
}

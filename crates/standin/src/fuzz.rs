//! What holds of any bytes that come as a create of a batch: for `make fuzz` and for the
//! test that replays its corpus.

#![expect(
    clippy::missing_panics_doc,
    reason = "that they panic is how they say it"
)]

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::brief::Brief;
use crate::check::{self, Terms};
use crate::split::Split;

/// A body with nothing but its requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    requests: Vec<Value>,
}

/// The first byte says how long the chunks are in which the others come.
pub fn requests(bytes: &[u8]) {
    let Some((length, body)) = bytes.split_first() else {
        return;
    };
    let chunked = split(body, usize::from(*length).max(1));
    let whole = split(body, body.len().max(1));
    assert_eq!(chunked, whole, "by chunks");
    // What is JSON of this form is taken apart as JSON is.
    if let Ok(Whole { requests }) = serde_json::from_slice(body)
        && !body.starts_with(b"[")
        && requests.iter().all(Value::is_object)
    {
        // A batch of nothing is refused.
        let items = (!requests.is_empty()).then_some(requests.len());
        assert_eq!(whole.as_ref().map(Vec::len), items, "items");
    }
    for item in whole.iter().flatten() {
        assert!(item.starts_with(b"{"));
        // Borders are all that it finds: what ends an item may close another bracket, and
        // then it is no JSON.
        let is_json = serde_json::from_slice::<&RawValue>(item).is_ok();
        assert!(item.ends_with(b"}") || !is_json);
        message(item);
    }
    message(body);
}

/// A Messages body.
fn message(body: &[u8]) {
    let Ok(params) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    for in_batch in [false, true] {
        let terms = Terms {
            version: "2023-06-01",
            betas: &[],
            in_batch,
        };
        if let Ok(checked) = check::message(&params, terms) {
            assert!(checked.max_tokens <= checked.model.max_output);
            assert!(checked.input_tokens <= checked.model.max_input);
            let brief = Brief::read(&params);
            assert!(brief.questions().len() <= body.len());
        }
    }
    if let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(body) {
        // Refused or not: it ends.
        let _ = check::batch_only(0, &raw);
    }
}

/// The items, or none where the body is refused.
fn split(body: &[u8], chunk: usize) -> Option<Vec<Vec<u8>>> {
    let mut items = Vec::new();
    let mut split = Split::new();
    let mut take = |number: usize, item: &[u8]| {
        assert_eq!(number, items.len());
        items.push(item.to_vec());
        Ok(())
    };
    for chunk in body.chunks(chunk) {
        split.feed(chunk, &mut take).ok()?;
    }
    let count = split.finish().ok()?;
    assert_eq!(count, items.len());
    Some(items)
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn the_corpus_of_requests_holds() {
        replay("requests", super::requests);
    }
}

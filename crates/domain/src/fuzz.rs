//! What holds of any bytes that come as a secret or as a template: for `make fuzz` and
//! for the test that replays its corpus.

#![expect(
    clippy::missing_panics_doc,
    reason = "that they panic is how they say it"
)]

use serde_json::{Value, json};

use crate::job_type::{Compiled, JobType};
use crate::secret::{Kind, OfLink, OfSession, OfTenant, OfTicket, Secret, checksum};

/// Letters and digits, by a byte.
const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A text that may be a secret, and bytes of which one is made.
pub fn keys(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        key::<OfTenant>(text);
        key::<OfSession>(text);
        key::<OfTicket>(text);
        key::<OfLink>(text);
    }
    if let Some(random) = bytes.first_chunk::<32>() {
        let random: String = random
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect();
        let good = format!("{}{random}{}", OfTenant::PREFIX, checksum(&random));
        assert!(key::<OfTenant>(&good), "{good}");
        // Whichever letter is mistyped, it is noticed.
        let at = OfTenant::PREFIX.len() + bytes.len() % random.len();
        let mut mistyped = good.clone().into_bytes();
        mistyped[at] = if mistyped[at] == b'0' { b'1' } else { b'0' };
        assert!(String::from_utf8(mistyped).is_ok_and(|text| !key::<OfTenant>(&text)));
    }
}

/// Whether it is a secret of that kind: then it is what was written, and tells little.
fn key<K: Kind>(text: &str) -> bool {
    let Ok(key) = Secret::<K>::parse(text) else {
        return false;
    };
    assert_eq!(key.expose(), text);
    let body = &text[K::PREFIX.len()..];
    for shown in [key.hint(), format!("{key:?}")] {
        assert!(shown.contains(&body[body.len() - 4..]));
        assert!(!shown.contains(&body[body.len() - 5..]), "{shown}");
    }
    true
}

/// A template and, after a zero byte, the value that it inserts.
pub fn templates(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (source, value) = text
        .split_once('\0')
        .unwrap_or((&text, "{{ text }}{% if %}"));
    if let Some(content) = rendered(source, value) {
        // Deciding twice gives the same.
        assert_eq!(rendered(source, value), Some(content));
    }
    // Whatever a value says, it is inserted as it is, once, and never read.
    let around = ["begin ", " end"];
    let content = rendered(&around.join("{{ text }}"), value);
    assert_eq!(content, Some(around.join(value)));
    let twice = rendered("{% for one in [text, text] %}{{ one }}|{% endfor %}", value);
    assert_eq!(twice, Some(format!("{value}|{value}|")));
}

/// The user message, if the template is one and takes this value.
fn rendered(source: &str, value: &str) -> Option<String> {
    let job_type = JobType {
        name: "fuzzed".to_owned(),
        version: 1,
        description: String::new(),
        model: "claude-haiku-5-5".to_owned(),
        max_tokens: 1,
        system: String::new(),
        template: source.to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": { "text": { "type": "string" } },
            "additionalProperties": false,
        }),
        output_schema: None,
        deliver_within: None,
        on_late: None,
        on_unknown: None,
        reuse_for: None,
        coalesce: None,
    };
    let compiled = Compiled::new(job_type).ok()?;
    let body = compiled.render(&json!({ "text": value })).ok()?;
    let read: Value = serde_json::from_slice(&body).ok()?;
    let content = read["messages"][0]["content"].as_str();
    assert!(content.is_some(), "a message without content");
    content.map(str::to_owned)
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn the_corpus_of_keys_holds() {
        replay("keys", super::keys);
    }

    #[test]
    fn the_corpus_of_templates_holds() {
        replay("templates", super::templates);
    }
}

//! JSON text kept as text.

use serde_json::value::RawValue;

/// `raw` on one line: white space between tokens is left out, all else stays
/// byte for byte. It must be valid JSON.
pub(crate) fn compact(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in raw.chars() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            quoted = c == '"';
        }
        out.push(c);
    }
    out
}

/// Stored JSON text for an answer; none when it is not JSON after all.
pub(crate) fn raw(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_white_space_between_tokens_goes() {
        assert_eq!(
            compact("{ \"a b\" : [1.0e2,\n\t\"x \\\" y\", \"\\\\\" , \"é\"] }\r\n"),
            r#"{"a b":[1.0e2,"x \" y","\\","é"]}"#
        );
    }
}

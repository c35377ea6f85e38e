//! Tokens, by a plain rule: four bytes of text are one token, an image is 1,600,
//! a file 3,000. The real tokenizer differs; sums here stay comparable and checkable.

use serde_json::Value;

const IMAGE: u64 = 1_600;
const FILE: u64 = 3_000;

/// Tokens of a text.
pub(crate) fn of_text(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// Input tokens of a Messages body: its system prompt, messages, tools and
/// output schema.
pub(crate) fn of_params(params: &Value) -> u64 {
    let mut total = of_content(&params["system"]);
    for message in params["messages"].as_array().into_iter().flatten() {
        total += of_content(&message["content"]);
    }
    for json in [
        &params["tools"],
        &params["output_config"]["format"]["schema"],
    ] {
        if !json.is_null() {
            total += of_text(&json.to_string());
        }
    }
    total.max(1)
}

fn of_content(content: &Value) -> u64 {
    match content {
        Value::String(text) => of_text(text),
        Value::Array(blocks) => blocks.iter().map(of_block).sum(),
        _ => 0,
    }
}

/// Tokens of a content block.
pub(crate) fn of_block(block: &Value) -> u64 {
    match block["type"].as_str() {
        Some("text") => of_content(&block["text"]),
        Some("image") => IMAGE,
        Some("document") => match block["source"]["type"].as_str() {
            Some("text") => of_content(&block["source"]["data"]),
            Some("content") => of_content(&block["source"]["content"]),
            _ => FILE,
        },
        Some("tool_result" | "search_result") => of_content(&block["content"]),
        _ => of_text(&block.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn four_bytes_a_token() {
        let params = json!({
            "system": "12345678",
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "12345" }, { "type": "image" }] },
                { "role": "assistant", "content": "1" },
            ],
        });
        assert_eq!(of_params(&params), 2 + 2 + 1_600 + 1);
        assert_eq!(of_params(&json!({})), 1);
    }
}

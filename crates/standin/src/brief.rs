//! Tells the document in a prompt from the instructions around it, so that an
//! answer is made from the former and follows the latter.

use serde_json::Value;

/// A prompt taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Brief {
    /// What the prompt is about: the tagged document of the last user message,
    /// else the message without its introduction.
    pub(crate) document: String,
    /// The system prompt and the rest of that message.
    pub(crate) instructions: String,
}

/// Tags that hold what a prompt is about.
const DOCUMENTS: [&str; 9] = [
    "article", "content", "doc", "document", "input", "policy", "readme", "source", "text",
];
/// How many tags are looked at; a template's stand at the front.
const TAGS: usize = 40;

impl Brief {
    pub(crate) fn read(params: &Value) -> Self {
        let mut instructions = text(&params["system"]);
        let user = params["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .rfind(|message| message["role"] == "user")
            .map(|message| text(&message["content"]))
            .unwrap_or_default();
        let range = section(&user).unwrap_or_else(|| body(&user));
        instructions.push('\n');
        instructions.push_str(&user[..range.start]);
        instructions.push('\n');
        instructions.push_str(&user[range.end..]);
        Self {
            document: user[range].trim().to_owned(),
            instructions,
        }
    }

    /// How many words the answer may have, if the instructions say so: "at most 80
    /// words", "max words: 80".
    pub(crate) fn words(&self) -> Option<usize> {
        let words: Vec<&str> = self
            .instructions
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        words.windows(2).find_map(|pair| match pair {
            [count, "word" | "words" | "Words"] | ["word" | "words" | "Words", count] => {
                count.parse().ok()
            }
            _ => None,
        })
    }

    /// The questions that the instructions ask, one a line.
    pub(crate) fn questions(&self) -> Vec<&str> {
        self.instructions
            .lines()
            .map(|line| {
                let line = line
                    .trim()
                    .trim_start_matches(|c: char| "-*0123456789.) ".contains(c));
                let inside = line.strip_suffix('>').and_then(|line| {
                    let (text, _tag) = line.rsplit_once("</")?;
                    text.strip_prefix('<')?
                        .split_once('>')
                        .map(|(_tag, text)| text)
                });
                inside
                    .unwrap_or(line)
                    .trim_matches(|c: char| c == '"' || c == ',')
            })
            .filter(|line| line.ends_with('?') && line.len() > 3)
            .collect()
    }
}

/// The text of a content, its blocks joined by blank lines.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks
                .iter()
                .filter_map(|block| {
                    block["text"].as_str().or_else(|| {
                        block["source"]["data"]
                            .as_str()
                            .filter(|_| block["source"]["type"] == "text")
                    })
                })
                .collect();
            texts.join("\n\n")
        }
        _ => String::new(),
    }
}

/// The inside of the first `<name>…</name>` that is named like a document, else of
/// the longest, if that is most of the text.
fn section(text: &str) -> Option<std::ops::Range<usize>> {
    let mut longest: Option<std::ops::Range<usize>> = None;
    for (at, _) in text.match_indices('<').take(TAGS) {
        let rest = &text[at + 1..];
        let Some(close) = rest.find('>') else { break };
        let name = rest[..close].split_whitespace().next().unwrap_or("");
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if name.is_empty() || !name.bytes().all(named) {
            continue;
        }
        let start = at + 1 + close + 1;
        let Some(length) = text[start..].rfind(&format!("</{name}>")) else {
            continue;
        };
        let range = start..start + length;
        if DOCUMENTS.contains(&name) {
            return Some(range);
        }
        if longest
            .as_ref()
            .is_none_or(|longest| longest.len() < range.len())
        {
            longest = Some(range);
        }
    }
    longest.filter(|range| range.len() * 2 >= text.len())
}

/// The text without a first paragraph that ends in a colon.
fn body(text: &str) -> std::ops::Range<usize> {
    match text.split_once("\n\n") {
        Some((first, rest)) if first.trim_end().ends_with(':') && !rest.trim().is_empty() => {
            text.len() - rest.len()..text.len()
        }
        _ => 0..text.len(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn brief(system: &str, user: &str) -> Brief {
        Brief::read(&json!({ "system": system, "messages": [
            { "role": "user", "content": "earlier" },
            { "role": "user", "content": [{ "type": "text", "text": user }] },
        ] }))
    }

    #[test]
    fn the_tagged_section_is_the_document() {
        let brief = brief(
            "Summarize in at most 25 words.",
            "Read this.\n<document>\nFoxes <b>jump</b>. 9 words here.\n</document>\n- Is it a fox?\n<question number=\"2\">Why?</question>",
        );
        assert_eq!(brief.document, "Foxes <b>jump</b>. 9 words here.");
        assert_eq!(brief.words(), Some(25));
        assert_eq!(brief.questions(), ["Is it a fox?", "Why?"]);
    }

    #[test]
    fn a_short_document_beside_longer_sections() {
        let short = brief(
            "",
            "<document>\nMIT\n</document>\n<categories>\nlong, very long, longer\n</categories>",
        );
        assert_eq!(short.document, "MIT");
    }

    #[test]
    fn without_tags_the_introduction_is_left_out() {
        let tagless = brief(
            "",
            "Summarize this, max words: 7:\n\nFoxes jump.\n\nThen they rest.",
        );
        assert_eq!(tagless.document, "Foxes jump.\n\nThen they rest.");
        assert_eq!(tagless.words(), Some(7));
        assert_eq!(brief("", "Just a question").document, "Just a question");
        assert_eq!(Brief::read(&json!({})).document, "");
    }
}

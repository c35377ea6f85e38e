//! Makes short readable text out of a document: its own sentences, nothing else.

/// Longest sentence that is taken whole, in bytes.
const LONG: usize = 240;

/// The sentences of a document as slices of it, markup and headings left out
/// where anything else is there.
pub(crate) fn sentences(document: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    let mut block_start = None;
    let mut at = 0;
    for line in document.split_inclusive('\n') {
        let trimmed = line.trim();
        let fence = trimmed.starts_with("```");
        let ends_block = fence || fenced || trimmed.is_empty() || is_markup(trimmed);
        fenced ^= fence;
        if ends_block {
            if let Some(start) = block_start.take() {
                cut(&document[start..at], &mut found);
            }
        } else if block_start.is_none() {
            block_start = Some(at);
        }
        at += line.len();
    }
    if let Some(start) = block_start {
        cut(&document[start..], &mut found);
    }
    if found.is_empty() {
        cut(document, &mut found);
    }
    found
}

/// A line that is form rather than text: headings, badges, tags, tables, rules.
fn is_markup(line: &str) -> bool {
    line.starts_with(['#', '<', '|', '!'])
        || line.starts_with("[!")
        || line.starts_with("http")
        || line.starts_with("[![")
        || (line.starts_with('[') && line.contains("]: "))
        || !line.chars().any(char::is_alphabetic)
}

/// Cuts a paragraph after `.`, `!`, `?` where a new sentence seems to begin.
fn cut<'a>(paragraph: &'a str, found: &mut Vec<&'a str>) {
    let mut start = 0;
    let mut chars = paragraph.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let ends = matches!(c, '.' | '!' | '?')
            && chars.peek().is_none_or(|(_, next)| next.is_whitespace())
            && paragraph[at + 1..]
                .trim_start()
                .chars()
                .next()
                .is_none_or(|next| !next.is_lowercase())
            && !is_abbreviation(&paragraph[start..at]);
        if ends {
            push(&paragraph[start..=at], found);
            start = at + 1;
        }
    }
    push(&paragraph[start..], found);
}

fn is_abbreviation(before: &str) -> bool {
    let last = before.rsplit(char::is_whitespace).next().unwrap_or("");
    matches!(
        last,
        "e.g" | "i.e" | "etc" | "vs" | "Inc" | "Dr" | "Mr" | "Mrs" | "No"
    )
}

fn push<'a>(sentence: &'a str, found: &mut Vec<&'a str>) {
    let sentence = sentence.trim();
    if sentence.chars().any(char::is_alphanumeric) {
        found.push(sentence);
    }
}

/// A sentence on one line, without Markdown's marks.
pub(crate) fn plain(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len());
    for word in sentence.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    unlinked(&out).replace("**", "").replace("__", "")
}

/// `[text](target)` becomes `text`.
fn unlinked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let link = rest[open + 1..].find("](").and_then(|middle| {
            let target = &rest[open + 1 + middle + 2..];
            let close = target.find(')')?;
            let label = &rest[open + 1..open + 1 + middle];
            (!label.contains(['[', ']'])).then_some((label, &target[close + 1..]))
        });
        out.push_str(&rest[..open]);
        if let Some((label, after)) = link {
            out.push_str(label);
            rest = after;
        } else {
            out.push('[');
            rest = &rest[open + 1..];
        }
    }
    out.push_str(rest);
    out
}

/// The first sentences, within so many words and bytes; never empty, and the
/// first one is not shortened for its bytes.
pub(crate) fn opening(sentences: &[&str], max_words: usize, max_bytes: usize) -> String {
    let mut out = String::new();
    let mut words = 0;
    for sentence in sentences {
        let sentence = plain(sentence);
        let count = sentence.split(' ').count();
        if !out.is_empty()
            && (words + count > max_words || out.len() + 1 + sentence.len() > max_bytes)
        {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&sentence);
        words += count;
    }
    if out.is_empty() {
        out.push_str("There is no text to work on.");
    }
    first_words(&out, max_words)
}

/// The first words; an ellipsis marks what was left out.
pub(crate) fn first_words(text: &str, max: usize) -> String {
    match text.match_indices(' ').nth(max.max(1) - 1) {
        Some((at, _)) => format!("{}…", text[..at].trim_end_matches([',', ';', ':', '.'])),
        None => text.to_owned(),
    }
}

/// A passage that stands in the document exactly so, at most `LONG` bytes.
pub(crate) fn passage(sentence: &str) -> &str {
    clip(sentence, LONG)
}

/// At most so many bytes, cut between words where possible.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let head = head(text, max);
    match head.rfind(char::is_whitespace) {
        Some(at) if at > 0 => head[..at].trim_end(),
        _ => head,
    }
}

/// At most so many bytes, cut between characters.
pub(crate) fn head(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The words of a text in lower case.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "# Fox\n\n[![badge](x)](y)\n<p align=\"center\">\n\nA *fox* library, e.g. for\n[foxes](https://fox.example). It jumps! See v1.2 of it.\n\n```rust\nlet x = 1. Not this.\n```\n\n| a | b |\n\nThe end";

    #[test]
    fn sentences_are_slices_without_markup() {
        let found = sentences(README);
        assert_eq!(
            found,
            [
                "A *fox* library, e.g. for\n[foxes](https://fox.example).",
                "It jumps!",
                "See v1.2 of it.",
                "The end"
            ]
        );
        assert_eq!(sentences("# Only a heading"), ["# Only a heading"]);
        assert!(sentences(" \n").is_empty());
    }

    #[test]
    fn an_opening_keeps_its_limits() {
        let found = sentences(README);
        assert_eq!(
            opening(&found, 9, 1000),
            "A *fox* library, e.g. for foxes. It jumps!"
        );
        assert_eq!(opening(&found, 3, 1000), "A *fox* library…");
        assert_eq!(
            opening(&found, 100, 50),
            "A *fox* library, e.g. for foxes. It jumps!"
        );
        assert_eq!(opening(&[], 100, 1000), "There is no text to work on.");
    }

    #[test]
    fn links_lose_their_targets() {
        assert_eq!(plain("see [a](b) and [c], [d](e"), "see a and [c], [d](e");
    }

    #[test]
    fn cuts_keep_characters_whole() {
        assert_eq!(head("aéb", 2), "a");
        assert_eq!(clip("one two three", 9), "one two");
        assert_eq!(first_words("one, two", 1), "one…");
    }
}

//! Text of others on a terminal: what would steer it is shown, not obeyed.

use std::borrow::Cow;
use std::path::Path;

/// As one line: every control character escaped, line ends too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, steers)
}

/// As it is laid out: line ends and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| steers(c) && c != '\n' && c != '\t')
}

/// A path as one line.
pub fn path(path: &Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

/// Control characters, and those that turn the direction of writing round.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, wrong: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wrong) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if wrong(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown() {
        let odd = "a\u{1b}[31mred\n\tb\u{9b}2J\u{202e}\r";
        assert_eq!(line(odd), "a\\u{1b}[31mred\\n\\tb\\u{9b}2J\\u{202e}\\r");
        assert_eq!(lines(odd), "a\\u{1b}[31mred\n\tb\\u{9b}2J\\u{202e}\\r");
        assert_eq!(line("Größe – 日本"), "Größe – 日本");
        assert_eq!(path(Path::new("x\ny")), "x\\ny");
    }
}

//! What a command shows: data to stdout, talk to stderr.

mod amount;
pub mod column;
mod table;
pub mod visible;

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

pub use amount::{money, shares, sums};

/// Where a command's output goes and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// `--json`: for programs.
    pub json: bool,
}

impl Output {
    /// One line of data.
    pub fn line(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Data as it came, to which nothing is added.
    pub fn bytes(self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// One JSON value, indented for whoever looks.
    pub fn value(self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&text)
    }

    /// Rows under headings. Columns whose heading begins with `>` are numbers.
    pub fn table(self, headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        self.line(&table::table(headings, rows, width()))
    }

    /// Names and what they stand for, one a line; empty ones are left away.
    pub fn pairs(self, rows: &[(&str, String)]) -> io::Result<()> {
        for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            self.line(&format!("{name:<14} {}", visible::line(value)))?;
        }
        Ok(())
    }

    /// An answer of a model: as it is for a program, and on a terminal without
    /// what would steer that.
    pub fn answer(self, text: &str) -> io::Result<()> {
        if io::stdout().is_terminal() {
            self.line(&visible::lines(text))
        } else {
            self.line(text)
        }
    }

    /// One line for the person, to stderr. A closed stderr is nobody's concern.
    pub fn talk(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", visible::lines(text));
    }
}

/// Of the terminal that stdout is.
fn width() -> Option<usize> {
    let table = comfy_table::Table::new();
    io::stdout()
        .is_terminal()
        .then(|| table.width().map(usize::from))
        .flatten()
}

/// A moment to the second, in UTC.
pub fn moment(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(format_description!(
            "[year]-[month]-[day] [hour]:[minute]:[second]"
        ))
        .unwrap_or_default()
}

/// The word that the wire has for a state or the like.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

/// `1 job`, `1,234 jobs`.
pub fn jobs(number: u64) -> String {
    format!(
        "{} job{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_moments_and_numbers_for_people() {
        let at = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        assert_eq!(moment(at), "2026-09-21 14:13:20");
        assert_eq!(count(0), "0");
        assert_eq!(count(100_000), "100,000");
    }
}

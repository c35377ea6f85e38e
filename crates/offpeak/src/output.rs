//! What a command shows: data to stdout, talk to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use offpeak_domain::money::Pico;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

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
    pub fn table(self, headings: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        self.line(&table(headings, rows, io::stdout().is_terminal()))
    }

    /// One line for the person, to stderr. A closed stderr is nobody's concern.
    pub fn talk(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

fn table(headings: &[&str], rows: Vec<Vec<String>>, fit: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if fit {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(
        headings
            .iter()
            .map(|heading| heading.trim_start_matches('>')),
    );
    for row in rows {
        table.add_row(row);
    }
    for (at, heading) in headings.iter().enumerate() {
        if let Some(column) = table.column_mut(at) {
            column.set_padding((0, 2));
            if heading.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// An exact amount of the wire, rounded for a person.
pub fn money(exact: &str) -> String {
    exact
        .parse::<Pico>()
        .map_or_else(|_| exact.to_owned(), Pico::to_rounded_string)
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
    fn numbers_stand_right_and_nothing_trails() {
        let rows = vec![
            vec!["a".to_owned(), count(7), "x".to_owned()],
            vec!["longer".to_owned(), count(1_234_567), String::new()],
        ];
        insta::assert_snapshot!(table(&["NAME", ">JOBS", "NOTE"], rows, false), @r"
        NAME         JOBS  NOTE
        a               7  x
        longer  1,234,567
        ");
    }

    #[test]
    fn shows_money_and_moments_for_people() {
        assert_eq!(money("12.345"), "$12.35");
        assert_eq!(money("0.0000000625"), "<$0.0001");
        assert_eq!(money("odd"), "odd");
        let at = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        assert_eq!(moment(at), "2026-09-21 14:13:20");
        assert_eq!(count(0), "0");
        assert_eq!(count(100_000), "100,000");
    }
}

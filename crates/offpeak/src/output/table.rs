//! Rows under headings, one line each: what does not fit is left away, never
//! broken, since an id in two halves is of no use to anybody.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::visible;

/// Between two columns.
const GAP: usize = 2;
/// Left away in this order where the terminal is too narrow.
const LEAST: [&str; 2] = ["MODEL", "CREATED (UTC)"];
/// The last column is shortened to no less.
const NARROWEST: usize = 8;

/// Columns whose heading begins with `>` are numbers. `width` is the terminal's.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut columns: Vec<Column> = headings
        .iter()
        .enumerate()
        .map(|(at, heading)| Column {
            heading: heading.trim_start_matches('>'),
            number: heading.starts_with('>'),
            cells: rows
                .iter()
                .map(|row| visible::line(row.get(at).map_or("", String::as_str)).into_owned())
                .collect(),
        })
        .collect();
    if let Some(width) = width {
        fit(&mut columns, width);
    }
    draw(&columns)
}

struct Column<'a> {
    heading: &'a str,
    number: bool,
    cells: Vec<String>,
}

impl Column<'_> {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| wide(cell));
        cells.max().unwrap_or(0).max(wide(self.heading))
    }
}

fn fit(columns: &mut Vec<Column>, width: usize) {
    for least in LEAST {
        if whole(columns) <= width {
            return;
        }
        columns.retain(|column| column.heading != least);
    }
    let over = whole(columns).saturating_sub(width);
    if over > 0
        && let Some(last) = columns.last_mut().filter(|last| !last.number)
    {
        let limit = last.width().saturating_sub(over).max(NARROWEST);
        for cell in &mut last.cells {
            shorten(cell, limit);
        }
    }
}

fn whole(columns: &[Column]) -> usize {
    let gaps = columns.len().saturating_sub(1) * GAP;
    columns.iter().map(Column::width).sum::<usize>() + gaps
}

fn shorten(cell: &mut String, limit: usize) {
    if wide(cell) <= limit {
        return;
    }
    while wide(cell) >= limit && cell.pop().is_some() {}
    cell.push('…');
}

/// Columns of the terminal that a text takes.
fn wide(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let mut table = Table::new();
    table.add_row([text]);
    table
        .column_max_content_widths()
        .first()
        .map_or(0, |width| usize::from(*width))
}

fn draw(columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.heading));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for at in 0..rows {
        table.add_row(columns.iter().map(|column| &column.cells[at]));
    }
    for (at, column) in columns.iter().enumerate() {
        if let Some(drawn) = table.column_mut(at) {
            drawn.set_padding((0, 2));
            if column.number {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| row.iter().map(|&cell| cell.to_owned()).collect())
            .collect()
    }

    #[test]
    fn numbers_stand_right_and_nothing_trails() {
        let rows = rows(&[&["a", "7", "x"], &["longer\u{1b}[2J", "1,234,567", ""]]);
        insta::assert_snapshot!(table(&["NAME", ">JOBS", "NOTE"], &rows, None), @r"
        NAME                  JOBS  NOTE
        a                        7  x
        longer\u{1b}[2J  1,234,567
        ");
    }

    #[test]
    fn what_does_not_fit_is_left_away_and_nothing_wraps() {
        let headings = ["JOB", "MODEL", "CREATED (UTC)", ">COST", "FILE"];
        let rows = rows(&[
            &[
                "job_1234567890",
                "claude",
                "2026-02-03",
                "$1",
                "docs/ein größerer name.md",
            ],
            &["job_1234567891", "claude", "2026-02-03", "$1", "b"],
        ]);
        insta::assert_snapshot!(table(&headings, &rows, Some(76)), @r"
        JOB             MODEL   CREATED (UTC)  COST  FILE
        job_1234567890  claude  2026-02-03       $1  docs/ein größerer name.md
        job_1234567891  claude  2026-02-03       $1  b
        ");
        insta::assert_snapshot!(table(&headings, &rows, Some(68)), @r"
        JOB             CREATED (UTC)  COST  FILE
        job_1234567890  2026-02-03       $1  docs/ein größerer name.md
        job_1234567891  2026-02-03       $1  b
        ");
        insta::assert_snapshot!(table(&headings, &rows, Some(40)), @r"
        JOB             COST  FILE
        job_1234567890    $1  docs/ein größerer…
        job_1234567891    $1  b
        ");
        insta::assert_snapshot!(table(&headings, &rows, Some(10)), @r"
        JOB             COST  FILE
        job_1234567890    $1  docs/ei…
        job_1234567891    $1  b
        ");
    }
}

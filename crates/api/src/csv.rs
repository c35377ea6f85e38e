//! Text as a field of CSV (RFC 4180), safe to open in a spreadsheet.

use std::fmt::Write as _;

/// With the names of the columns in the first line.
pub(crate) const KIND: &str = "text/csv; charset=utf-8; header=present";

/// Appends a text that we did not write ourselves. One that a spreadsheet would
/// run as a formula, since it begins with `=`, `+`, `-`, `@`, a tab or a carriage
/// return, gets an apostrophe in front, which makes it text there.
pub(crate) fn field(csv: &mut String, text: &str) {
    let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let shield = if runs { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        let _ = write!(csv, "\"{shield}{}\"", text.replace('"', "\"\""));
    } else {
        csv.push_str(shield);
        csv.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_reads_back_as_text() {
        for (text, written) in [
            ("", ""),
            ("plain, not quite", "\"plain, not quite\""),
            ("two\nlines", "\"two\nlines\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("the \"first\"", "\"the \"\"first\"\"\""),
            ("Zürich 雪", "Zürich 雪"),
            ("a=1", "a=1"),
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("=1,\"2\"", "\"'=1,\"\"2\"\"\""),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
        ] {
            let mut csv = String::new();
            field(&mut csv, text);
            assert_eq!(csv, written, "{text:?}");
        }
    }
}

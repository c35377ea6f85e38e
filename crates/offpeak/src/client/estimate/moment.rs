//! Times as logs write them.

use serde_json::Value;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

const DAY: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]");
const SECOND: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Seconds since 1970 of a time as JSON: RFC 3339, the same without an offset
/// (then it is UTC), a day, or a number of seconds, milli-, micro- or nanoseconds.
pub(super) fn read(json: &str) -> Option<i64> {
    let seconds = match serde_json::from_str(json).ok()? {
        Value::String(text) => of_text(text.trim())?,
        Value::Number(number) => of_number(number.as_f64()?)?,
        _ => return None,
    };
    // What has no day has no price either.
    day(seconds).map(|_| seconds)
}

/// The day (UTC).
pub(super) fn day(seconds: i64) -> Option<Date> {
    Some(OffsetDateTime::from_unix_timestamp(seconds).ok()?.date())
}

fn of_text(text: &str) -> Option<i64> {
    if let Ok(moment) = OffsetDateTime::parse(&text.replacen(' ', "T", 1), &Rfc3339) {
        return Some(moment.unix_timestamp());
    }
    if let Ok(day) = Date::parse(text, DAY) {
        return Some(day.midnight().assume_utc().unix_timestamp());
    }
    let whole = text.split('.').next()?.replacen('T', " ", 1);
    let moment = PrimitiveDateTime::parse(&whole, SECOND).ok()?;
    Some(moment.assume_utc().unix_timestamp())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is checked to be in range before"
)]
fn of_number(number: f64) -> Option<i64> {
    let seconds = match number {
        0.0..1e11 => number,
        1e11..1e14 => number / 1e3,
        1e14..1e17 => number / 1e6,
        1e17..1e20 => number / 1e9,
        _ => return None,
    };
    Some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn times_of_all_kinds() {
        for same in [
            "\"2026-09-21T14:13:20Z\"",
            "\"2026-09-21T16:13:20.123456+02:00\"",
            "\"2026-09-21T14:13:20.5\"",
            "\"2026-09-21 14:13:20\"",
            "\"2026-09-21 14:13:20Z\"",
            "1790000000",
            "1790000000.75",
            "1790000000123",
            "1790000000123456",
            "1790000000123456789",
        ] {
            assert_eq!(read(same), Some(1_790_000_000), "{same}");
        }
        assert_eq!(read("\"2026-09-21\""), Some(1_790_000_000 - 51_200));
        for none in [
            "\"yesterday\"",
            "\"21.09.2026\"",
            "-1",
            "1e30",
            "{}",
            "true",
            "\"\"",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}

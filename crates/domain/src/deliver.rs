//! How soon an answer is wanted, in words: `30s`, `2h`, `1d 12h`.

use std::time::Duration;

use crate::job::{OnLate, OnUnknown};

/// What a job asks for beside its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How soon the answer is wanted.
    pub within: Option<Duration>,
    /// What is done when it would come later; set where `within` is.
    pub on_late: Option<OnLate>,
    /// What is done when the answer to a direct call is lost; none is `fail`.
    pub on_unknown: Option<OnUnknown>,
}

/// The shortest that may be asked for.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// The longest that may be asked for: what Anthropic keeps results for.
pub const LONGEST: Duration = Duration::from_hours(28 * 24);

/// Why a text is no such time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// Not numbers with units.
    #[error(
        "is no length of time; write whole numbers with s, m, h or d, such as \"30s\" or \"1h 30m\""
    )]
    Form,
    /// Below [`SHORTEST`].
    #[error("is shorter than \"1s\"")]
    TooShort,
    /// Above [`LONGEST`].
    #[error("is longer than \"28d\"")]
    TooLong,
}

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// Reads a time: numbers with units, the largest unit first, each once.
pub fn parse(text: &str) -> Result<Duration, BadTime> {
    let mut total = 0_u64;
    let mut least = u64::MAX;
    let mut rest = text;
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let Some((word, unit)) = UNITS.iter().find(|(word, _)| after.starts_with(word)) else {
            return Err(BadTime::Form);
        };
        if number.is_empty() || *unit >= least {
            return Err(BadTime::Form);
        }
        least = *unit;
        // More digits than fit are too many of whatever it is.
        let number: u64 = number.parse().map_err(|_| BadTime::TooLong)?;
        total = total.saturating_add(number.saturating_mul(*unit));
        rest = &after[word.len()..];
        if rest.is_empty() {
            break;
        }
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
    let time = Duration::from_secs(total);
    if time < SHORTEST {
        Err(BadTime::TooShort)
    } else if time > LONGEST {
        Err(BadTime::TooLong)
    } else {
        Ok(time)
    }
}

/// The same in the shortest words that [`parse`] reads back; parts of a second
/// are left out.
pub fn text(time: Duration) -> String {
    let mut rest = time.as_secs();
    let mut parts = Vec::new();
    for (word, unit) in UNITS.iter().rev() {
        if rest >= *unit {
            parts.push(format!("{}{word}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, text};

    #[test]
    fn what_is_read_and_what_is_said_of_the_rest() {
        let table: Vec<String> = [
            "30s",
            "2h",
            "90m",
            "1d 12h",
            "1h30m5s",
            "28d",
            "",
            "30",
            "h",
            "30 s",
            "1.5h",
            "-1s",
            "30S",
            "30s ",
            " 30s",
            "5m 1h",
            "1h 1h",
            "500ms",
            "0s",
            "29d",
            "99999999999999999999s",
            "18446744073709551615d",
        ]
        .iter()
        .map(|said| {
            let read = match parse(said) {
                Ok(time) => format!("{} s, shown as {}", time.as_secs(), text(time)),
                Err(error) => error.to_string(),
            };
            format!("{said:?} {read}")
        })
        .collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        "30s" 30 s, shown as 30s
        "2h" 7200 s, shown as 2h
        "90m" 5400 s, shown as 1h 30m
        "1d 12h" 129600 s, shown as 1d 12h
        "1h30m5s" 5405 s, shown as 1h 30m 5s
        "28d" 2419200 s, shown as 28d
        "" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "30" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "h" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "30 s" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "1.5h" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "-1s" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "30S" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "30s " is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        " 30s" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "5m 1h" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "1h 1h" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "500ms" is no length of time; write whole numbers with s, m, h or d, such as "30s" or "1h 30m"
        "0s" is shorter than "1s"
        "29d" is longer than "28d"
        "99999999999999999999s" is longer than "28d"
        "18446744073709551615d" is longer than "28d"
        "#);
    }

    #[test]
    fn what_is_shown_reads_back() {
        for seconds in [1, 59, 60, 61, 3_599, 3_600, 86_399, 86_400, 100_000] {
            let time = std::time::Duration::from_secs(seconds);
            assert_eq!(parse(&text(time)), Ok(time), "{}", text(time));
        }
    }
}

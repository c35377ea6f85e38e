//! What an answer tells beside its value.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// A value together with what the answer's headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    /// The value.
    pub value: T,
    /// The API's id of the request (`req_…`).
    pub request_id: Option<String>,
    /// The API's clock when it answered, in whole seconds.
    pub date: Option<OffsetDateTime>,
    /// The workspace of the key that asked, if the API names it.
    pub workspace: Option<String>,
}

/// The headers that matter, taken before the body is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) request_id: Option<String>,
    pub(crate) date: Option<OffsetDateTime>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) workspace: Option<String>,
}

impl Told {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let date = text(headers, DATE.as_str()).and_then(http_date);
        Self {
            request_id: text(headers, "request-id").map(str::to_owned),
            date,
            retry_after: retry_after(headers, date),
            workspace: text(headers, "anthropic-workspace-id").map(str::to_owned),
        }
    }

    pub(crate) fn with<T>(self, value: T) -> Answered<T> {
        Answered {
            value,
            request_id: self.request_id,
            date: self.date,
            workspace: self.workspace,
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

/// `retry-after-ms`, else `retry-after` in seconds or as a date; a date counts
/// from the answer's own `Date`, so no local clock is involved. A wait that is
/// zero, negative or absurd in form counts as none.
fn retry_after(headers: &HeaderMap, date: Option<OffsetDateTime>) -> Option<Duration> {
    let positive = |seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|wait| !wait.is_zero())
    };
    if let Some(wait) = text(headers, "retry-after-ms")
        .and_then(|millis| millis.trim().parse::<f64>().ok())
        .and_then(|millis| positive(millis / 1000.0))
    {
        return Some(wait);
    }
    let value = text(headers, RETRY_AFTER.as_str())?.trim();
    match value.parse::<f64>() {
        Ok(seconds) => positive(seconds),
        Err(_) => positive((http_date(value)? - date?).as_seconds_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&'static str, &'static str)]) -> Told {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        Told::read(&headers)
    }

    #[test]
    fn retry_after_in_each_form() {
        let wait = |pairs: &[(&'static str, &'static str)]| told(pairs).retry_after;
        assert_eq!(wait(&[("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(
            wait(&[("retry-after", "0.5")]),
            Some(Duration::from_millis(500))
        );
        assert_eq!(
            wait(&[("retry-after", "9"), ("retry-after-ms", "1500")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            wait(&[
                ("date", "Sun, 22 Nov 2026 16:00:00 GMT"),
                ("retry-after", "Sun, 22 Nov 2026 16:01:30 GMT"),
            ]),
            Some(Duration::from_secs(90))
        );
        for nonsense in [
            "0",
            "-3",
            "NaN",
            "inf",
            "soon",
            "Sun, 22 Nov 2026 16:01:30 GMT",
        ] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
    }

    #[test]
    fn date_and_request_id() {
        let told = told(&[
            ("date", "Sun, 22 Nov 2026 16:00:00 GMT"),
            ("request-id", "req_1"),
        ]);
        assert_eq!(told.date.unwrap().unix_timestamp(), 1_795_363_200);
        assert_eq!(told.request_id.as_deref(), Some("req_1"));
    }
}

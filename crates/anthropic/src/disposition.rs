//! What an error means for the caller: one exhaustive function for calls that
//! create something (a batch, a direct message), one for reads.
//!
//! The rule for creates: whatever does not prove that nothing was stored is
//! [`Disposition::Uncertain`], and an uncertain create is never sent again
//! before it was settled.

use std::time::Duration;

use crate::error::{ApiError, Error};
use crate::shape::ErrorKind;

/// What became of a create that gave no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Certainly nothing was stored, and the request is not at fault: send again
    /// after a backoff.
    NotCreated(Absence),
    /// Certainly nothing was stored, and the request is at fault.
    Refused(Refusal),
    /// Certainly nothing was stored, and nothing will be with this credential
    /// until its owner acts.
    Paused(Pause),
    /// Certainly nothing was stored; wait as told, `None` = the API did not say.
    RetryAfter(Option<Duration>),
    /// It may or may not have been stored.
    Uncertain,
}

impl Disposition {
    /// The same to whom an overload proves nothing. That the API stores nothing
    /// when it says that it is overloaded is plausible, and written nowhere.
    #[must_use]
    pub fn doubting_overload(self) -> Self {
        match self {
            Self::NotCreated(Absence::Overloaded) => Self::Uncertain,
            said => said,
        }
    }
}

/// Why nothing was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// The configuration cannot be used, so nothing was sent.
    NotSent,
    /// No connection came about.
    NoConnection,
    /// It broke off before the last byte of the body was handed over.
    BodyCut,
    /// The API said that it is overloaded.
    Overloaded,
    /// The API refused for a reason that may pass (a conflict, an unknown 4xx).
    Declined,
}

/// What is wrong with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its form; one item may be to blame.
    Invalid,
    /// Its size.
    TooLarge,
}

/// What its owner has to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// A spend limit is reached.
    SpendLimit,
    /// The key is bad, revoked or expired.
    Authentication,
    /// The key lacks access, or the base URL is not the API's.
    Permission,
    /// A payment problem.
    Billing,
    /// The organization is on hold, or its encryption key is disabled.
    Hold,
}

/// What an error of a read means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Read again after a backoff.
    Again,
    /// Read again after this long; `None` = the API did not say.
    After(Option<Duration>),
    /// The API does not know the object; on a known id this may pass (the API
    /// answers 404 for a while now and then).
    Missing,
    /// Nothing can be read with this credential until its owner acts.
    Paused(Pause),
    /// The request is wrong; reading again will not help.
    Invalid,
}

/// What became of a create that ended in this error.
pub fn of_create(error: &Error) -> Disposition {
    match error {
        Error::Config { .. } | Error::NotEnded => Disposition::NotCreated(Absence::NotSent),
        Error::Held { wait } => Disposition::RetryAfter(Some(*wait)),
        Error::Connect { .. } => Disposition::NotCreated(Absence::NoConnection),
        Error::Body { .. }
        | Error::Timeout { body_sent: false }
        | Error::Transport {
            body_sent: false, ..
        } => Disposition::NotCreated(Absence::BodyCut),
        // The size limit is enforced in front of the API, in a form of its own.
        Error::Unreadable { status: 413, .. } => Disposition::Refused(Refusal::TooLarge),
        Error::Timeout { body_sent: true }
        | Error::Slow
        | Error::Transport {
            body_sent: true, ..
        }
        | Error::Unreadable { .. } => Disposition::Uncertain,
        Error::Api(error) => of_create_answer(error),
    }
}

fn of_create_answer(error: &ApiError) -> Disposition {
    if let Some(pause) = pause(error) {
        return Disposition::Paused(pause);
    }
    match error.status {
        400 | 422 => Disposition::Refused(Refusal::Invalid),
        413 => Disposition::Refused(Refusal::TooLarge),
        429 => Disposition::RetryAfter(error.retry_after),
        // 408 says that the API gave up waiting, not where.
        408 => Disposition::Uncertain,
        402..=499 => Disposition::NotCreated(Absence::Declined),
        529 if error.kind == ErrorKind::Overloaded => Disposition::NotCreated(Absence::Overloaded),
        _ => Disposition::Uncertain,
    }
}

/// What an error of a read means.
pub fn of_read(error: &Error) -> Reading {
    match error {
        Error::Config { .. } | Error::Body { .. } | Error::NotEnded => Reading::Invalid,
        Error::Held { wait } => Reading::After(Some(*wait)),
        Error::Connect { .. } | Error::Timeout { .. } | Error::Slow | Error::Transport { .. } => {
            Reading::Again
        }
        Error::Unreadable { status: 404, .. } => Reading::Missing,
        Error::Unreadable { retry_after, .. } => again(*retry_after),
        Error::Api(error) => match (pause(error), error.status) {
            (Some(pause), _) => Reading::Paused(pause),
            (None, 404) => Reading::Missing,
            (None, 429) => Reading::After(error.retry_after),
            (None, 408 | 409) => Reading::Again,
            (None, 400..=499) => Reading::Invalid,
            (None, _) => again(error.retry_after),
        },
    }
}

fn again(wait: Option<Duration>) -> Reading {
    wait.map_or(Reading::Again, |wait| Reading::After(Some(wait)))
}

/// What the owner of the credential has to mend, if that is what it is about.
/// The code says more than the status, the wording is the last resort.
fn pause(error: &ApiError) -> Option<Pause> {
    let code = error.code.as_deref().unwrap_or_default();
    let own_limit = error
        .detail()
        .starts_with("You have reached your specified");
    let no_credit = error.detail().starts_with("Your credit balance is too low");
    match (error.status, code) {
        (400..=499, "enforced_spend_limit_reached" | "contract_spend_limit_reached") => {
            Some(Pause::SpendLimit)
        }
        (400..=499, "organization_on_hold" | "cmek_key_disabled") => Some(Pause::Hold),
        (400 | 429, _) if own_limit => Some(Pause::SpendLimit),
        (400..=499, _) if no_credit => Some(Pause::Billing),
        (401, _) => Some(Pause::Authentication),
        (402, _) => Some(Pause::Billing),
        (403, _) => Some(Pause::Permission),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, kind: &str) -> ApiError {
        ApiError::new(status, ErrorKind::from(kind), "wording")
    }

    fn coded(status: u16, kind: &str, code: &str) -> Error {
        let mut error = api(status, kind);
        error.code = Some(code.to_owned());
        error.into()
    }

    fn waiting(status: u16, kind: &str) -> Error {
        let mut error = api(status, kind);
        error.retry_after = Some(Duration::from_secs(7));
        error.into()
    }

    fn broken(body_sent: bool) -> Error {
        Error::Transport {
            body_sent,
            source: "reset".into(),
        }
    }

    fn page(status: u16) -> Error {
        Error::Unreadable {
            status,
            retry_after: None,
            request_id: None,
        }
    }

    #[test]
    fn every_row_of_the_table() {
        use Disposition::{NotCreated, Paused, Refused, RetryAfter, Uncertain};
        let wait = Some(Duration::from_secs(7));
        let own_limit = ApiError::new(
            400,
            ErrorKind::InvalidRequest,
            "You have reached your specified workspace API usage limits.",
        );
        let no_credit = ApiError::new(
            400,
            ErrorKind::InvalidRequest,
            "Your credit balance is too low to access the Anthropic API.",
        );
        let rows: Vec<(Error, Disposition, Reading)> = vec![
            (
                Error::Config { what: "base URL" },
                NotCreated(Absence::NotSent),
                Reading::Invalid,
            ),
            (
                Error::NotEnded,
                NotCreated(Absence::NotSent),
                Reading::Invalid,
            ),
            (
                Error::Body {
                    source: "gone".into(),
                },
                NotCreated(Absence::BodyCut),
                Reading::Invalid,
            ),
            (
                Error::Connect {
                    source: "dns".into(),
                },
                NotCreated(Absence::NoConnection),
                Reading::Again,
            ),
            (
                Error::Timeout { body_sent: false },
                NotCreated(Absence::BodyCut),
                Reading::Again,
            ),
            (
                Error::Timeout { body_sent: true },
                Uncertain,
                Reading::Again,
            ),
            (Error::Slow, Uncertain, Reading::Again),
            (
                Error::Held {
                    wait: Duration::from_secs(7),
                },
                RetryAfter(wait),
                Reading::After(wait),
            ),
            (broken(false), NotCreated(Absence::BodyCut), Reading::Again),
            (broken(true), Uncertain, Reading::Again),
            (
                api(400, "invalid_request_error").into(),
                Refused(Refusal::Invalid),
                Reading::Invalid,
            ),
            (
                own_limit.into(),
                Paused(Pause::SpendLimit),
                Reading::Paused(Pause::SpendLimit),
            ),
            (
                no_credit.into(),
                Paused(Pause::Billing),
                Reading::Paused(Pause::Billing),
            ),
            (
                coded(400, "invalid_request_error", "organization_on_hold"),
                Paused(Pause::Hold),
                Reading::Paused(Pause::Hold),
            ),
            (
                coded(400, "invalid_request_error", "cmek_key_disabled"),
                Paused(Pause::Hold),
                Reading::Paused(Pause::Hold),
            ),
            (
                api(401, "authentication_error").into(),
                Paused(Pause::Authentication),
                Reading::Paused(Pause::Authentication),
            ),
            (
                api(402, "billing_error").into(),
                Paused(Pause::Billing),
                Reading::Paused(Pause::Billing),
            ),
            (
                api(403, "permission_error").into(),
                Paused(Pause::Permission),
                Reading::Paused(Pause::Permission),
            ),
            (
                api(404, "not_found_error").into(),
                NotCreated(Absence::Declined),
                Reading::Missing,
            ),
            (api(408, "timeout_error").into(), Uncertain, Reading::Again),
            (
                api(409, "conflict_error").into(),
                NotCreated(Absence::Declined),
                Reading::Again,
            ),
            (
                api(413, "request_too_large").into(),
                Refused(Refusal::TooLarge),
                Reading::Invalid,
            ),
            (page(413), Refused(Refusal::TooLarge), Reading::Again),
            (
                api(422, "invalid_request_error").into(),
                Refused(Refusal::Invalid),
                Reading::Invalid,
            ),
            (
                waiting(429, "rate_limit_error"),
                RetryAfter(wait),
                Reading::After(wait),
            ),
            (
                api(429, "rate_limit_error").into(),
                RetryAfter(None),
                Reading::After(None),
            ),
            (
                coded(429, "rate_limit_error", "enforced_spend_limit_reached"),
                Paused(Pause::SpendLimit),
                Reading::Paused(Pause::SpendLimit),
            ),
            (
                coded(429, "rate_limit_error", "contract_spend_limit_reached"),
                Paused(Pause::SpendLimit),
                Reading::Paused(Pause::SpendLimit),
            ),
            (
                coded(429, "rate_limit_error", "ramp_limit_exceeded"),
                RetryAfter(None),
                Reading::After(None),
            ),
            (api(500, "api_error").into(), Uncertain, Reading::Again),
            (api(502, "api_error").into(), Uncertain, Reading::Again),
            (waiting(503, "api_error"), Uncertain, Reading::After(wait)),
            (
                coded(503, "api_error", "cmek_key_unreachable"),
                Uncertain,
                Reading::Again,
            ),
            (api(504, "timeout_error").into(), Uncertain, Reading::Again),
            (api(524, "timeout_error").into(), Uncertain, Reading::Again),
            (
                api(529, "overloaded_error").into(),
                NotCreated(Absence::Overloaded),
                Reading::Again,
            ),
            (api(529, "surprise").into(), Uncertain, Reading::Again),
            (page(529), Uncertain, Reading::Again),
            (page(200), Uncertain, Reading::Again),
            (page(301), Uncertain, Reading::Again),
            (page(404), Uncertain, Reading::Missing),
            (page(429), Uncertain, Reading::Again),
            (page(502), Uncertain, Reading::Again),
            (
                Error::Unreadable {
                    status: 503,
                    retry_after: wait,
                    request_id: None,
                },
                Uncertain,
                Reading::After(wait),
            ),
        ];
        for (error, create, read) in rows {
            let found = of_create(&error);
            let doubted = found.clone().doubting_overload();
            let overloaded = create == NotCreated(Absence::Overloaded);
            assert_eq!(found, create, "create: {error:?}");
            assert_eq!(
                doubted,
                if overloaded { Uncertain } else { create },
                "create: {error:?}"
            );
            assert_eq!(of_read(&error), read, "read: {error:?}");
        }
    }
}

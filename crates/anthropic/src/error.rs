//! Errors by cause. None of them shows a prompt, a result or the key, neither in
//! `Display` nor in `Debug`.

use std::fmt;
use std::time::Duration;

use crate::answer::Told;
use crate::shape::{ErrorEnvelope, ErrorKind};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call did not give its value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used; nothing was sent.
    #[error("unusable configuration: {what}")]
    Config {
        /// Which part of it.
        what: &'static str,
    },
    /// The caller's body failed, was shorter or longer than announced; its last
    /// byte was not sent.
    #[error("the request's body could not be produced as announced")]
    Body {
        /// Why, as the body's source put it.
        #[source]
        source: Cause,
    },
    /// No connection: DNS, TCP or TLS. Nothing was sent.
    #[error("no connection to the API")]
    Connect {
        /// What the transport said.
        #[source]
        source: Cause,
    },
    /// The deadline passed.
    #[error("no answer from the API in time")]
    Timeout {
        /// Whether the last byte of the body had been handed over.
        body_sent: bool,
    },
    /// The answer came more slowly than it may.
    #[error("the answer from the API comes too slowly")]
    Slow,
    /// The connection broke.
    #[error("the connection to the API broke")]
    Transport {
        /// Whether the last byte of the body had been handed over.
        body_sent: bool,
        /// What the transport said.
        #[source]
        source: Cause,
    },
    /// The API answered with an error in its documented form.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// An answer that is not of the documented form, whatever its status.
    #[error("the answer with status {status} could not be read")]
    Unreadable {
        /// HTTP status.
        status: u16,
        /// How long the answer asks to wait.
        retry_after: Option<Duration>,
        /// The API's id of the request.
        request_id: Option<String>,
    },
    /// Nothing was sent: the caller itself holds its calls back.
    #[error("calls wait for {} s more, because the last ones failed or were told to", .wait.as_secs())]
    Held {
        /// For how long.
        wait: Duration,
    },
    /// Results were asked for before the batch has ended.
    #[error("the batch has no results yet")]
    NotEnded,
}

/// An error in the API's documented form.
#[derive(thiserror::Error)]
#[error("{kind} (status {status}{})", self.code.as_deref().map(|code| format!(", {code}")).unwrap_or_default())]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: ErrorKind,
    /// `error.details.error_code`; more exact than the kind.
    pub code: Option<String>,
    /// How long the answer asks to wait.
    pub retry_after: Option<Duration>,
    /// The API's id of the request.
    pub request_id: Option<String>,
    message: String,
}

impl ApiError {
    /// Longest text that [`detail`](Self::detail) gives, in characters.
    const DETAIL: usize = 300;

    /// An error as the API would answer it, for tests of what reacts to it.
    pub fn new(status: u16, kind: ErrorKind, message: &str) -> Self {
        Self {
            status,
            kind,
            code: None,
            retry_after: None,
            request_id: None,
            message: message.to_owned(),
        }
    }

    pub(crate) fn told(status: u16, told: Told, envelope: ErrorEnvelope) -> Self {
        Self {
            status,
            kind: envelope.error.kind,
            code: envelope
                .error
                .details
                .and_then(|details| details.error_code),
            retry_after: told.retry_after,
            request_id: told.request_id.or(envelope.request_id),
            message: envelope.error.message,
        }
    }

    /// The API's wording, cut to 300 characters. It may quote a part of the
    /// request: show it to whom the request belongs, never log it.
    pub fn detail(&self) -> &str {
        let end = self
            .message
            .char_indices()
            .nth(Self::DETAIL)
            .map_or(self.message.len(), |(at, _)| at);
        &self.message[..end]
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("status", &self.status)
            .field("kind", &self.kind)
            .field("code", &self.code)
            .field("retry_after", &self.retry_after)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Error {
    /// A transport error of reqwest's, without its URL.
    pub(crate) fn transport(error: reqwest::Error, body_sent: bool) -> Self {
        let source = error.without_url();
        if source.is_connect() {
            Self::Connect {
                source: source.into(),
            }
        } else if source.is_timeout() {
            Self::Timeout { body_sent }
        } else {
            Self::Transport {
                body_sent,
                source: source.into(),
            }
        }
    }

    /// The API's id of the request, where an answer came.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Api(error) => error.request_id.as_deref(),
            Self::Unreadable { request_id, .. } => request_id.as_deref(),
            Self::Config { .. }
            | Self::Body { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Slow
            | Self::Transport { .. }
            | Self::Held { .. }
            | Self::NotEnded => None,
        }
    }

    /// HTTP status, where an answer came.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api(error) => Some(error.status),
            Self::Unreadable { status, .. } => Some(*status),
            Self::Config { .. }
            | Self::Body { .. }
            | Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Slow
            | Self::Transport { .. }
            | Self::Held { .. }
            | Self::NotEnded => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_request_shows() {
        let error = Error::from(ApiError::new(
            400,
            ErrorKind::InvalidRequest,
            "messages.0: SECRET prompt",
        ));
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("SECRET"), "{shown}");
        assert_eq!(error.to_string(), "invalid_request_error (status 400)");
    }

    #[test]
    fn detail_is_cut_between_characters() {
        let error = ApiError::new(400, ErrorKind::InvalidRequest, &"é".repeat(400));
        assert_eq!(error.detail().chars().count(), 300);
        assert_eq!(
            ApiError::new(400, ErrorKind::InvalidRequest, "short").detail(),
            "short"
        );
    }
}

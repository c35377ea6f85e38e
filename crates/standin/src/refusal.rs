//! Errors as the API answers them.

use crate::fault::rule::Form;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use offpeak_anthropic::shape::{ErrorBody, ErrorDetails, ErrorEnvelope, ErrorKind};

/// An error answer. As a response it carries itself in its extensions; the
/// outermost layer, which knows the request's id, writes the body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) code: Option<Box<str>>,
    pub(crate) retry_after: Option<Box<str>>,
    pub(crate) retry_after_ms: Option<Box<str>>,
    pub(crate) should_retry: Option<bool>,
    /// What the body looks like.
    pub(crate) form: Form,
}

impl Refusal {
    pub(crate) fn new(status: u16, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            code: None,
            retry_after: None,
            retry_after_ms: None,
            should_retry: None,
            form: Form::Envelope,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, ErrorKind::InvalidRequest, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, ErrorKind::NotFound, message)
    }

    pub(crate) fn too_large() -> Self {
        Self::new(413, ErrorKind::TooLarge, "Request exceeds the maximum size")
    }

    /// The stand-in itself failed, most likely its disk.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "the stand-in failed");
        Self::new(500, ErrorKind::Api, "Internal server error")
    }

    /// The error as it stands in a body or in a result line.
    pub(crate) fn envelope(&self, request_id: Option<String>) -> ErrorEnvelope {
        ErrorEnvelope {
            error: ErrorBody {
                kind: self.kind.clone(),
                message: self.message.clone(),
                details: self.code.clone().map(|code| ErrorDetails {
                    error_code: Some(code.into()),
                }),
            },
            request_id,
        }
    }

    /// The whole answer.
    pub(crate) fn answer(&self, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let page =
            || format!("<html><head><title>{status}</title></head><body>{status}</body></html>");
        let envelope = || Json(self.envelope(Some(request_id.to_owned())));
        let mut response = match self.form {
            Form::Envelope => (status, envelope()).into_response(),
            Form::Html => (status, Html(page())).into_response(),
            Form::Text => (status, status.to_string()).into_response(),
            Form::Empty => status.into_response(),
            Form::Broken => {
                let json = [(header::CONTENT_TYPE, "application/json")];
                (status, json, r#"{"type":"error","error":{"type":"#).into_response()
            }
        };
        let should_retry = self.should_retry.map(|retry| retry.to_string().into());
        for (name, value) in [
            ("retry-after", &self.retry_after),
            ("retry-after-ms", &self.retry_after_ms),
            ("x-should-retry", &should_retry),
        ] {
            let value = value.as_deref().map(str::parse::<HeaderValue>);
            if let Some(Ok(value)) = value {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::internal(&error)
    }
}

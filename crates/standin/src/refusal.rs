//! Errors as the API answers them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use offpeak_anthropic::shape::{ErrorBody, ErrorDetails, ErrorEnvelope, ErrorKind};

/// An error answer. As a response it carries itself in its extensions; the
/// outermost layer, which knows the request's id, writes the body.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    pub(crate) retry_after: Option<String>,
    /// Answer with a web page, as something in front of the API would.
    pub(crate) html: bool,
}

impl Refusal {
    pub(crate) fn new(status: u16, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            code: None,
            retry_after: None,
            html: false,
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
                    error_code: Some(code),
                }),
            },
            request_id,
        }
    }

    /// The whole answer.
    pub(crate) fn answer(&self, request_id: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = if self.html {
            let page =
                format!("<html><head><title>{status}</title></head><body>{status}</body></html>");
            (status, Html(page)).into_response()
        } else {
            (status, Json(self.envelope(Some(request_id.to_owned())))).into_response()
        };
        if let Some(wait) = self
            .retry_after
            .as_deref()
            .and_then(|wait| wait.parse::<HeaderValue>().ok())
        {
            response.headers_mut().insert(header::RETRY_AFTER, wait);
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

//! HTTP towards an offpeak server: one place for the key, errors and pages.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use offpeak_wire::{Page, Problem};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::Connection;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Rows asked for in one page.
const PAGE: usize = 100;

/// Faults of a refusal that are shown.
const SHOWN: usize = 10;

/// For an answer that is not a stream.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there, or the way to it is broken.
    #[error("cannot reach {url}: {}", why(cause))]
    Unreachable {
        /// The server.
        url: String,
        /// What the client library said; its innermost cause is shown above.
        cause: reqwest::Error,
    },
    /// The server said no.
    #[error("{}", describe(.0))]
    Refused(Box<Problem>),
    /// What answers there is not offpeak, or another version of it.
    #[error("{url} gave an answer that is not offpeak's (HTTP {status})")]
    Strange {
        /// The server.
        url: String,
        /// The HTTP status.
        status: u16,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit: Exit::Server,
            error: error.into(),
        }
    }
}

impl Error {
    /// Whether the same call may succeed by itself in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502..=504),
            Self::Strange { status, .. } => matches!(status, 502..=504),
        }
    }
}

/// A client for one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    http: reqwest::Client,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(connection: Connection) -> Result<Self, Error> {
        // Whoever comes first installs it; all install the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("offpeak/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10));
        // A proxy of the environment's cannot reach this machine's own loopback.
        let local = ["://127.", "://localhost", "://[::1]"]
            .iter()
            .any(|host| connection.url.contains(host));
        let http = if local { builder.no_proxy() } else { builder }
            .build()
            .map_err(|cause| Error::Unreachable {
                url: connection.url.clone(),
                cause,
            })?;
        Ok(Self { connection, http })
    }

    /// Scheme, host and port of the server.
    pub fn url(&self) -> &str {
        &self.connection.url
    }

    /// A request with the key on it; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.connection.url))
            .bearer_auth(self.connection.key.expose_secret())
    }

    /// Sends it; an answer from 400 on is an error.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let answer = request
            .send()
            .await
            .map_err(|cause| self.unreachable(cause))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer
            .bytes()
            .await
            .map_err(|cause| self.unreachable(cause))?;
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(Error::Refused(Box::new(problem))),
            Err(_) => Err(self.strange(status.as_u16())),
        }
    }

    /// Sends it and reads the JSON of the answer.
    pub async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let answer = self.send(request).await?;
        let status = answer.status().as_u16();
        let body = answer
            .bytes()
            .await
            .map_err(|cause| self.unreachable(cause))?;
        serde_json::from_slice(&body).map_err(|_| self.strange(status))
    }

    /// Gets `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(self.request(Method::GET, path).timeout(PATIENCE))
            .await
    }

    /// Posts to `path` without a body.
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(self.request(Method::POST, path).timeout(PATIENCE))
            .await
    }

    /// Posts a body to `path`.
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Error> {
        let request = self.request(Method::POST, path).json(body);
        self.read(request.timeout(PATIENCE)).await
    }

    /// Up to `limit` rows of a list, over as many pages as that takes.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        while rows.len() < limit {
            let mut query = query.to_vec();
            query.push(("limit", PAGE.min(limit - rows.len()).to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let path = format!("{path}?{}", encode(&query));
            let page: Page<T> = self.get(&path).await?;
            rows.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(rows)
    }

    /// Gets `path` and writes the answer out as it comes.
    pub async fn copy(&self, path: &str, output: Output) -> Result<(), Failure> {
        let mut answer = self.send(self.request(Method::GET, path)).await?;
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|cause| self.unreachable(cause))?
        {
            output.bytes(&chunk)?;
        }
        Ok(())
    }

    /// The error for a transport that broke.
    pub fn unreachable(&self, cause: reqwest::Error) -> Error {
        Error::Unreachable {
            url: self.connection.url.clone(),
            cause: cause.without_url(),
        }
    }

    fn strange(&self, status: u16) -> Error {
        Error::Strange {
            url: self.connection.url.clone(),
            status,
        }
    }
}

/// A query string, escaped.
pub(super) fn encode(pairs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(&escape(value));
    }
    text
}

/// A text as one part of a path or a query.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// The innermost cause says what happened; the outer ones say where in the library.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "connection refused; is `offpeak dev` or `offpeak serve` running?".to_owned()
        }
        // In words that are the same on every system, without its number.
        Some(kind @ (io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut)) => kind.to_string(),
        _ => cause.to_string(),
    }
}

fn describe(problem: &Problem) -> String {
    let mut text = format!(
        "{} ({}, request {})",
        problem.detail, problem.code, problem.request_id
    );
    for error in problem.errors.iter().take(SHOWN) {
        text.push_str("\n  ");
        if let Some(line) = error.line {
            let _ = write!(text, "line {line}: ");
        }
        if !error.field.is_empty() {
            let _ = write!(text, "{}: ", error.field);
        }
        text.push_str(&error.message);
    }
    let all = problem.error_count.unwrap_or(problem.errors.len() as u64);
    if let Some(more) = all.checked_sub(SHOWN as u64).filter(|more| *more > 0) {
        let _ = write!(text, "\n  and {more} more");
    }
    if problem.status == 401 {
        text.push_str("\nThe key in OFFPEAK_KEY is not one of this server's.");
    }
    text
}

#[cfg(test)]
mod tests {
    use offpeak_wire::FieldError;

    use super::*;

    #[test]
    fn escapes_what_a_query_may_not_hold() {
        let pairs = [("user", "a b&c=ü".to_owned()), ("limit", "5".to_owned())];
        assert_eq!(encode(&pairs), "user=a%20b%26c%3D%C3%BC&limit=5");
    }

    #[test]
    fn a_refusal_names_lines_and_fields() {
        let error = |line| FieldError {
            line: Some(line),
            field: "/input/text".into(),
            code: "schema_violation".into(),
            message: "is required".into(),
        };
        let problem = Problem {
            r#type: "/problems/invalid_input".into(),
            title: "Invalid input".into(),
            status: 422,
            detail: "12 lines are wrong; nothing was stored".into(),
            code: "invalid_input".into(),
            request_id: "req_1".into(),
            errors: (1..=12).map(error).collect(),
            error_count: Some(12),
            budget: None,
            limit: None,
        };
        let text = Error::Refused(Box::new(problem)).to_string();
        insta::assert_snapshot!(text, @r"
        12 lines are wrong; nothing was stored (invalid_input, request req_1)
          line 1: /input/text: is required
          line 2: /input/text: is required
          line 3: /input/text: is required
          line 4: /input/text: is required
          line 5: /input/text: is required
          line 6: /input/text: is required
          line 7: /input/text: is required
          line 8: /input/text: is required
          line 9: /input/text: is required
          line 10: /input/text: is required
          and 2 more
        ");
    }
}

//! What goes wrong, as the client sees it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use offpeak_domain::limits;
use offpeak_wire::{FieldError, OverBudget, Problem, ReachedLimit};

use crate::budgets;

/// Faults that one answer lists, at most.
pub(crate) const MAX_FAULTS: usize = 100;

/// A handler's result.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Ends the connection of an answer that is streamed, whose head is out already: what is
/// not whole, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1:?}")]
pub(crate) struct Broken(pub(crate) &'static str, pub(crate) Error);

/// One problem, without the request's id, which [`crate::edge`] adds.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    code: Code,
    detail: String,
    faults: Vec<FieldError>,
    fault_count: Option<u64>,
    budget: Option<Box<OverBudget>>,
    limit: Option<Box<ReachedLimit>>,
    /// Seconds, where that is known.
    retry_after: Option<u64>,
}

macro_rules! codes {
    ($( $(#[$meta:meta])* $variant:ident = $word:literal, $status:ident, $title:literal; )+) => {
        /// Every code of a problem. The list only grows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $( $(#[$meta])* $variant, )+ }

        impl Code {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

codes! {
    InvalidJson = "invalid_json", BAD_REQUEST, "The body is not valid JSON";
    InvalidQuery = "invalid_query", BAD_REQUEST, "A query parameter is wrong";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "The cursor does not belong to this list";
    InvalidHeader = "invalid_header", BAD_REQUEST, "A header is wrong";
    BodyTooSlow = "body_too_slow", REQUEST_TIMEOUT, "The body comes too slowly";
    BodyBroken = "body_broken", BAD_REQUEST, "The body ended before it was complete";
    BudgetExceeded = "budget_exceeded", PAYMENT_REQUIRED, "A budget has no room for it";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "A valid API key, session or ticket is needed";
    OriginNotAllowed = "origin_not_allowed", FORBIDDEN, "The request comes from a page that may not send it";
    MissingScope = "missing_scope", FORBIDDEN, "The caller may not do this";
    TicketScope = "ticket_scope", FORBIDDEN, "A ticket does not open this";
    TenantErased = "tenant_erased", FORBIDDEN, "The tenant is being erased";
    SignInRefused = "sign_in_refused", FORBIDDEN, "The identity server let nobody in";
    NotInvited = "not_invited", FORBIDDEN, "Nobody has added you";
    AddressNotVerified = "address_not_verified", FORBIDDEN, "Your address is not verified";
    NotFound = "not_found", NOT_FOUND, "There is no such thing";
    NoRoute = "no_route", NOT_FOUND, "There is no such path";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The path does not know this method";
    SignInOver = "sign_in_over", CONFLICT, "The sign-in is over";
    JobNotEnded = "job_not_ended", CONFLICT, "The job has not ended";
    AlreadyCompleted = "already_completed", CONFLICT, "The job has completed";
    JobInFlight = "job_in_flight", CONFLICT, "An attempt of the job is still at Anthropic";
    KeyInUse = "idempotency_key_in_use", CONFLICT, "The idempotency key is in use at this moment";
    VersionTaken = "version_taken", CONFLICT, "Somebody else has just stored this version";
    TooManyKeys = "too_many_keys", CONFLICT, "Too many API keys are in force";
    NameTaken = "name_taken", CONFLICT, "The name is taken";
    LastKey = "last_key", CONFLICT, "The API key is the last one in force";
    InputGone = "input_gone", GONE, "The job's input was deleted";
    ResultGone = "result_gone", GONE, "The job's answer was deleted";
    TooManyOperations = "too_many_operations", CONFLICT, "Too many operations are running";
    UpstreamInUse = "upstream_in_use", CONFLICT, "Jobs or batches depend on your own key";
    UpstreamChanging = "upstream_changing", CONFLICT, "Your own key is being changed at this moment";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    HeadersTooLarge = "headers_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large";
    WrongMediaType = "wrong_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is of the wrong type";
    InvalidInput = "invalid_input", UNPROCESSABLE_ENTITY, "The request breaks a rule";
    UnknownModel = "unknown_model", UNPROCESSABLE_ENTITY, "The model is not known";
    UnknownJobType = "unknown_job_type", UNPROCESSABLE_ENTITY, "The job type is not known";
    InvalidLines = "invalid_lines", UNPROCESSABLE_ENTITY, "Lines of the body break a rule";
    NoJobs = "no_jobs", UNPROCESSABLE_ENTITY, "The body holds no job";
    KeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "The idempotency key was used with another body";
    TooManyQueuedJobs = "too_many_queued_jobs", TOO_MANY_REQUESTS, "Too many of your jobs wait";
    TooManyQueuedBytes = "too_many_queued_bytes", TOO_MANY_REQUESTS, "Your waiting jobs are too large together";
    TooManyRequests = "too_many_requests", TOO_MANY_REQUESTS, "Too many requests came in a short time";
    TooManyJobs = "too_many_jobs", TOO_MANY_REQUESTS, "Too many jobs came in a short time";
    NotWebSocket = "not_a_websocket", UPGRADE_REQUIRED, "The path is for WebSockets";
    TooManyConnections = "too_many_connections", TOO_MANY_REQUESTS, "Too many live connections are open";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something is wrong on this side";
    IdentityUnproven = "identity_unproven", BAD_GATEWAY, "The identity server's answer proves nothing";
    IdentityServerDown = "identity_server_down", SERVICE_UNAVAILABLE, "The identity server cannot be used at the moment";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The service cannot answer at the moment";
    NoVault = "no_vault", SERVICE_UNAVAILABLE, "The server cannot keep a key of yours";
    StorageFull = "storage_full", SERVICE_UNAVAILABLE, "The database has no room left";
}

impl Error {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            faults: Vec::new(),
            fault_count: None,
            budget: None,
            limit: None,
            retry_after: None,
        }
    }

    /// With the budget that has no room, and after how many seconds it may have.
    pub(crate) fn of_budget(self, budget: OverBudget, retry_after: Option<u64>) -> Self {
        Self {
            budget: Some(Box::new(budget)),
            retry_after,
            ..self
        }
    }

    /// With the limit that is reached, and after which time it may not be.
    pub(crate) fn of_limit(self, name: &str, value: u64, wait: Duration) -> Self {
        Self {
            limit: Some(Box::new(ReachedLimit {
                name: name.to_owned(),
                value,
            })),
            retry_after: Some(limits::retry_after(wait)),
            ..self
        }
    }

    /// With what is wrong where. Beyond a hundred the count tells the rest.
    pub(crate) fn with(mut self, mut faults: Vec<FieldError>) -> Self {
        if faults.len() > MAX_FAULTS {
            self.fault_count = u64::try_from(faults.len()).ok();
            faults.truncate(MAX_FAULTS);
        }
        self.faults = faults;
        self
    }

    /// How many faults there were, when not all of them were kept.
    pub(crate) fn of(mut self, count: u64) -> Self {
        if usize::try_from(count).is_ok_and(|count| count > self.faults.len()) {
            self.fault_count = Some(count);
        }
        self
    }

    /// Another tenant's thing and one that never was answer alike.
    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} with this id"))
    }

    /// Faults of one body. Faults of one kind with a code of their own lend it
    /// to the whole.
    pub(crate) fn input(faults: Vec<FieldError>) -> Self {
        let only = |code: Code| faults.iter().all(|fault| fault.code == code.as_str());
        let code = [
            Code::InvalidJson,
            Code::UnknownModel,
            Code::UnknownJobType,
            Code::TooLarge,
        ]
        .into_iter()
        .find(|code| !faults.is_empty() && only(*code))
        .unwrap_or(Code::InvalidInput);
        let detail = match faults.as_slice() {
            [] => "breaks a rule".to_owned(),
            [one] => said(one),
            [first, ..] => format!("{} faults, the first: {}", faults.len(), said(first)),
        };
        Self::new(code, detail).with(faults)
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    #[cfg(test)]
    pub(crate) fn faults(&self) -> &[FieldError] {
        &self.faults
    }

    pub(crate) fn problem(&self, request_id: &str) -> Problem {
        Problem {
            r#type: format!("/problems/{}", self.code.as_str()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            errors: self.faults.clone(),
            error_count: self.fault_count,
            budget: self.budget.clone(),
            limit: self.limit.clone(),
        }
    }
}

/// A fault in one sentence.
fn said(fault: &FieldError) -> String {
    if fault.field.is_empty() {
        format!("the body {}", fault.message)
    } else {
        format!("{}: {}", fault.field, fault.message)
    }
}

/// A fault without a line.
pub(crate) fn fault(
    field: impl Into<String>,
    code: &'static str,
    message: impl Into<String>,
) -> FieldError {
    FieldError {
        line: None,
        field: field.into(),
        code: code.to_owned(),
        message: message.into(),
    }
}

impl From<offpeak_store::Error> for Error {
    fn from(error: offpeak_store::Error) -> Self {
        use offpeak_store::Error as Store;
        match &error {
            Store::NoJob(_) => return Self::not_found("job"),
            Store::NoGroup(_) => return Self::not_found("group"),
            Store::KeyReused => {
                return Self::new(
                    Code::KeyReused,
                    "the same key was used before with another body, or for something else; \
                     send the same body again or choose another key",
                );
            }
            Store::KeyBusy => {
                return Self::new(
                    Code::KeyInUse,
                    "another request with the same key is under way; repeat this one when it is done",
                );
            }
            Store::StillInFlight(_) => {
                return Self::new(
                    Code::JobInFlight,
                    "the job was canceled while it was at Anthropic; it can be retried when its \
                     batch has come back",
                );
            }
            Store::OverBudget(refusal) => return budgets::refused(refusal),
            Store::Erased => {
                return Self::new(
                    Code::TenantErased,
                    "all that this tenant has is being erased, as its operator was asked to: \
                     nothing of it is shown or taken any more",
                );
            }
            Store::InputGone(_) => {
                return Self::new(
                    Code::InputGone,
                    "what the job was asked was deleted when its retention was over, so it \
                     cannot be shown or run again; submit it anew",
                );
            }
            Store::NotEnded(_) => {
                return Self::new(
                    Code::JobNotEnded,
                    "only a job that has ended can be retried",
                );
            }
            _ => {}
        }
        if error.is_disk_full() {
            tracing::error!(%error, "the database's disk is full");
            return Self::new(
                Code::StorageFull,
                "nothing can be stored until the operator makes room; reading still works",
            );
        }
        if error.is_transient() {
            tracing::warn!(%error, "the database did not answer as it should");
            return Self::new(
                Code::Unavailable,
                "the database is not available; try again",
            );
        }
        Self::internal(&error)
    }
}

impl Error {
    /// A fault of ours: the log has the cause, the client the request's id.
    pub(crate) fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        tracing::error!(error = text, "a request failed");
        Self::new(
            Code::Internal,
            "the operator finds the cause in the log by the request id",
        )
    }
}

/// The body is written at the edge, where the request's id is known.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        let headers = response.headers_mut();
        match self.code {
            Code::Unavailable | Code::KeyInUse => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Code::StorageFull => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
            }
            Code::NotWebSocket => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            Code::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

pub(crate) async fn no_route() -> Error {
    Error::new(
        Code::NoRoute,
        "the paths of this API stand in /openapi.json",
    )
}

pub(crate) async fn no_method() -> Error {
    Error::new(
        Code::MethodNotAllowed,
        "the header `allow` names the methods of this path",
    )
}

#[cfg(test)]
mod tests {
    use super::{Code, Error, MAX_FAULTS, fault};

    #[test]
    fn codes_are_stable_words_of_their_own() {
        let mut words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
        for code in Code::ALL {
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[test]
    fn one_kind_of_fault_names_the_problem() {
        let model = || fault("/params/model", "unknown_model", "is not known");
        let user = || fault("/user", "too_long", "is too long");
        assert_eq!(Error::input(vec![model()]).code(), Code::UnknownModel);
        assert_eq!(
            Error::input(vec![model(), user()]).code(),
            Code::InvalidInput
        );
        assert_eq!(
            Error::input(vec![user()]).problem("req_1").detail,
            "/user: is too long"
        );
    }

    #[test]
    fn many_faults_are_counted_and_cut() {
        let faults = vec![fault("/a", "wrong_type", "must be a string"); MAX_FAULTS + 1];
        let problem = Error::input(faults).problem("req_1");
        assert_eq!(
            (problem.errors.len(), problem.error_count),
            (MAX_FAULTS, Some(101))
        );
        assert_eq!(
            Error::input(vec![fault("/a", "b", "c")])
                .of(1)
                .problem("")
                .error_count,
            None
        );
    }
}

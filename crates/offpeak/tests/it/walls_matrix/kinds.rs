//! What may stand at each place. A place that is not told of here fails the test: whoever
//! adds one says what it names, or why it names nothing of a tenant's.

use super::places::{Operation, Place};

/// What a text names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Job,
    Group,
    Batch,
    JobType,
    Context,
    Key,
    Person,
    /// As which somebody is invited.
    PersonName,
    Budget,
    Operation,
    /// The app's label.
    User,
    /// Where the list of the same path goes on.
    ListCursor,
    /// Where the stream goes on.
    EventCursor,
    IdempotencyKey,
    /// What a live connection hears of.
    Topics,
    /// A tenant's, named by the operator, who may.
    Operators,
    /// A text that is kept once, however often it is given.
    Text,
    /// A message that shares the work with the same one.
    Params,
    /// Nothing of a tenant's, and why.
    Nothing(&'static str),
}

use Kind::Nothing;

const CREDENTIAL: Kind = Nothing("a credential, so one of those who ask");
const FREE: Kind = Nothing("a text or a value of the caller's own, which is looked up nowhere");
const CLOSED: Kind = Nothing("one of the words of a closed list");
const TIME: Kind = Nothing("a time or a length of it");

/// What stands at a place; none is known where the place is new.
pub(super) fn at(operation: &Operation, place: &Place) -> Option<Kind> {
    if operation.is_operators() {
        return Some(Kind::Operators);
    }
    match place {
        Place::Path(_) => in_path(&operation.path),
        Place::Query(name) => in_query(&operation.path, name),
        Place::Header(name) => match name.as_str() {
            "idempotency-key" => Some(Kind::IdempotencyKey),
            "last-event-id" => Some(Kind::EventCursor),
            "prefer" => Some(TIME),
            "sec-websocket-protocol" => Some(CREDENTIAL),
            _ => None,
        },
        Place::Body(pointer) => in_body(&operation.name(), pointer),
    }
}

fn in_path(path: &str) -> Option<Kind> {
    let (collection, _) = path.split_once("/{")?;
    Some(match collection {
        "/v1/jobs" => Kind::Job,
        "/v1/groups" => Kind::Group,
        "/v1/batches" => Kind::Batch,
        "/v1/job-types" => Kind::JobType,
        "/v1/contexts" => Kind::Context,
        "/v1/keys" => Kind::Key,
        "/v1/people" => Kind::Person,
        "/v1/budgets" => Kind::Budget,
        "/v1/operations" => Kind::Operation,
        _ => return None,
    })
}

fn in_query(path: &str, name: &str) -> Option<Kind> {
    Some(match (path, name) {
        (_, "ticket") => CREDENTIAL,
        ("/v1/events", "topics") => Kind::Topics,
        ("/v1/events", "cursor") => Kind::EventCursor,
        ("/v1/audit", "cursor") => Nothing("a number in the caller's own log"),
        (_, "cursor") => Kind::ListCursor,
        ("/v1/jobs", "group") => Kind::Group,
        ("/v1/jobs", "batch") => Kind::Batch,
        ("/v1/jobs", "type") => Kind::JobType,
        ("/v1/jobs", "user") => Kind::User,
        ("/v1/upstream", "confirm")
        | ("/v1/jobs", "state" | "label")
        | ("/v1/usage", "by" | "format")
        | ("/v1/groups/{id}/results", "format") => CLOSED,
        ("/v1/jobs", "model" | "since" | "until")
        | ("/v1/usage", "from" | "to")
        | ("/v1/overview", "window") => TIME,
        ("/v1/contexts", "title") | ("/v1/jobs/bulk", "name") => FREE,
        _ => return None,
    })
}

fn in_body(operation: &str, pointer: &str) -> Option<Kind> {
    let of_job = match operation {
        "POST /v1/jobs" | "POST /v1/jobs/bulk" => Some(pointer),
        "POST /v1/estimate" => pointer.strip_prefix("/jobs/0"),
        _ => None,
    };
    if let Some(pointer) = of_job {
        return Some(match pointer {
            // Nothing is stored by an estimate, and a line has no key of its own.
            "/idempotency_key" | "/params" if operation == "POST /v1/estimate" => FREE,
            "/idempotency_key" if operation == "POST /v1/jobs/bulk" => FREE,
            "/type" => Kind::JobType,
            "/context/0" => Kind::Context,
            "/user" => Kind::User,
            "/idempotency_key" => Kind::IdempotencyKey,
            "/deliver_within" => TIME,
            "/params" => Kind::Params,
            "/input" | "/metadata" => FREE,
            _ => return None,
        });
    }
    if operation == "POST /v1/operations" {
        return Some(match pointer {
            "/filter/group" => Kind::Group,
            "/filter/batch" => Kind::Batch,
            "/filter/type" => Kind::JobType,
            "/filter/user" => Kind::User,
            "/filter/state" | "/filter/label" => CLOSED,
            "/filter/model" | "/filter/since" | "/filter/until" => TIME,
            _ => return None,
        });
    }
    Some(match (operation, pointer) {
        ("POST /v1/jobs/cancel" | "POST /v1/jobs/retry", "/ids/0") => Kind::Job,
        ("POST /v1/live/tickets", "/group") => Kind::Group,
        ("POST /v1/live/tickets", "/user") | ("PUT /v1/budgets", "/name") => Kind::User,
        ("POST /v1/job-types", "/name") => Kind::JobType,
        ("POST /v1/contexts", "/text") => Kind::Text,
        ("POST /v1/people", "/name") => Kind::PersonName,
        ("POST /v1/job-types", "/deliver_within" | "/reuse_for") => TIME,
        ("PUT /v1/budgets", "/limit")
        | ("POST /v1/contexts", "/title")
        | ("POST /v1/keys", "/name")
        | ("PUT /v1/live/origins", "/origins/0")
        | (
            "POST /v1/job-types",
            "/model" | "/system" | "/template" | "/description" | "/input_schema"
            | "/output_schema",
        ) => FREE,
        ("PUT /v1/upstream", "/key") => {
            Nothing("a secret of Anthropic's, sealed and looked up nowhere")
        }
        ("POST /v1/session/link", "/link")
        | ("POST /v1/session/oidc/callback", "/state" | "/code") => CREDENTIAL,
        ("POST /v1/session/oidc/callback", "/error" | "/iss") => CLOSED,
        ("POST /v1/session/oidc/tenant", "/tenant") => {
            Nothing("one of those that the identity server's word opens, and none without it")
        }
        _ => return None,
    })
}

/// What a client may say over a WebSocket.
pub(super) fn said(pointer: &str) -> Option<Kind> {
    Some(match pointer {
        "/hello/topics/0" => Kind::Topics,
        "/hello/cursor" | "/ack/cursor" => Kind::EventCursor,
        "/watch/jobs/0" => Kind::Job,
        _ => return None,
    })
}

impl Kind {
    /// Whether it is tried.
    pub(super) fn is_tried(self) -> bool {
        !matches!(self, Self::Operators | Nothing(_))
    }
}

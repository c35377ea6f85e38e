//! Jobs: one endpoint, one file.

use axum::http::HeaderMap;
use axum::routing::{get, post};
use offpeak_wire::{OnLate, Priority};

use crate::State;
use crate::body::{Field, reads_as};
use crate::error::{Code, Error, Result, fault};
use crate::routes::Routes;
use crate::text::{self, MAX_KEY};

pub(crate) mod attempts;
pub(crate) mod bulk;
pub(crate) mod cancel;
mod draft;
pub(crate) mod estimate;
pub(crate) mod filter;
pub(crate) mod get;
pub(crate) mod lines;
pub(crate) mod list;
pub(crate) mod many;
mod opening;
pub(crate) mod request;
pub(crate) mod result;
pub(crate) mod retry;
mod stage;
pub(crate) mod submit;
mod upload;
pub(crate) mod view;

pub(crate) use draft::{policy, unknown_model};
pub(crate) use view::{on_late, state};

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/jobs", post(submit::handle).get(list::handle))
        .at("/estimate", post(estimate::handle))
        .at("/jobs/bulk", post(bulk::handle))
        .at("/jobs/cancel", post(many::cancel::handle))
        .at("/jobs/retry", post(many::retry::handle))
        .at("/jobs/{id}", get(get::handle))
        .at("/jobs/{id}/result", get(result::handle))
        .at("/jobs/{id}/attempts", get(attempts::handle))
        .at("/jobs/{id}/request", get(request::handle))
        .at("/jobs/{id}/cancel", post(cancel::handle))
        .at("/jobs/{id}/retry", post(retry::handle))
}

/// The fields of a job request.
pub(crate) const FIELDS: &[Field] = &[
    string("type"),
    Field {
        name: "params",
        expected: "an object",
        required: false,
        fits: anything,
    },
    Field {
        name: "input",
        expected: "an object",
        required: false,
        fits: anything,
    },
    Field {
        name: "context",
        expected: "an array of strings",
        required: false,
        fits: reads_as::<Option<Vec<String>>>,
    },
    string("user"),
    Field {
        name: "priority",
        expected: "\"low\", \"normal\" or \"high\"",
        required: false,
        fits: reads_as::<Option<Priority>>,
    },
    string("deliver_within"),
    Field {
        name: "on_late",
        expected: "\"wait\", \"escalate\" or \"fail\"",
        required: false,
        fits: reads_as::<Option<OnLate>>,
    },
    Field {
        name: "coalesce",
        expected: "true or false",
        required: false,
        fits: reads_as::<Option<bool>>,
    },
    string("idempotency_key"),
    Field {
        name: "metadata",
        expected: "an object",
        required: false,
        fits: anything,
    },
];

const fn string(name: &'static str) -> Field {
    Field {
        name,
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    }
}

fn anything(_: &str) -> bool {
    true
}

/// The header `idempotency-key`.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut given = headers.get_all("idempotency-key").iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    let refuse = |message: String| {
        Error::new(Code::InvalidHeader, format!("idempotency-key {message}")).with(vec![fault(
            "idempotency-key",
            "invalid_value",
            message,
        )])
    };
    if given.next().is_some() {
        return Err(refuse("is given more than once".into()));
    }
    let value = value
        .to_str()
        .map_err(|_| refuse("must be plain ASCII".into()))?;
    text::label("idempotency-key", value, MAX_KEY).map_err(|fault| refuse(fault.message))?;
    Ok(Some(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::idempotency_key;
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn a_key_is_one_plain_word() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", HeaderValue::from_str(value).unwrap());
            }
            idempotency_key(&headers)
        };
        assert_eq!(with(&[]).unwrap(), None);
        assert_eq!(with(&["run 7"]).unwrap().as_deref(), Some("run 7"));
        assert!(with(&[""]).is_err());
        assert!(with(&["a", "b"]).is_err());
        assert!(with(&[&"x".repeat(256)]).is_err());
        assert!(with(&["é"]).is_err());
    }
}

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// One job, as it is submitted: alone as the body of `POST /v1/jobs`, or as
/// one line of `POST /v1/jobs/bulk`. It names exactly one of `type` and `params`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Name of a job type; its newest version is used and remembered.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(example = "summarize")]
    pub r#type: Option<String>,
    /// A complete body of Anthropic's Messages API, for those who bring their
    /// own prompt. Sent upstream byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub params: Option<Box<RawValue>>,
    /// What the job type asks for: an object that its input schema accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub input: Option<Box<RawValue>>,
    /// Contexts that the job shares with others, `ctx_…`, at most 8: their texts
    /// follow the system prompt, in this order. Only with a `type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 8)]
    pub context: Option<Vec<String>>,
    /// An opaque label of the app's own user, for lists and usage; at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub user: Option<String>,
    /// Order within the tenant's own queue; `normal` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The same key and body give the same job however often they are sent; at
    /// most 255 characters. Not in bulk lines: there the header names the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub idempotency_key: Option<String>,
    /// Small JSON object of the app's own, given back as it came; at most 16 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Box<RawValue>>,
}

/// Order of jobs within one tenant's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After the others.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before the others.
    High,
}

/// By hand: the derived form would also read `{"high":null}`.
impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(deserializer)?;
        match word.as_ref() {
            "low" => Ok(Self::Low),
            "normal" => Ok(Self::Normal),
            "high" => Ok(Self::High),
            other => Err(D::Error::unknown_variant(other, &["low", "normal", "high"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JobRequest, Priority};

    #[test]
    fn a_priority_is_one_word() {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            let text = serde_json::to_string(&priority).unwrap();
            assert_eq!(serde_json::from_str::<Priority>(&text).unwrap(), priority);
        }
        for other in [r#"{"high":null}"#, r#""High""#, "1", "null", r#""\ud800""#] {
            assert!(serde_json::from_str::<Priority>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_and_named() {
        let error = serde_json::from_str::<JobRequest>(r#"{"type":"a","deliver_within":"1h"}"#)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("unknown field `deliver_within`"),
            "{error}"
        );
        assert!(serde_json::from_str::<JobRequest>(r#"{"user":"a","user":"b"}"#).is_err());
    }

    #[test]
    fn params_stay_byte_for_byte() {
        let body = r#"{"params":{"model" : "m", "n":1.0e2, "a":"\u0041"}}"#;
        let request: JobRequest = serde_json::from_str(body).unwrap();
        assert_eq!(
            request.params.unwrap().get(),
            r#"{"model" : "m", "n":1.0e2, "a":"\u0041"}"#
        );
    }

    #[test]
    fn nothing_said_is_nothing_sent() {
        assert_eq!(serde_json::to_string(&JobRequest::default()).unwrap(), "{}");
    }
}

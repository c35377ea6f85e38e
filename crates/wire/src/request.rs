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
    #[schema(min_length = 1, max_length = 256)]
    pub user: Option<String>,
    /// Order within the tenant's own queue; `normal` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// How soon the answer is wanted, such as `30s`, `2h` or `1d 12h`; whole
    /// seconds, at least one and at most 28 days. It chooses the lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2h")]
    pub deliver_within: Option<String>,
    /// What is done when the answer would come later; `escalate` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_late: Option<OnLate>,
    /// False for an answer of its own, where others of the tenant ask the same to the
    /// byte: sampled anew, and paid again. Unless said, its job type decides, and a
    /// job without one shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coalesce: Option<bool>,
    /// The same key and body give the same job however often they are sent; at
    /// most 255 characters. Not in bulk lines: there the header names the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
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

/// What is done for a job whose deadline nears while it has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLate {
    /// Nothing: the answer comes when it comes.
    Wait,
    /// It is called for directly, in time to make it. If its batch answers as well,
    /// both are paid.
    Escalate,
    /// At the deadline it ends as failed, with the label `deadline_missed`.
    Fail,
}

/// By hand, as [`Priority`].
impl<'de> Deserialize<'de> for OnLate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(deserializer)?;
        match word.as_ref() {
            "wait" => Ok(Self::Wait),
            "escalate" => Ok(Self::Escalate),
            "fail" => Ok(Self::Fail),
            other => Err(D::Error::unknown_variant(
                other,
                &["wait", "escalate", "fail"],
            )),
        }
    }
}

/// What is done when the answer to a direct call is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// The job ends as failed, with the label `outcome_unknown`.
    Fail,
    /// It is called for again, though the lost call may have been billed.
    Retry,
}

/// By hand, as [`Priority`].
impl<'de> Deserialize<'de> for OnUnknown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(deserializer)?;
        match word.as_ref() {
            "fail" => Ok(Self::Fail),
            "retry" => Ok(Self::Retry),
            other => Err(D::Error::unknown_variant(other, &["fail", "retry"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JobRequest, OnLate, OnUnknown, Priority};

    #[test]
    fn policies_are_words() {
        for policy in [OnLate::Wait, OnLate::Escalate, OnLate::Fail] {
            let text = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<OnLate>(&text).unwrap(), policy);
        }
        for policy in [OnUnknown::Fail, OnUnknown::Retry] {
            let text = serde_json::to_string(&policy).unwrap();
            assert_eq!(serde_json::from_str::<OnUnknown>(&text).unwrap(), policy);
        }
        assert!(serde_json::from_str::<OnLate>(r#"{"wait":null}"#).is_err());
        assert!(serde_json::from_str::<OnUnknown>(r#""wait""#).is_err());
    }

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
        let error = serde_json::from_str::<JobRequest>(r#"{"type":"a","deadline":"1h"}"#)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("unknown field `deadline`"), "{error}");
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

//! One line of a batch's results, read cheaply: the message inside is not built
//! as a tree, only its head is read, and its text only on demand.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as Derive;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::names::open_names;
use super::{ErrorKind, Usage};

open_names! {
    /// Why the model stopped.
    StopReason {
        /// It was done.
        EndTurn = "end_turn",
        /// The output limit cut it off.
        MaxTokens = "max_tokens",
        /// A stop sequence came up.
        StopSequence = "stop_sequence",
        /// It wants a tool to be run.
        ToolUse = "tool_use",
        /// A server-tool loop was paused.
        PauseTurn = "pause_turn",
        /// It declined; with empty content it is not billed.
        Refusal = "refusal",
        /// The context window was full.
        ModelContextWindowExceeded = "model_context_window_exceeded",
    }
}

/// A result line, borrowed from its bytes. `Debug` shows no text of the result.
#[derive(Debug)]
pub struct ResultLine<'a> {
    /// The id that the request was sent under.
    pub custom_id: Cow<'a, str>,
    /// How the request ended.
    pub result: ResultKind<'a>,
}

/// How one request of a batch ended.
#[derive(Debug)]
pub enum ResultKind<'a> {
    /// A message came back, maybe refused or cut off.
    Succeeded(Succeeded<'a>),
    /// The request failed; not billed.
    Errored(Errored),
    /// Canceled before it reached a model; not billed.
    Canceled,
    /// Not begun within 24 hours; not billed.
    Expired,
    /// A result type that this version does not know.
    Other(String),
}

/// The head of a message.
pub struct Succeeded<'a> {
    /// Why the model stopped; `None` where the API left it out.
    pub stop_reason: Option<StopReason>,
    /// What was consumed.
    pub usage: Usage,
    /// The model that answered.
    pub model: String,
    /// Whether the message has no content block at all.
    pub content_empty: bool,
    content: &'a RawValue,
}

/// Why a request of a batch failed.
pub struct Errored {
    /// The inner `error.type`.
    pub error_type: ErrorKind,
    /// `error.details.error_code`.
    pub error_code: Option<String>,
    /// Unstable wording; may quote the prompt, so `Debug` hides it.
    pub message: String,
}

/// A line that is not a result: no JSON, or not of the documented form.
/// It tells where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a result line (byte {column})")]
pub struct Unreadable {
    /// Where reading stopped, in bytes from the start of the line or of its result.
    pub column: usize,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        // serde_json's text may quote the line, its position may not.
        Self {
            column: error.column(),
        }
    }
}

#[derive(Derive)]
struct Outer<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    result: Inner<'a>,
}

#[derive(Derive)]
struct Inner<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Derive)]
struct Head<'a> {
    model: String,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(default)]
    stop_reason: Option<StopReason>,
    usage: Usage,
}

#[derive(Derive)]
struct Nested {
    error: super::ErrorBody,
}

impl<'a> ResultLine<'a> {
    /// Reads one line, without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, Unreadable> {
        let Outer { custom_id, result } = serde_json::from_slice(line)?;
        let result = match (result.kind.as_ref(), result.message, result.error) {
            ("succeeded", Some(message), _) => {
                ResultKind::Succeeded(Succeeded::parse(message.get().as_bytes())?)
            }
            ("errored", _, Some(error)) => {
                let Nested { error } = serde_json::from_str(error.get())?;
                ResultKind::Errored(Errored {
                    error_type: error.kind,
                    error_code: error.details.and_then(|details| details.error_code),
                    message: error.message,
                })
            }
            ("succeeded" | "errored", _, _) => return Err(Unreadable { column: line.len() }),
            ("canceled", _, _) => ResultKind::Canceled,
            ("expired", _, _) => ResultKind::Expired,
            (other, _, _) => ResultKind::Other(other.to_owned()),
        };
        Ok(Self { custom_id, result })
    }

    /// The text of a succeeded line, see [`Succeeded::text`].
    pub fn text(&self) -> Option<String> {
        match &self.result {
            ResultKind::Succeeded(message) => message.text(),
            ResultKind::Errored(_)
            | ResultKind::Canceled
            | ResultKind::Expired
            | ResultKind::Other(_) => None,
        }
    }
}

impl<'a> Succeeded<'a> {
    /// Reads the head of a raw message, e.g. the answer to a direct call.
    pub fn parse(message: &'a [u8]) -> Result<Self, Unreadable> {
        let Head {
            model,
            content,
            stop_reason,
            usage,
        } = serde_json::from_slice(message)?;
        let Length(blocks) = serde_json::from_str(content.get())?;
        Ok(Self {
            stop_reason,
            usage,
            model,
            content_empty: blocks == 0,
            content,
        })
    }

    /// All text blocks joined; `None` where there is none. Lone surrogates become
    /// U+FFFD here; the line itself keeps them.
    pub fn text(&self) -> Option<String> {
        #[derive(Derive)]
        struct Block<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
            #[serde(borrow, default)]
            text: Option<&'a RawValue>,
        }
        let blocks: Vec<Block<'_>> = serde_json::from_str(self.content.get()).ok()?;
        let mut joined = None;
        for block in blocks.iter().filter(|block| block.kind == "text") {
            let Lossy(text) = serde_json::from_str(block.text?.get()).ok()?;
            joined.get_or_insert_with(String::new).push_str(&text);
        }
        joined
    }
}

impl fmt::Debug for Succeeded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Succeeded")
            .field("stop_reason", &self.stop_reason)
            .field("usage", &self.usage)
            .field("model", &self.model)
            .field("content_empty", &self.content_empty)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Errored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errored")
            .field("error_type", &self.error_type)
            .field("error_code", &self.error_code)
            .finish_non_exhaustive()
    }
}

/// How many elements an array has.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Count;
        impl<'de> Visitor<'de> for Count {
            type Value = Length;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of content blocks")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Length, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Length(count))
            }
        }
        from.deserialize_seq(Count)
    }
}

/// A JSON string read as bytes, so that lone surrogates do not fail it.
struct Lossy(String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Lossy;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Lossy, E> {
                Ok(Lossy(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        from.deserialize_bytes(Text)
    }
}

#[cfg(test)]
mod tests;

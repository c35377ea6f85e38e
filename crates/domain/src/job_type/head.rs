//! What the requests of a job type begin with: the same bytes for all of them,
//! so that they may share what Anthropic's cache holds of it.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::JobType;
use crate::cache::{Prefix, estimate_tokens, minimum};

/// The opening of a Messages body, up to the end of its system prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// JSON that lacks its rest and its last brace.
    pub(super) bytes: Vec<u8>,
    prefix: Option<Prefix>,
}

#[derive(Serialize)]
struct Opening<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
}

#[derive(Serialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

impl Head {
    /// The opening for a job type and the documents that its system prompt is
    /// followed by, in this order.
    pub(super) fn new(job_type: &JobType, contexts: &[&str]) -> Self {
        let texts: Vec<&str> = std::iter::once(job_type.system.as_str())
            .chain(contexts.iter().copied())
            // Anthropic takes no empty block.
            .filter(|text| !text.is_empty())
            .collect();
        let tokens: u64 = texts.iter().map(|text| estimate_tokens(text)).sum();
        let opening = Opening {
            model: &job_type.model,
            max_tokens: job_type.max_tokens,
            system: texts
                .into_iter()
                .map(|text| Block { kind: "text", text })
                .collect(),
        };
        // Texts and a number: there is nothing in it that is no JSON.
        let mut bytes = serde_json::to_vec(&opening).unwrap_or_default();
        bytes.pop();
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let mark_at = bytes
            .strip_suffix(b"}]")
            .and_then(|before| u32::try_from(before.len()).ok());
        let prefix = mark_at
            .filter(|_| tokens >= minimum(&job_type.model))
            .map(|mark_at| Prefix {
                hash: hash(&bytes, job_type),
                mark_at,
                tokens,
            });
        Self { bytes, prefix }
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What is shared, if the model caches that much.
    pub fn prefix(&self) -> Option<Prefix> {
        self.prefix
    }
}

/// Of the opening, and of the schema that the answer has to fit: with another
/// one, Anthropic finds nothing.
fn hash(bytes: &[u8], job_type: &JobType) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
    if let Some(schema) = &job_type.output_schema {
        hash.update(schema.to_string());
    }
    hash.finalize().into()
}

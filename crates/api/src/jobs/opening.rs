//! What typed jobs begin with: the system prompt of their type and the context
//! documents that they name, read once for many jobs of one request.

use std::collections::HashMap;
use std::sync::Arc;

use offpeak_domain::id::ContextId;
use offpeak_domain::job_type::{Compiled, Head};
use offpeak_store::context;
use offpeak_wire::FieldError;

use crate::caller::Caller;
use crate::error::{Result, fault};

/// Contexts that one job names, at most.
const MAX_CONTEXTS: usize = 8;
/// Bytes of openings that are kept, more or less: the last one may exceed it.
const MAX_KEPT: usize = 16_000_000;

/// Openings with contexts that this request has met.
#[derive(Default)]
pub(super) struct Openings {
    kept: HashMap<(String, u32, Vec<ContextId>), Arc<Head>>,
    bytes: usize,
}

impl Openings {
    /// The opening of a job of this type that names these contexts, at least one.
    pub(super) async fn find(
        &mut self,
        caller: &Caller,
        (name, version, compiled): (&str, u32, &Compiled),
        names: &[String],
    ) -> Result<std::result::Result<Arc<Head>, Vec<FieldError>>> {
        let ids = match ids(names) {
            Ok(ids) => ids,
            Err(faults) => return Ok(Err(faults)),
        };
        let key = (name.to_owned(), version, ids);
        if let Some(found) = self.kept.get(&key) {
            return Ok(Ok(Arc::clone(found)));
        }
        let mut tx = caller.begin().await?;
        let texts = context::texts(&mut tx, &key.2).await?;
        tx.commit().await?;
        let texts = match texts {
            Ok(texts) => texts,
            Err(missing) => {
                let place = key.2.iter().position(|id| *id == missing).unwrap_or(0);
                return Ok(Err(vec![unknown(place)]));
            }
        };
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let head = Arc::new(compiled.head_with(&texts));
        self.bytes += head.len();
        if self.bytes > MAX_KEPT {
            self.kept.clear();
            self.bytes = head.len();
        }
        self.kept.insert(key, Arc::clone(&head));
        Ok(Ok(head))
    }
}

fn ids(names: &[String]) -> std::result::Result<Vec<ContextId>, Vec<FieldError>> {
    if names.len() > MAX_CONTEXTS {
        let message = format!("must be at most {MAX_CONTEXTS} contexts");
        return Err(vec![fault("/context", "too_many", message)]);
    }
    let (mut ids, mut faults) = (Vec::new(), Vec::new());
    for (place, name) in names.iter().enumerate() {
        match name.parse() {
            Ok(id) => ids.push(id),
            Err(_) => faults.push(unknown(place)),
        }
    }
    if faults.is_empty() {
        Ok(ids)
    } else {
        Err(faults)
    }
}

fn unknown(place: usize) -> FieldError {
    fault(
        format!("/context/{place}"),
        "unknown_context",
        "is not the id of a context; GET /v1/contexts lists them",
    )
}

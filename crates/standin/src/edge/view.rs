//! How batches are shown when a fault has them shown wrongly.

use offpeak_anthropic::shape::MessageBatch;
use serde_json::{Map, Value};

use crate::dice::Dice;
use crate::fault::rule::Fault;
use crate::record::Record;

use super::Drawn;

const COUNTS: [&str; 5] = ["processing", "succeeded", "errored", "canceled", "expired"];

impl Drawn {
    /// A batch as this call's faults have it shown.
    pub(crate) fn show(&self, batch: &MessageBatch, seed: u64) -> Value {
        let mut shown = serde_json::to_value(batch).unwrap_or_default();
        for fault in &*self.faults {
            match fault {
                Fault::Patch(change) => merge(&mut shown, change),
                Fault::Counts { add, wander } => {
                    let more = Dice::new(seed, &["wander", &self.draw, &batch.id])
                        .below(wander.saturating_add(1));
                    let more = add.saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
                    miscount(&mut shown["request_counts"], more);
                }
                Fault::ResultsHost { origin } => rehost(&mut shown["results_url"], origin),
                _ => {}
            }
        }
        shown
    }

    /// Whether lists of this call leave a batch out.
    pub(crate) fn hides(&self, record: &Record, age_ms: i128, seed: u64) -> bool {
        self.faults.iter().any(|fault| match fault {
            Fault::ListLag { ms } => age_ms < i128::from(*ms),
            Fault::ListMiss { chance } => {
                Dice::new(seed, &["miss", &self.draw, &record.id]).share() < *chance
            }
            _ => false,
        })
    }

    /// Whether pages of this call come in the wrong order.
    pub(crate) fn reverses(&self) -> bool {
        self.faults.contains(&Fault::ListReverse)
    }
}

fn merge(into: &mut Value, change: &Map<String, Value>) {
    for (field, value) in change {
        match (value, &mut into[field.as_str()]) {
            (Value::Object(inner), old @ Value::Object(_)) => merge(old, inner),
            (value, old) => *old = value.clone(),
        }
    }
}

/// Adds to the largest of the counts.
fn miscount(counts: &mut Value, more: i64) {
    let number = |field: &&str| counts[*field].as_i64().unwrap_or(0);
    if let Some(largest) = COUNTS.into_iter().rev().max_by_key(number) {
        counts[largest] = number(&largest).saturating_add(more).into();
    }
}

fn rehost(url: &mut Value, origin: &str) {
    let Some(path) = url.as_str().and_then(|url| url.splitn(4, '/').nth(3)) else {
        return;
    };
    *url = format!("{}/{path}", origin.trim_end_matches('/')).into();
}

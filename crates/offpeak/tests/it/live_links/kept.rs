//! What a client keeps of the frames.

use std::collections::BTreeMap;

use offpeak_wire::Counts;
use offpeak_wire::live::{Frame, LiveEvent};

/// What a client has kept over all its connections.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) cursor: Option<String>,
    pub(super) events: BTreeMap<u64, LiveEvent>,
    /// Numbers in the order in which they came first.
    pub(super) order: Vec<u64>,
    /// By id: `rev` and state.
    pub(super) rows: BTreeMap<String, (u64, String)>,
    pub(super) batches: BTreeMap<String, (u64, String)>,
    pub(super) counts: Option<Counts>,
    pub(super) resyncs: u64,
    /// What it watches.
    pub(super) watched: Vec<String>,
}

impl Kept {
    /// Takes a frame in. Gives the cursor to acknowledge.
    pub(super) fn take(&mut self, frame: Frame) -> Option<String> {
        match frame {
            Frame::Hello { cursor, .. } => {
                self.cursor.get_or_insert(cursor);
            }
            Frame::Events { cursor, events } => {
                for event in events {
                    if !self.events.contains_key(&event.n) {
                        self.order.push(event.n);
                    }
                    self.events.insert(event.n, event);
                }
                self.cursor = Some(cursor);
            }
            Frame::Rows {
                cursor,
                jobs,
                batches,
                ..
            } => {
                for row in jobs {
                    newer(&mut self.rows, row.id, row.rev, row.state);
                }
                for row in batches {
                    newer(&mut self.batches, row.id, row.rev, row.state);
                }
                self.cursor = Some(cursor.clone());
                return Some(cursor);
            }
            Frame::Counts { jobs, .. } => self.counts = jobs,
            Frame::Beat { cursor } => self.cursor = Some(cursor),
            Frame::Resync { cursor, .. } => {
                self.resyncs += 1;
                self.cursor = Some(cursor);
            }
            Frame::Bye { .. } => {}
        }
        None
    }
}

/// A row counts only above the one that is there.
fn newer(
    rows: &mut BTreeMap<String, (u64, String)>,
    id: String,
    rev: u64,
    state: impl serde::Serialize,
) {
    let state = serde_json::to_value(state).unwrap_or_default();
    let state = state.as_str().unwrap_or_default().to_owned();
    let row = rows.entry(id).or_default();
    if row.0 < rev {
        *row = (rev, state);
    }
}

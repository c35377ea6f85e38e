//! What happens, told at once: over WebSocket, as server-sent events, and to a
//! submit that waits for its result. `docs/live.md` is the contract.
//!
//! [`hub`] knows who follows which tenant; a [`tape`] holds the last pages of one
//! tenant's stream; [`follow`] turns what comes after a cursor into frames, of
//! which [`socket`] and [`sse`] know no more than how to send them. A connection
//! holds a cursor and no queue: what it has not taken stays on the tape, or in the
//! database.
//!
//! If the process dies here, clients reconnect with their cursors and miss nothing.

use std::time::Duration;

use axum::routing::get;
use offpeak_wire::live::Bye;
use rand::RngExt;

use crate::State;
use crate::routes::Routes;
use crate::state::rng;

mod few;
mod follow;
mod hub;
mod kept;
mod measured;
mod page;
mod places;
mod read;
mod screen;
mod share;
pub(crate) mod socket;
pub(crate) mod sse;
mod sums;
mod tape;
mod topics;
mod turns;
mod view;
mod wait;

pub use hub::{Hub, Options};
pub(crate) use places::Holder;
pub(crate) use wait::{Wait, Waited, Waiting};

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/live", get(socket::handle))
        .at("/events", get(sse::handle))
}

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// After how long a client that was sent away may come again: not all at once.
fn retry_ms(why: Bye) -> Option<u64> {
    match why {
        Bye::BadMessage | Bye::Unauthenticated | Bye::TicketScope => None,
        Bye::TooSlow | Bye::TooMany | Bye::Restarting => Some(rng().random_range(200..3_000)),
    }
}

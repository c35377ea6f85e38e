//! `GET /v1/events`: the frames of [`super::follow`] as server-sent events.

use std::convert::Infallible;
use std::ops::Range;

use axum::Extension;
use axum::body::Body;
use axum::extract::{ConnectInfo, State as Extract};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use offpeak_wire::Problem;
use offpeak_wire::live::{Bye, Frame, Mode};
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::follow::{Follow, Step};
use super::topics::{Refused, Topics};
use super::{LAST_WORDS, retry_ms};
use crate::State;
use crate::caller::{JobsRead, Reads};
use crate::error::{Code, Error, Result, fault};
use crate::line::Line;
use crate::query::Query;
use crate::state::rng;

/// Milliseconds after which a browser comes back by itself: not all at once.
const RETRY: Range<u32> = 500..3_000;

/// What happens, as server-sent events
///
/// The name of an event is its frame's `t`, its id is its cursor. A browser's
/// `EventSource` reconnects by itself and goes on after the last one.
#[utoipa::path(
    get, path = "/v1/events", tag = "live", operation_id = "events",
    params(
        ("topics" = String, Query, description = "One or several of `jobs`, `batches`, `usage`, `group:grp_…`, `user:LABEL`, separated by commas"),
        ("mode" = Option<Mode>, Query, description = "`events` unless said"),
        ("cursor" = Option<String>, Query, description = "Events after this one; from now on without"),
        ("last-event-id" = Option<String>, Header, description = "The same; goes before `cursor`"),
        ("ticket" = Option<String>, Query, description = "`ofp_ticket_…`, where no header can be set"),
    ),
    responses(
        (status = 200, description = "Each event holds a frame", body = Frame, content_type = "text/event-stream"),
        (status = 429, description = "Too many connections; `retry-after` says when to try again", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
    security(("api_key" = []), ("session" = []), ("ticket" = [])),
)]
pub(crate) async fn handle(
    Extract(state): Extract<State>,
    reader: Reads<JobsRead>,
    mut query: Query,
    headers: HeaderMap,
    line: Option<Extension<ConnectInfo<Line>>>,
) -> Result<Response> {
    let topics = query.text("topics").unwrap_or_default();
    let mode = query.parsed("mode", "events or view", |word| match word {
        "events" => Some(Mode::Events),
        "view" => Some(Mode::View),
        _ => None,
    });
    let cursor = query.text("cursor");
    query.read_before("ticket");
    let words = topics
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let topics = match Topics::parse(words, reader.extent()) {
        Ok(topics) if topics.is_empty() => {
            query.refuse(fault("topics", "missing", "must name at least one topic"));
            None
        }
        Ok(topics) => Some(topics),
        Err(Refused::Unknown(message)) => {
            query.refuse(fault("topics", "invalid_value", message));
            None
        }
        Err(Refused::Foreign) => None,
    };
    query.end()?;
    let topics = topics.ok_or_else(|| {
        Error::new(
            Code::TicketScope,
            "a ticket opens its own user's or group's jobs: ask for the topic jobs",
        )
    })?;
    let place = state
        .hub
        .place((reader.tenant(), reader.holder()), reader.limits(), "sse")?;
    let follower = state.hub.follow(reader.tenant(), Some(reader.credential()));
    // A client that comes back by itself still asks for where it began.
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty());
    let mode = mode.unwrap_or_default();
    let begun = Follow::begin(follower, mode, topics, last.or(cursor.as_deref())).await;
    let follow = begun.map_err(|why| match why {
        Bye::Unauthenticated => Error::new(Code::Unauthenticated, "what you came with is over"),
        _ => Error::new(
            Code::Unavailable,
            "events cannot be read at the moment; try again",
        ),
    })?;
    let (frames, taken) = mpsc::channel(1);
    let sending = Sending {
        follow,
        frames,
        line: line.map_or_else(Line::default, |Extension(ConnectInfo(line))| line),
    };
    state.hub.spawn(async move {
        sending.run().await;
        drop(place);
    });
    let body = stream::unfold(Some(taken), |taken| async {
        let mut taken: mpsc::Receiver<Given> = taken?;
        let given = taken.recv().await?;
        let goes_on = !given.is_last;
        Some((
            Ok::<Bytes, Infallible>(given.bytes),
            goes_on.then_some(taken),
        ))
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy in front would keep events back until they fill its buffer.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
        // Nothing else comes on it after the last words.
        (header::CONNECTION, HeaderValue::from_static("close")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// What the connection takes next.
struct Given {
    bytes: Bytes,
    is_last: bool,
}

/// Makes frames in a task of its own: the connection's own waits for the client, and
/// sees neither the time nor a revoked key while it does.
struct Sending {
    follow: Follow,
    frames: mpsc::Sender<Given>,
    line: Line,
}

impl Sending {
    async fn run(mut self) {
        // After how long a browser comes back that heard nothing of it.
        let retry = rng().random_range(RETRY);
        let first = Bytes::from(format!("retry: {retry}\n\n"));
        let why = match self.give(first).await {
            Ok(()) => self.until_over().await,
            Err(why) => why,
        };
        let Some(why) = why else {
            return;
        };
        if why == Bye::TooSlow {
            self.follow.count_slow();
        }
        let bytes = self.follow.bye(why, retry_ms(why)).sse;
        let Self {
            follow,
            frames,
            line,
        } = self;
        drop(follow);
        let last = Given {
            bytes,
            is_last: true,
        };
        let said = async {
            if frames.send(last).await.is_ok() {
                line.gone().await;
            }
        };
        if timeout(LAST_WORDS, said).await.is_err() {
            line.cut();
        }
    }

    /// Why it has to end; none when the client went away.
    async fn until_over(&mut self) -> Option<Bye> {
        loop {
            let step = tokio::select! {
                step = self.follow.next() => step,
                () = self.frames.closed() => return None,
            };
            let text = match step {
                Step::Frame(text) | Step::Beat(text) => text,
                Step::End(why) => return Some(why),
            };
            if let Err(why) = self.give(text.sse).await {
                return why;
            }
        }
    }

    /// Waits until the connection takes it, or gives why it ends first.
    async fn give(&mut self, bytes: Bytes) -> std::result::Result<(), Option<Bye>> {
        let within = self.follow.options().send_within;
        let room = tokio::select! {
            room = timeout(within, self.frames.reserve()) => room,
            why = self.follow.ends() => return Err(Some(why)),
        };
        match room {
            Ok(Ok(room)) => {
                room.send(Given {
                    bytes,
                    is_last: false,
                });
                Ok(())
            }
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(Bye::TooSlow)),
        }
    }
}

//! `GET /v1/events`: the frames of [`super::follow`] as server-sent events.

use std::convert::Infallible;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use offpeak_wire::Problem;
use offpeak_wire::live::{Bye, Frame, Mode};

use super::follow::{Follow, Step};
use super::hub::Place;
use super::retry_ms;
use super::topics::{Refused, Topics};
use crate::State;
use crate::caller::Reader;
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;

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
    reader: Reader,
    mut query: Query,
    headers: HeaderMap,
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
    let topics = match Topics::parse(words, reader.scope()) {
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
    let place = state.hub.place(reader.tenant(), "sse")?;
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
    let sending = Sending {
        follow,
        _place: place,
        given: None,
    };
    let body = stream::unfold(Some(Box::new(sending)), |sending| async move {
        let mut sending = sending?;
        let (bytes, goes_on) = sending.next().await;
        Some((Ok::<Bytes, Infallible>(bytes), goes_on.then_some(sending)))
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
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

struct Sending {
    follow: Follow,
    _place: Place,
    /// When the last frame was given to the connection.
    given: Option<Instant>,
}

impl Sending {
    /// What is sent next, and whether anything is to come after it.
    async fn next(&mut self) -> (Bytes, bool) {
        // It is asked for the next one when there is room for it.
        let within = self.follow.options().send_within;
        let slow = self.given.is_some_and(|given| given.elapsed() > within);
        let step = if slow {
            Step::End(Bye::TooSlow)
        } else {
            self.follow.next().await
        };
        match step {
            Step::Frame(text) | Step::Beat(text) => {
                self.given = Some(Instant::now());
                (text.sse, true)
            }
            Step::End(why) => {
                if why == Bye::TooSlow {
                    self.follow.count_slow();
                }
                (self.follow.bye(why, retry_ms(why)).sse, false)
            }
        }
    }
}

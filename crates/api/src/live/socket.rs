//! `GET /v1/live`: the frames of [`super::follow`] over a WebSocket.

use std::time::Duration;

use axum::extract::State as Extract;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use offpeak_store::credential::Credential;
use offpeak_wire::Problem;
use offpeak_wire::live::{Bye, Frame, Say};
use tokio::time::timeout;

use super::follow::{Follow, Step};
use super::hub::Hub;
use super::page::Text;
use super::retry_ms;
use super::topics::{Refused, Topics};
use crate::State;
use crate::caller::Reader;
use crate::error::{Code, Error, Result};
use crate::query::Query;

/// What both sides speak.
const PROTOCOL: &str = "offpeak.live.v1";
/// Bytes of a client's message, at most.
const MAX_MESSAGE: usize = 64 * 1024;
/// What a connection reads into, kept for as long as it lasts.
const READ_BUFFER: usize = 4 * 1024;
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Pings that a client may leave unanswered.
const UNANSWERED: u32 = 3;

/// What happens, over a WebSocket
///
/// With the subprotocol `offpeak.live.v1`. The client's first message is
/// `{"t":"hello","topics":["jobs"]}`; what else either side says, and the codes
/// with which it is closed, stand in the manual under Live.
#[utoipa::path(
    get, path = "/v1/live", tag = "live", operation_id = "live",
    params(
        ("ticket" = Option<String>, Query, description = "`ofp_ticket_…`, where no header can be set"),
        ("sec-websocket-protocol" = Option<String>, Header, description = "`offpeak.live.v1`, and a ticket as `offpeak.ticket.ofp_ticket_…`"),
    ),
    responses(
        (status = 101, description = "From here on each message is a frame", body = Frame),
        (status = 426, description = "Not a WebSocket", body = Problem, content_type = "application/problem+json"),
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
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    query.read_before("ticket");
    query.end()?;
    // A browser says from where a WebSocket comes, always.
    if matches!(reader.credential(), Credential::Session(_))
        && !headers.contains_key(header::ORIGIN)
    {
        return Err(Error::new(
            Code::OriginNotAllowed,
            "a session counts only on requests of this server's own pages, which send the header \
             `origin`; programs send an API key instead",
        ));
    }
    let upgrade = upgrade.map_err(|_| {
        Error::new(
            Code::NotWebSocket,
            "connect with a WebSocket client, or read the same from `GET /v1/events`",
        )
    })?;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        // Each frame is written at once, and the next one waits for that.
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() && upgrade.requested_protocols().next().is_some() {
        return Err(Error::new(
            Code::InvalidHeader,
            format!("sec-websocket-protocol must hold {PROTOCOL}, or not be sent at all"),
        ));
    }
    let hub = state.hub;
    let place = hub.place(reader.tenant(), "websocket")?;
    let token = hub.token();
    Ok(upgrade.on_upgrade(move |socket| {
        // In memory of its own: the frame around it is there twice.
        Box::pin(async move {
            Connection { socket, hub }.run(reader).await;
            drop((place, token));
        })
    }))
}

/// Why nothing more can be sent.
enum Unsent {
    /// There is nobody.
    Gone,
    /// The client did not take it in time.
    Slow,
}

struct Connection {
    socket: WebSocket,
    hub: Hub,
}

impl Connection {
    async fn run(mut self, reader: Reader) {
        let stop = self.hub.stop().clone();
        let within = self.hub.options().hello_within;
        let said = tokio::select! {
            () = stop.cancelled() => Err(Bye::Restarting),
            said = timeout(within, self.said()) => said.unwrap_or(Err(Bye::TooSlow)),
        };
        let begun = match said {
            Ok(Some(said)) => begin(&self.hub, &reader, said).await,
            Ok(None) => return,
            Err(why) => Err(why),
        };
        drop(reader);
        match begun {
            Ok(follow) => self.follow(follow).await,
            Err(why) => {
                let frame = Frame::Bye {
                    why,
                    cursor: None,
                    retry_ms: retry_ms(why),
                };
                self.leave(why, Text::of(&frame)).await;
            }
        }
    }

    async fn follow(mut self, mut follow: Follow) {
        let mut unanswered = 0;
        let why = loop {
            tokio::select! {
                step = follow.next() => {
                    let sent = match step {
                        Step::Frame(text) => self.send(Message::Text(text.json)).await,
                        Step::Beat(_) if unanswered >= UNANSWERED => Err(Unsent::Slow),
                        Step::Beat(text) => {
                            unanswered += 1;
                            self.beat(text).await
                        }
                        Step::End(why) => break why,
                    };
                    match sent {
                        Ok(()) => {}
                        Err(Unsent::Slow) => break Bye::TooSlow,
                        Err(Unsent::Gone) => return,
                    }
                }
                message = self.socket.recv() => {
                    unanswered = 0;
                    match read(message) {
                        Ok(None) => {}
                        Ok(Some(said)) => if let Err(why) = follow.say(said) {
                            break why;
                        },
                        Err(Unread::Gone) => return,
                        Err(Unread::TooLong) => {
                            self.refuse_length().await;
                            return;
                        }
                        Err(Unread::Bad) => break Bye::BadMessage,
                    }
                }
            }
        };
        if why == Bye::TooSlow {
            follow.count_slow();
        }
        let bye = follow.bye(why, retry_ms(why));
        drop(follow);
        self.leave(why, bye).await;
    }

    /// Says that nothing came, and asks whether the client is there: one that is
    /// gone without a word takes what is sent for a long time.
    async fn beat(&mut self, text: Text) -> std::result::Result<(), Unsent> {
        self.send(Message::Text(text.json)).await?;
        self.send(Message::Ping(Bytes::new())).await
    }

    /// The client's next message; none when it left.
    async fn said(&mut self) -> std::result::Result<Option<Say>, Bye> {
        loop {
            let message = self.socket.recv().await;
            match read(message) {
                Ok(None) => {}
                Ok(said) => return Ok(said),
                Err(Unread::Gone) => return Ok(None),
                Err(Unread::TooLong) => {
                    self.refuse_length().await;
                    return Ok(None);
                }
                Err(Unread::Bad) => return Err(Bye::BadMessage),
            }
        }
    }

    async fn send(&mut self, message: Message) -> std::result::Result<(), Unsent> {
        let within = self.hub.options().send_within;
        match timeout(within, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Unsent::Gone),
            Err(_) => Err(Unsent::Slow),
        }
    }

    /// Says why, and closes.
    async fn leave(mut self, why: Bye, bye: Text) {
        let (code, word) = match why {
            Bye::BadMessage => (close::BAD_MESSAGE, "bad_message"),
            Bye::Unauthenticated => (close::UNAUTHENTICATED, "unauthenticated"),
            Bye::OriginNotAllowed => (close::NOT_ALLOWED, "origin_not_allowed"),
            Bye::TooSlow => (close::TOO_SLOW, "too_slow"),
            Bye::TooMany => (close::TOO_MANY, "too_many"),
            Bye::Restarting => (close::RESTARTING, "restarting"),
        };
        let said = timeout(LAST_WORDS, self.socket.send(Message::Text(bye.json))).await;
        if matches!(said, Ok(Ok(()))) {
            self.close(code, word).await;
        }
    }

    /// The rest of a message that is too long is not read, so that the connection
    /// will be reset: not before the client had time to hear why.
    async fn refuse_length(&mut self) {
        self.close(close::TOO_LONG, "too_long").await;
        let stop = self.hub.stop().clone();
        let _ = timeout(LAST_WORDS, stop.cancelled()).await;
    }

    async fn close(&mut self, code: u16, word: &'static str) {
        let frame = CloseFrame {
            code,
            reason: word.into(),
        };
        // What the client still sends must be read: closing over it would reset the
        // connection, and the last words with it.
        let last = async {
            self.socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = self.socket.recv().await {}
            Ok::<(), axum::Error>(())
        };
        let _ = timeout(LAST_WORDS, last).await;
    }
}

async fn begin(hub: &Hub, reader: &Reader, said: Say) -> std::result::Result<Follow, Bye> {
    let Say::Hello {
        mode,
        topics,
        cursor,
    } = said
    else {
        return Err(Bye::BadMessage);
    };
    let topics = topics.iter().map(String::as_str);
    let topics = Topics::parse(topics, reader.scope()).map_err(|refused| match refused {
        Refused::Unknown(_) => Bye::BadMessage,
        Refused::Foreign => Bye::OriginNotAllowed,
    })?;
    let follower = hub.follow(reader.tenant(), Some(reader.credential()));
    Box::pin(Follow::begin(follower, mode, topics, cursor.as_deref())).await
}

/// What a message says; none of one that only shows that the client lives.
fn read(
    message: Option<std::result::Result<Message, axum::Error>>,
) -> std::result::Result<Option<Say>, Unread> {
    match message {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|_| Unread::Bad),
        Some(Ok(Message::Binary(_))) => Err(Unread::Bad),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        // The library below is another crate's: its words are all there is.
        Some(Err(error)) if error.to_string().contains("too long") => Err(Unread::TooLong),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Unread::Gone),
    }
}

/// Why a message says nothing.
enum Unread {
    /// The client left.
    Gone,
    /// It is no message of ours.
    Bad,
    /// It is too long to be read.
    TooLong,
}

/// Codes with which a WebSocket is closed.
mod close {
    pub(super) const TOO_LONG: u16 = 1009;
    pub(super) const RESTARTING: u16 = 1012;
    pub(super) const BAD_MESSAGE: u16 = 4400;
    pub(super) const UNAUTHENTICATED: u16 = 4401;
    pub(super) const NOT_ALLOWED: u16 = 4403;
    pub(super) const TOO_SLOW: u16 = 4408;
    pub(super) const TOO_MANY: u16 = 4429;
}

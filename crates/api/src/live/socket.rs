//! `GET /v1/live`: the frames of [`super::follow`] over a WebSocket.

use std::error::Error as _;

use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State as Extract};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;
use offpeak_store::credential::Credential;
use offpeak_wire::Problem;
use offpeak_wire::live::{Bye, Frame, Say};
use tokio::time::timeout;
use tungstenite::error::CapacityError;

use super::follow::{Follow, Step};
use super::hub::{Follower, Hub};
use super::page::Text;
use super::topics::{Refused, Topics};
use super::{LAST_WORDS, retry_ms};
use crate::State;
use crate::caller::{JobsRead, Reader, Reads};
use crate::error::{Code, Error, Result};
use crate::line::Line;
use crate::query::Query;

/// What both sides speak.
const PROTOCOL: &str = "offpeak.live.v1";
/// Bytes of a client's message, at most.
const MAX_MESSAGE: usize = 64 * 1024;
/// What a connection reads into, kept for as long as it lasts.
const READ_BUFFER: usize = 4 * 1024;
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
    reader: Reads<JobsRead>,
    mut query: Query,
    headers: HeaderMap,
    line: Option<Extension<ConnectInfo<Line>>>,
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
    let line = line.map_or_else(Line::default, |Extension(ConnectInfo(line))| line);
    let place = match hub.place(
        (reader.tenant(), reader.holder()),
        reader.limits(),
        "websocket",
    ) {
        Ok(place) => place,
        // A page sees no status of a refusal, only that there is no connection.
        Err(full) => {
            let told = upgrade.selected_protocol().and_then(|_| hub.turns_away());
            let told = told.ok_or(full)?;
            return Ok(upgrade.on_upgrade(move |socket| async move {
                let connection = Connection { socket, hub, line };
                connection
                    .leave(Bye::TooMany, Text::bye(Bye::TooMany))
                    .await;
                drop(told);
            }));
        }
    };
    // From here on it is known when the credential is over.
    let follower = hub.follow(reader.tenant(), Some(reader.credential()));
    let token = hub.token();
    Ok(upgrade.on_upgrade(move |socket| {
        // In memory of its own: the frame around it is there twice.
        Box::pin(async move {
            let connection = Connection { socket, hub, line };
            connection.run(reader.into_reader(), follower).await;
            drop((place, token));
        })
    }))
}

/// Why nothing more can be sent.
enum Unsent {
    /// There is nobody.
    Gone,
    /// The connection has to end first.
    Over(Bye),
}

struct Connection {
    socket: WebSocket,
    hub: Hub,
    line: Line,
}

impl Connection {
    async fn run(mut self, reader: Reader, mut follower: Follower) {
        let within = self.hub.options().hello_within;
        let said = tokio::select! {
            why = follower.ends() => Err(why),
            said = timeout(within, self.said()) => said.unwrap_or(Err(Bye::TooSlow)),
        };
        let begun = match said {
            Ok(Some(said)) => begin(follower, &reader, said).await,
            Ok(None) => return,
            Err(why) => Err(why),
        };
        drop(reader);
        match begun {
            Ok(follow) => self.follow(follow).await,
            Err(why) => self.leave(why, Text::bye(why)).await,
        }
    }

    async fn follow(mut self, mut follow: Follow) {
        let mut unanswered = 0;
        let why = loop {
            tokio::select! {
                step = follow.next() => {
                    let sent = match step {
                        Step::Frame(text) => self.send(&mut follow, Message::Text(text.json)).await,
                        Step::Beat(_) if unanswered >= UNANSWERED => {
                            Err(Unsent::Over(Bye::TooSlow))
                        }
                        Step::Beat(text) => {
                            unanswered += 1;
                            self.beat(&mut follow, text).await
                        }
                        Step::End(why) => break why,
                    };
                    match sent {
                        Ok(()) => {}
                        Err(Unsent::Over(why)) => break why,
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
    async fn beat(&mut self, follow: &mut Follow, text: Text) -> std::result::Result<(), Unsent> {
        self.send(follow, Message::Text(text.json)).await?;
        self.send(follow, Message::Ping(Bytes::new())).await
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

    async fn send(
        &mut self,
        follow: &mut Follow,
        message: Message,
    ) -> std::result::Result<(), Unsent> {
        let within = follow.options().send_within;
        let sent = tokio::select! {
            sent = timeout(within, self.socket.send(message)) => sent,
            // Whatever the client takes, or does not.
            why = follow.ends() => return Err(Unsent::Over(why)),
        };
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Unsent::Gone),
            Err(_) => Err(Unsent::Over(Bye::TooSlow)),
        }
    }

    /// Says why, and closes.
    async fn leave(mut self, why: Bye, bye: Text) {
        let (code, word) = match why {
            Bye::BadMessage => (close::BAD_MESSAGE, "bad_message"),
            Bye::Unauthenticated => (close::UNAUTHENTICATED, "unauthenticated"),
            Bye::TicketScope => (close::TICKET_SCOPE, "ticket_scope"),
            Bye::TooSlow => (close::TOO_SLOW, "too_slow"),
            Bye::TooMany => (close::TOO_MANY, "too_many"),
            Bye::Restarting => (close::RESTARTING, "restarting"),
        };
        let mut said = false;
        let last = async {
            if self.socket.send(Message::Text(bye.json)).await.is_ok() {
                self.close(code, word, &mut said).await;
            }
        };
        let _ = timeout(LAST_WORDS, last).await;
        if !said {
            // It takes nothing: what lies there for it is nobody's any more.
            self.line.cut();
        }
    }

    /// The rest of a message that is too long is not read, so that the connection
    /// will be reset: not before the client had time to hear why.
    async fn refuse_length(&mut self) {
        let mut said = false;
        let closing = self.close(close::TOO_LONG, "too_long", &mut said);
        let _ = timeout(LAST_WORDS, closing).await;
        let stop = self.hub.stop().clone();
        let _ = timeout(LAST_WORDS, stop.cancelled()).await;
    }

    async fn close(&mut self, code: u16, word: &'static str, said: &mut bool) {
        let frame = CloseFrame {
            code,
            reason: word.into(),
        };
        *said = self.socket.send(Message::Close(Some(frame))).await.is_ok();
        // What the client still sends must be read: closing over it would reset the
        // connection, and the last words with it.
        while *said && matches!(self.socket.recv().await, Some(Ok(_))) {}
    }
}

async fn begin(follower: Follower, reader: &Reader, said: Say) -> std::result::Result<Follow, Bye> {
    let Say::Hello {
        mode,
        topics,
        cursor,
    } = said
    else {
        return Err(Bye::BadMessage);
    };
    let topics = topics.iter().map(String::as_str);
    let topics = Topics::parse(topics, reader.extent()).map_err(|refused| match refused {
        Refused::Unknown(_) => Bye::BadMessage,
        Refused::Foreign => Bye::TicketScope,
    })?;
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
        Some(Err(error)) if is_too_long(&error) => Err(Unread::TooLong),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Unread::Gone),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    matches!(
        error.source().and_then(|source| source.downcast_ref()),
        Some(tungstenite::Error::Capacity(
            CapacityError::MessageTooLong { .. }
        ))
    )
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
    pub(super) const TICKET_SCOPE: u16 = 4403;
    pub(super) const TOO_SLOW: u16 = 4408;
    pub(super) const TOO_MANY: u16 = 4429;
}

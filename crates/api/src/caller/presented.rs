//! What a request's head presents: an API key, a ticket or a session's cookie.

use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::secret::{SessionSecret, TicketSecret};

use super::{cookie, refuse};
use crate::error::Result;

/// One secret, of which nothing but form and checksum is known.
#[derive(Debug)]
pub(super) enum Presented {
    Key(ApiKey),
    Ticket(TicketSecret),
    Session(SessionSecret),
}

/// What the head presents. The header `authorization` goes before the cookie,
/// which a browser sends unasked.
pub(super) fn presented(parts: &Parts) -> Result<Presented> {
    let mut given = parts.headers.get_all(header::AUTHORIZATION).iter();
    let once = "send the API key once, as `Authorization: Bearer ofp_live_…`";
    match (given.next(), given.next()) {
        (Some(value), None) => bearer(value),
        (Some(_), Some(_)) => Err(refuse(once)),
        (None, _) => cookie::read(&parts.headers, cookie::SESSION)?
            .map(Presented::Session)
            .ok_or_else(|| refuse(once)),
    }
}

fn bearer(value: &HeaderValue) -> Result<Presented> {
    let text = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, text)| text.trim())
        .ok_or_else(|| refuse("the header `authorization` is not `Bearer ofp_live_…`"))?;
    // The checksum spares the database a look-up for what cannot be a secret.
    if text.starts_with("ofp_ticket_") {
        return ticket(text).map(Presented::Ticket);
    }
    ApiKey::parse(text)
        .map(Presented::Key)
        .map_err(|error| refuse(error.to_string()))
}

/// Reads a ticket, wherever it stood.
pub(super) fn ticket(text: &str) -> Result<TicketSecret> {
    TicketSecret::parse(text).map_err(|error| refuse(error.to_string()))
}

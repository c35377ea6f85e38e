use std::ops::RangeInclusive;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use offpeak_domain::id::{GroupId, Minter, TicketId};
use offpeak_domain::secret::TicketSecret;
use offpeak_store::ticket::{self, Opens};
use offpeak_store::{TenantTx, group};
use offpeak_wire::{FieldError, Problem, Ticket, TicketRequest};

use crate::body::{Field, Json, parse, reads_as};
use crate::caller::{May, ResultsRead};
use crate::error::{Code, Error, Result, fault};
use crate::query::Query;
use crate::state::rng;
use crate::text::{self, MAX_LABEL};

/// Bytes of a request, at most.
const MAX_REQUEST: usize = 16 * 1024;
/// Seconds that a ticket may last.
const TTL: RangeInclusive<u32> = 10..=3600;
/// Seconds that it lasts unless said.
const DEFAULT_TTL: u32 = 600;

const FIELDS: &[Field] = &[
    Field {
        name: "user",
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    },
    Field {
        name: "group",
        expected: "a string",
        required: false,
        fits: reads_as::<Option<String>>,
    },
    Field {
        name: "ttl",
        expected: "a whole number of seconds from 10 to 3600",
        required: false,
        fits: reads_as::<Option<u32>>,
    },
];

/// A ticket for the browser of one of your users
///
/// Your server asks for it and hands it to the page. It opens the jobs of one user
/// or one group to read, and nothing else, until `ttl` seconds are over or the API
/// key that asked for it is revoked.
#[utoipa::path(
    post, path = "/v1/live/tickets", tag = "live", operation_id = "create_ticket",
    request_body = TicketRequest,
    responses(
        (status = 201, description = "The ticket; it is not shown again", body = Ticket),
        (status = 422, description = "Breaks a rule; `errors` says where", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<ResultsRead>,
    query: Query,
    Json(body): Json,
) -> Result<Response> {
    query.end()?;
    if body.len() > MAX_REQUEST {
        let detail = format!("the request for a ticket is at most {MAX_REQUEST} bytes");
        return Err(Error::new(Code::TooLarge, detail));
    }
    let request: TicketRequest = parse(&body, FIELDS).map_err(Error::input)?;
    let (opens, lifetime) = read(&request).map_err(Error::input)?;
    let key = caller.key().ok_or_else(|| {
        Error::new(
            Code::MissingScope,
            "a ticket is made with an API key, which it ends with: your own server asks for it, \
             not a page in which somebody is signed in",
        )
    })?;
    let secret = TicketSecret::generate(rng());

    let mut tx = caller.begin().await?;
    if let Opens::Group(id) = opens {
        expect_open(&mut tx, id).await?;
    }
    let id: TicketId = Minter::new(tx.now(), rng()).mint();
    let expires_at = ticket::create(&mut tx, id, key, &secret.digest(), &opens, lifetime).await?;
    tx.commit().await?;
    let shown = Ticket {
        ticket: secret.expose().to_owned(),
        user: request.user,
        group: request.group,
        expires_at,
    };
    Ok((StatusCode::CREATED, axum::Json(shown)).into_response())
}

/// What the ticket is to open, and for how long.
fn read(request: &TicketRequest) -> std::result::Result<(Opens, Duration), Vec<FieldError>> {
    let mut faults = Vec::new();
    let ttl = request.ttl.unwrap_or(DEFAULT_TTL);
    if !TTL.contains(&ttl) {
        let message = format!("must be from {} to {} seconds", TTL.start(), TTL.end());
        faults.push(fault("/ttl", "invalid_value", message));
    }
    match opens(request) {
        Ok(opens) if faults.is_empty() => Ok((opens, Duration::from_secs(ttl.into()))),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault);
            Err(faults)
        }
    }
}

fn opens(request: &TicketRequest) -> std::result::Result<Opens, FieldError> {
    match (&request.user, &request.group) {
        (Some(user), None) => {
            text::label("/user", user, MAX_LABEL)?;
            Ok(Opens::User(user.clone()))
        }
        (None, Some(group)) => group.parse().map(Opens::Group).map_err(|_| no_group()),
        (Some(_), Some(_)) => {
            let message = "stands beside `user`; a ticket is for one of them";
            Err(fault("/group", "conflicting_fields", message))
        }
        (None, None) => {
            let message = "is missing, and so is `group`; a ticket is for one of them";
            Err(fault("/user", "missing_field", message))
        }
    }
}

/// What is no id, what nobody has, what another tenant has and what is still being
/// uploaded answer alike.
fn no_group() -> FieldError {
    fault("/group", "unknown_group", "there is no group with this id")
}

async fn expect_open(tx: &mut TenantTx, id: GroupId) -> Result<()> {
    match group::get(tx, id).await? {
        Some(group) if group.opened_at.is_some() => Ok(()),
        _ => Err(Error::input(vec![no_group()])),
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use offpeak_wire::TicketRequest;

    fn faults(text: &str) -> Vec<String> {
        let request: TicketRequest = serde_json::from_str(text).unwrap();
        match read(&request) {
            Ok(_) => Vec::new(),
            Err(faults) => faults
                .into_iter()
                .map(|fault| format!("{} {}", fault.field, fault.code))
                .collect(),
        }
    }

    #[test]
    fn a_ticket_is_for_one_and_for_a_while() {
        for good in [
            r#"{"user":"u_42"}"#,
            r#"{"user":"u_42","group":null,"ttl":10}"#,
            r#"{"group":"grp_00000000000000000000000000","ttl":3600}"#,
        ] {
            assert_eq!(faults(good), [""; 0], "{good}");
        }
        for (bad, says) in [
            ("{}", "/user missing_field"),
            (
                r#"{"user":"a","group":"grp_00000000000000000000000000"}"#,
                "/group conflicting_fields",
            ),
            (r#"{"user":""}"#, "/user empty"),
            (r#"{"user":"a\u0000"}"#, "/user invalid_text"),
            (
                r#"{"group":"job_00000000000000000000000000"}"#,
                "/group unknown_group",
            ),
            (r#"{"user":"a","ttl":9}"#, "/ttl invalid_value"),
            (r#"{"user":"a","ttl":3601}"#, "/ttl invalid_value"),
        ] {
            assert_eq!(faults(bad), [says], "{bad}");
        }
        assert_eq!(
            faults(r#"{"ttl":0}"#),
            ["/ttl invalid_value", "/user missing_field"]
        );
    }
}

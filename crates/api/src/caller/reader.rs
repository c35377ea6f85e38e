//! Who may read jobs: all of a tenant's, or those that a ticket opens.

use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use offpeak_domain::id::{GroupId, TenantId};
use offpeak_domain::limits::Limits;
use offpeak_domain::secret::TicketSecret;
use offpeak_store::credential::Credential;
use offpeak_store::event::UserKey;
use offpeak_store::ticket::Opens;
use offpeak_store::{TenantTx, Tenants};

use super::presented::{self, Presented, presented};
use super::{Caller, May, Needs, refuse};
use crate::State;
use crate::cors::{Granted, origin_of};
use crate::error::{Code, Error, Result, fault};
use crate::live::Holder;
use crate::query::Query;

/// What a subprotocol begins with that is a ticket: the one header that a page
/// may set on a WebSocket.
const PROTOCOL: &str = "offpeak.ticket.";

/// Which jobs may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of the tenant's.
    Tenant,
    /// Those with this label of the app.
    User(String),
    /// Those of this group.
    Group(GroupId),
}

impl Extent {
    /// Whether a job with this label and group may be read.
    pub(crate) fn holds(&self, user: Option<&str>, group: Option<GroupId>) -> bool {
        match self {
            Self::Tenant => true,
            Self::User(label) => user == Some(label),
            Self::Group(id) => group == Some(*id),
        }
    }
}

/// Who may read the jobs of an extent.
///
/// A ticket comes in the header `authorization`, as `?ticket=`, or as a
/// subprotocol of a WebSocket. A request that names its origin is refused unless
/// the tenant listed it; [`crate::cors`] then lets the page see the answer.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    tenants: Tenants,
    tenant: TenantId,
    extent: Extent,
    credential: Credential,
    limits: Limits,
}

impl Reader {
    pub(crate) fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(crate) fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Its tenant's limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// By what the reader came in: for
    /// [`alive`](offpeak_store::credential::alive), where something stays open.
    pub(crate) fn credential(&self) -> Credential {
        self.credential
    }

    /// Whose live connections count together: one user's, however many tickets the
    /// tenant gives out for it.
    pub(crate) fn holder(&self) -> Holder {
        match (self.credential, &self.extent) {
            (Credential::Key(id), _) => Holder::Key(id),
            (Credential::Session(id), _) => Holder::Session(id),
            (Credential::Ticket(_), Extent::User(label)) => Holder::User(UserKey::of(label)),
            (Credential::Ticket(id), _) => Holder::Ticket(id),
        }
    }

    /// Whether it is a tenant's user, who is not shown what is the tenant's own:
    /// costs, usage, metadata and batches.
    pub(crate) fn is_guest(&self) -> bool {
        self.extent != Extent::Tenant
    }

    /// A transaction that sees the rows of this tenant and no others; what of them
    /// may be shown is told by [`Reader::extent`].
    pub(crate) async fn begin(&self) -> Result<TenantTx> {
        Ok(self.tenants.begin(self.tenant).await?)
    }

    async fn by_ticket(parts: &Parts, state: &State, ticket: &TicketSecret) -> Result<Self> {
        let origin = origin_of(&parts.headers);
        let asked = origin.and_then(|origin| origin.to_str().ok());
        let found = state.tenants.ticket(&ticket.digest(), asked).await?;
        // A page that was listed hears that its ticket is over; others hear nothing.
        if let Some(origin) = origin.filter(|_| found.as_ref().is_some_and(|it| it.listed)) {
            Granted::note(parts, origin);
        }
        let found = found.filter(|found| found.holds).ok_or_else(|| {
            refuse(
                "the ticket is over, or the API key that made it was revoked: ask your own server \
                 for a new one, which it gets from `POST /v1/live/tickets`",
            )
        })?;
        if parts.headers.contains_key(header::ORIGIN) && !found.listed {
            return Err(Error::new(
                Code::OriginNotAllowed,
                "tickets may not be used from this origin: list it with `PUT /v1/live/origins`",
            ));
        }
        // A tenant's users ask within its limits.
        let limits = state
            .allowance
            .request(&state.tenants, found.tenant)
            .await?;
        Ok(Self {
            limits,
            tenants: state.tenants.clone(),
            tenant: found.tenant,
            extent: match found.opens {
                Opens::User(label) => Extent::User(label),
                Opens::Group(id) => Extent::Group(id),
            },
            credential: Credential::Ticket(found.ticket),
        })
    }
}

impl From<Caller> for Reader {
    fn from(caller: Caller) -> Self {
        Self {
            credential: caller.credential(),
            limits: caller.limits,
            tenants: caller.tenants,
            tenant: caller.tenant,
            extent: Extent::Tenant,
        }
    }
}

/// A reader that may see what the type says. A ticket may see what it opens.
#[derive(Clone, Debug)]
pub(crate) struct Reads<N>(Reader, PhantomData<N>);

impl<N> Reads<N> {
    /// The reader, for what goes on after its handler.
    pub(crate) fn into_reader(self) -> Reader {
        self.0
    }
}

impl<N> Deref for Reads<N> {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.0
    }
}

impl<N: Needs> FromRequestParts<State> for Reads<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        Ok(Self(Reader::of::<N>(parts, state).await?, PhantomData))
    }
}

impl Reader {
    async fn of<N: Needs>(parts: &mut Parts, state: &State) -> Result<Self> {
        // A query that cannot be read is refused where it is read whole, after it
        // is known who asks.
        let in_query = Query::from_request_parts(parts, state)
            .await
            .ok()
            .and_then(|mut query| query.text("ticket"));
        let beside = in_query.or_else(|| in_protocols(&parts.headers));
        if let Some(text) = beside {
            if parts.headers.contains_key(header::AUTHORIZATION) {
                let message = "stands beside the header `authorization`; send one of them";
                return Err(Error::new(Code::InvalidQuery, format!("ticket {message}"))
                    .with(vec![fault("ticket", "conflicting_fields", message)]));
            }
            return Self::by_ticket(parts, state, &presented::ticket(&text)?).await;
        }
        match presented(parts)? {
            Presented::Ticket(ticket) => Self::by_ticket(parts, state, &ticket).await,
            Presented::Key(_) | Presented::Session(_) => {
                let caller = May::<N>::from_request_parts(parts, state).await?;
                Ok(caller.into_caller().into())
            }
        }
    }
}

/// The ticket among the subprotocols that a WebSocket offers.
fn in_protocols(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(PROTOCOL))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Extent, in_protocols};
    use axum::http::{HeaderMap, HeaderValue};
    use offpeak_domain::id::GroupId;
    use uuid::Uuid;

    #[test]
    fn an_extent_holds_its_own() {
        let group = |n| GroupId::from_uuid(Uuid::from_u128(n));
        assert!(Extent::Tenant.holds(None, None));
        let user = Extent::User("a".into());
        assert!(user.holds(Some("a"), Some(group(1))));
        assert!(!user.holds(Some("A"), None) && !user.holds(None, None));
        let of_group = Extent::Group(group(1));
        assert!(of_group.holds(None, Some(group(1))));
        assert!(!of_group.holds(Some("a"), Some(group(2))) && !of_group.holds(None, None));
    }

    #[test]
    fn a_ticket_may_be_a_subprotocol() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-websocket-protocol", HeaderValue::from_static(value));
            in_protocols(&headers)
        };
        assert_eq!(
            with("offpeak.live.v1, offpeak.ticket.ofp_ticket_x").as_deref(),
            Some("ofp_ticket_x")
        );
        assert_eq!(with("offpeak.live.v1"), None);
    }
}

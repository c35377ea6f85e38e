//! The tenant's people: who signs in without an API key.

use std::time::Duration;

use axum::routing::{delete, get};
use offpeak_domain::id::{LinkId, Minter, PersonId};
use offpeak_domain::origin::Origin;
use offpeak_domain::person::{MAX_NAME, is_name};
use offpeak_domain::scope::Role;
use offpeak_domain::secret::LinkSecret;
use offpeak_store::TenantTx;
use offpeak_store::person::{self, Link};
use offpeak_wire::Invited;

use crate::State;
use crate::body::{Field, reads_as};
use crate::error::{Error, Result, fault};
use crate::routes::Routes;
use crate::state::rng;
use crate::text;

pub(crate) mod invite;
pub(crate) mod list;
pub(crate) mod remove;

/// How long a link holds.
const LINK_HOLDS: Duration = Duration::from_hours(24);

pub(crate) const FIELDS: &[Field] = &[
    Field {
        name: "name",
        expected: "a string",
        required: true,
        fits: reads_as::<String>,
    },
    Field {
        name: "role",
        expected: "viewer, member or admin",
        required: true,
        fits: reads_as::<offpeak_wire::Role>,
    },
];

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/people", get(list::handle).post(invite::handle))
        .at("/people/{id}", delete(remove::handle))
}

/// Checks what somebody is to be called.
pub(crate) fn expect_name(name: &str) -> Result<()> {
    text::label("/name", name, MAX_NAME).map_err(|fault| Error::input(vec![fault]))?;
    if !is_name(name) {
        let message = "must be one line, without blanks at its ends";
        return Err(Error::input(vec![fault("/name", "invalid_text", message)]));
    }
    Ok(())
}

/// Somebody with a link to sign in by, within the transaction's tenant.
pub(crate) async fn invited(
    tx: &mut TenantTx,
    name: &str,
    role: Role,
    public: Option<&Origin>,
) -> Result<Invited> {
    let secret = LinkSecret::generate(rng());
    let mut minter = Minter::new(tx.now(), rng());
    let (new, id): (PersonId, LinkId) = (minter.mint(), minter.mint());
    let link = Link {
        id,
        digest: &secret.digest(),
        lifetime: LINK_HOLDS,
    };
    let (id, expires_at) = person::invite_own(tx, (new, name), role, &link).await?;
    let origin = public.map_or("", |origin| origin.as_str());
    Ok(Invited {
        id: id.to_string(),
        link: format!("{origin}/sign-in#{}", secret.expose()),
        expires_at,
    })
}

//! How many connections there may be: in the process, of a tenant, and of whoever
//! holds one credential.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use offpeak_domain::id::{KeyId, SessionId, TenantId, TicketId};
use offpeak_domain::limits::{Limit, Limits};
use offpeak_store::event::UserKey;

use super::hub::{Hub, Options};
use super::measured::Connected;
use super::tape::lock;
use crate::error::{Code, Error, Result};

/// Whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Programs with this key.
    Key(KeyId),
    /// The pages of whoever signed in.
    Session(SessionId),
    /// The pages of one user of the tenant, whatever tickets they came by.
    User(UserKey),
    /// The pages that share a group's ticket.
    Ticket(TicketId),
}

impl Holder {
    fn most(self, options: &Options) -> usize {
        match self {
            Self::Key(_) => options.max_connections_per_key,
            Self::Session(_) => options.max_connections_per_session,
            Self::User(_) | Self::Ticket(_) => options.max_connections_per_ticket,
        }
    }

    /// The setting that says how many.
    fn limit(self) -> &'static str {
        match self {
            Self::Key(_) => "max_connections_per_key",
            Self::Session(_) => "max_connections_per_session",
            Self::User(_) | Self::Ticket(_) => "max_connections_per_ticket",
        }
    }

    /// In words.
    fn of(self) -> &'static str {
        match self {
            Self::Key(_) => "the API key",
            Self::Session(_) => "the session",
            Self::User(_) | Self::Ticket(_) => "the ticket's holder",
        }
    }
}

/// After which time somebody may have left.
const SOON: Duration = Duration::from_secs(10);

/// Those that are taken.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    tenants: HashMap<TenantId, usize>,
    holders: HashMap<(TenantId, Holder), usize>,
}

/// Room that one connection takes.
#[derive(Debug)]
pub(crate) struct Place {
    hub: Hub,
    tenant: TenantId,
    holder: Holder,
    kind: &'static str,
}

impl Places {
    /// Room for one more connection.
    pub(super) fn take(
        &self,
        hub: &Hub,
        (tenant, holder): (TenantId, Holder),
        limits: &Limits,
        kind: &'static str,
    ) -> Result<Place> {
        let options = hub.options();
        let mut taken = lock(&self.0);
        let own = taken.holders.get(&(tenant, holder)).copied();
        let of_tenant = limits.get(Limit::LiveConnections);
        let its = taken.tenants.get(&tenant).copied().unwrap_or(0) as u64;
        let full = if own.unwrap_or(0) >= holder.most(options) {
            Some((holder.of(), holder.limit(), holder.most(options) as u64))
        } else if of_tenant > 0 && its >= of_tenant {
            Some(("the tenant", Limit::LiveConnections.as_str(), of_tenant))
        } else if taken.all >= options.max_connections {
            let most = options.max_connections as u64;
            Some(("this process", "max_connections", most))
        } else {
            None
        };
        if let Some((whose, limit, value)) = full {
            let detail = format!(
                "{whose} has as many live connections as one may have, which is {value} ({limit}); \
                 close some, or try again later"
            );
            let full = Error::new(Code::TooManyConnections, detail);
            return Err(full.of_limit(limit, value, SOON));
        }
        taken.all += 1;
        *taken.tenants.entry(tenant).or_default() += 1;
        *taken.holders.entry((tenant, holder)).or_default() += 1;
        let connections = &hub.measured().connections;
        connections.get_or_create(&Connected { kind }).inc();
        Ok(Place {
            hub: hub.clone(),
            tenant,
            holder,
            kind,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self {
            hub,
            tenant,
            holder,
            kind,
        } = self;
        let mut taken = lock(&hub.places().0);
        taken.all = taken.all.saturating_sub(1);
        give_back(&mut taken.tenants, tenant);
        give_back(&mut taken.holders, &(*tenant, *holder));
        let connections = &hub.measured().connections;
        connections.get_or_create(&Connected { kind }).dec();
    }
}

fn give_back<K: Eq + Hash>(taken: &mut HashMap<K, usize>, of: &K) {
    if let Some(count) = taken.get_mut(of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            taken.remove(of);
        }
    }
}

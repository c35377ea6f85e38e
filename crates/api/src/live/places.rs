//! How many connections there may be: in the process, of a tenant, and of whoever
//! holds one credential.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use offpeak_domain::id::{KeyId, SessionId, TenantId, TicketId};
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
}

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
        kind: &'static str,
    ) -> Result<Place> {
        let options = hub.options();
        let mut taken = lock(&self.0);
        let own = taken.holders.get(&(tenant, holder)).copied();
        let full = if own.unwrap_or(0) >= holder.most(options) {
            Some(match holder {
                Holder::Key(_) => "the API key has as many live connections as one may have",
                Holder::Session(_) => "the session has as many live connections as one may have",
                Holder::User(_) | Holder::Ticket(_) => {
                    "the ticket's holder has as many live connections as one may have"
                }
            })
        } else if taken.tenants.get(&tenant).copied().unwrap_or(0)
            >= options.max_connections_per_tenant
        {
            Some("the tenant has as many live connections as one may have")
        } else if taken.all >= options.max_connections {
            Some("this process has as many live connections as it may have")
        } else {
            None
        };
        if let Some(full) = full {
            let detail = format!("{full}; close some, or try again later");
            return Err(Error::new(Code::TooManyConnections, detail));
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

//! The audit log: who did what, in a chain of hashes for each tenant.
//!
//! An entry's hash covers the hash before it, so that no entry can be changed, taken
//! out or put in between without every later hash being another one. What is cut off at
//! the end shows only to whoever wrote the last hash down elsewhere.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::id::TenantId;
use crate::label::labels;

labels! {
    /// What was done.
    pub enum Action as "action", as_str {
        /// An API key was made.
        KeyCreate = "key.create",
        /// An API key was replaced.
        KeyRotate = "key.rotate",
        /// An API key was revoked.
        KeyRevoke = "key.revoke",
        /// Somebody was invited, or given another role.
        PersonInvite = "person.invite",
        /// Somebody was removed.
        PersonRemove = "person.remove",
        /// Somebody signed in by a link, or by an identity server.
        PersonSignIn = "person.sign_in",
        /// A budget was set.
        BudgetSet = "budget.set",
        /// A budget was removed.
        BudgetRemove = "budget.remove",
        /// The pages were listed on which tickets may be used.
        OriginsReplace = "origins.replace",
        /// A tenant's own Anthropic key was set.
        UpstreamSet = "upstream.set",
        /// It was removed.
        UpstreamRemove = "upstream.remove",
        /// It was said where a tenant's jobs go without it.
        UpstreamFallback = "upstream.fallback",
        /// Jobs were canceled.
        JobsCancel = "jobs.cancel",
        /// A group was canceled.
        GroupCancel = "group.cancel",
        /// Jobs that match a filter are being canceled or retried.
        OperationBegin = "operation.begin",
        /// How long things are kept was changed.
        RetentionSet = "retention.set",
        /// An operator looked at the tenant's content.
        OperatorLook = "operator.look",
        /// A tenant was made.
        TenantCreate = "tenant.create",
        /// A tenant got another weight.
        TenantWeight = "tenant.weight",
        /// A tenant is being erased.
        TenantErase = "tenant.erase",
        /// What the own upstream of one that is erased holds is left there.
        TenantLeave = "tenant.leave",
        /// Everything that a tenant has was read out.
        TenantExport = "tenant.export",
        /// A tenant got other limits.
        TenantLimits = "tenant.limits",
        /// An incident was resolved.
        IncidentResolve = "incident.resolve",
    }
}

labels! {
    /// What did it.
    pub enum ActorKind as "kind of actor", as_str {
        /// An API key.
        Key = "key",
        /// A person of the tenant.
        Person = "person",
        /// An operator.
        Operator = "operator",
        /// The operator's command, on the machine itself.
        Command = "command",
    }
}

/// One entry of a tenant's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose chain.
    pub tenant: TenantId,
    /// From 1, without a gap.
    pub seq: i64,
    /// When, to the microsecond.
    pub at: OffsetDateTime,
    /// What did it.
    pub actor: ActorKind,
    /// Its id, if it has one.
    pub actor_id: String,
    /// Its hint or name, as it was.
    pub actor_name: String,
    /// What was done: a word of [`Action`], or one of a newer version.
    pub action: String,
    /// To what: an id mostly.
    pub target: String,
    /// More, in words; no content.
    pub detail: String,
    /// From where; empty where that is not known.
    pub address: String,
    /// The request's id; empty for a command.
    pub request: String,
}

/// A hash as it is shown and written down.
#[must_use]
pub fn hex(hash: &[u8; 32]) -> String {
    hash.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Into text, which never fails.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The hash before the first entry.
pub const BEGINNING: [u8; 32] = [0; 32];

impl Entry {
    /// Its hash, after the one before: SHA-256 of a version, that hash, and each field
    /// with its length before it.
    #[must_use]
    pub fn hash(&self, before: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"offpeak.audit.1");
        hash.update(before);
        hash.update(self.tenant.as_uuid().as_bytes());
        hash.update(self.seq.to_be_bytes());
        hash.update((self.at.unix_timestamp_nanos() / 1_000).to_be_bytes());
        let texts = [
            self.actor.as_str(),
            &self.actor_id,
            &self.actor_name,
            &self.action,
            &self.target,
            &self.detail,
            &self.address,
            &self.request,
        ];
        for text in texts {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{ActorKind, BEGINNING, Entry, hex};
    use crate::id::TenantId;
    use std::collections::HashSet;
    use time::macros::datetime;
    use uuid::Uuid;

    fn entry() -> Entry {
        let text = str::to_owned;
        Entry {
            tenant: TenantId::from_uuid(Uuid::from_u128(1)),
            seq: 1,
            at: datetime!(2026-11-28 09:30:00.123456 UTC),
            actor: ActorKind::Key,
            actor_id: text("key_1"),
            actor_name: text("ofp_live_…x7k2"),
            action: text("key.create"),
            target: text("key_2"),
            detail: String::new(),
            address: text("192.0.2.7"),
            request: text("req_1"),
        }
    }

    /// It stands in databases: another encoding would break every chain.
    #[test]
    fn the_hash_of_an_entry_stays_what_it_is() {
        insta::assert_snapshot!(hex(&entry().hash(&BEGINNING)), @"8667fbae192fbfea15824cd4bfbe0869de3081cb7e81a0a259091619986187e3");
    }

    #[test]
    fn every_field_is_in_the_hash_and_none_flows_into_the_next() {
        let change: [fn(&mut Entry); 12] = [
            |_| {},
            |e| e.tenant = TenantId::from_uuid(Uuid::from_u128(2)),
            |e| e.seq = 2,
            |e| e.at += time::Duration::MICROSECOND,
            |e| e.actor = ActorKind::Person,
            |e| e.actor_id.push('x'),
            |e| e.actor_name.insert(0, 'x'),
            |e| e.action.push('x'),
            |e| e.target.push('x'),
            |e| e.detail.push('x'),
            |e| e.address.push('x'),
            |e| e.request.push('x'),
        ];
        let mut seen = HashSet::new();
        for change in change {
            let mut changed = entry();
            change(&mut changed);
            assert!(seen.insert(changed.hash(&BEGINNING)));
        }
        assert!(seen.insert(entry().hash(&[1; 32])));
        let mut shifted = entry();
        shifted.target = "key_".to_owned();
        shifted.detail = "2".to_owned();
        assert!(seen.insert(shifted.hash(&BEGINNING)));
    }
}

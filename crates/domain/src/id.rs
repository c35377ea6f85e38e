//! Ids: a prefix that says what it names, and 128 bits.
//!
//! Text is `job_` and 26 characters of lowercase Crockford base32, in one
//! spelling only, so that equal ids are equal texts and sort alike. The bits
//! are a `UUIDv7`: rows hold them as `uuid`, and the first 48 are the time at
//! which the id was minted, by which tables are partitioned.

mod base32;
mod custom;
mod minter;

pub use custom::CustomId;
pub use minter::{Minted, Minter};

/// A text that is not the id it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct Malformed {
    expected: &'static str,
}

macro_rules! ids {
    ($( $(#[$meta:meta])* $name:ident = $prefix:literal; )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// What its text begins with, including the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A regular expression for the whole of its text.
            pub const PATTERN: &'static str =
                concat!("^", $prefix, "[0-7][0-9a-hjkmnp-tv-z]{25}$");

            /// The id with these bits.
            pub const fn from_uuid(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }

            /// Its bits, as rows hold them.
            pub const fn as_uuid(self) -> uuid::Uuid {
                self.0
            }

            /// When it was minted, to the millisecond (its first 48 bits).
            pub fn minted_at(self) -> time::OffsetDateTime {
                $crate::id::minter::time_of(self.0)
            }

            /// Not after any id that was minted at `at` or later, and after each that
            /// was minted in a millisecond before.
            pub fn first_at(at: time::OffsetDateTime) -> Self {
                Self($crate::id::minter::first_of(at))
            }
        }

        impl $crate::id::Minted for $name {
            fn from_uuid(uuid: uuid::Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($prefix)?;
                f.write_str($crate::id::base32::encode(self.0).as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::Malformed;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix)
                    .and_then($crate::id::base32::decode)
                    .map(Self)
                    .ok_or($crate::id::Malformed {
                        expected: concat!(
                            $prefix, " and 26 characters of 0-9 and a-z without i, l, o, u"
                        ),
                    })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+

    /// What the text of each kind of id begins with, and its regular expression.
    pub const KINDS: &[(&str, &str)] = &[$( ($name::PREFIX, $name::PATTERN), )+];
    };
}

ids! {
    /// A tenant: one customer of the deployment.
    TenantId = "ten_";
    /// An API key of a tenant (its name, not its secret).
    KeyId = "key_";
    /// One request of a tenant.
    JobId = "job_";
    /// Our grouping of jobs, and the intent to send it.
    BatchId = "bat_";
    /// Jobs that were submitted together.
    GroupId = "grp_";
    /// An Anthropic credential with its limits.
    UpstreamId = "ups_";
    /// What may share a batch: upstream, tenant, model, headers and prefix.
    BucketId = "bkt_";
    /// A browser that somebody signed in with an API key (not its secret).
    SessionId = "ses_";
    /// What opens one user's or one group's jobs to read (not its secret).
    TicketId = "tkt_";
    /// A document that many jobs share.
    ContextId = "ctx_";
    /// Something that the operator has to know.
    IncidentId = "inc_";
    /// What a tenant may spend on something in a day or a month.
    BudgetId = "bgt_";
    /// Somebody who signs in without a key.
    PersonId = "per_";
    /// A link that signs a person in, once.
    LinkId = "lnk_";
    /// What is done with every job that a filter finds.
    OperationId = "op_";
}

#[cfg(test)]
mod tests {
    use super::{JobId, Malformed, TenantId};
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn text_forms() {
        let least = JobId::from_uuid(Uuid::nil());
        let greatest = JobId::from_uuid(Uuid::max());
        insta::assert_snapshot!(format!("{least}\n{greatest:?}"), @r"
        job_00000000000000000000000000
        job_7zzzzzzzzzzzzzzzzzzzzzzzzz
        ");
    }

    #[test]
    fn a_text_that_is_no_id_says_what_was_expected() {
        let good = "job_00000000000000000000000000";
        assert!(good.parse::<JobId>().is_ok());
        for bad in [
            "",
            "job_",
            "00000000000000000000000000",
            "ten_00000000000000000000000000",
            "job_0000000000000000000000000",
            "job_000000000000000000000000000",
            "job_8zzzzzzzzzzzzzzzzzzzzzzzzz", // 129 bits
            "job_0000000000000000000000000u",
            "job_0000000000000000000000000A", // one spelling only
            "job_000000000000000000000000é",
            "JOB_00000000000000000000000000",
        ] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
        let err: Malformed = good.parse::<TenantId>().unwrap_err();
        insta::assert_snapshot!(err, @"expected ten_ and 26 characters of 0-9 and a-z without i, l, o, u");
    }

    #[test]
    fn each_kind_is_told_by_its_prefix() {
        let mut prefixes: Vec<_> = super::KINDS.iter().map(|(prefix, _)| *prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        assert_eq!(prefixes.len(), super::KINDS.len());
        insta::assert_snapshot!(JobId::PATTERN, @"^job_[0-7][0-9a-hjkmnp-tv-z]{25}$");
    }

    #[test]
    fn json_is_the_text() {
        let id = JobId::from_uuid(Uuid::from_u128(77));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<JobId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<TenantId>(&json).is_err());
    }

    proptest! {
        #[test]
        fn text_reads_back_and_sorts_alike(a in any::<u128>(), b in any::<u128>()) {
            let (a, b) = (JobId::from_uuid(Uuid::from_u128(a)), JobId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.to_string().parse::<JobId>(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}

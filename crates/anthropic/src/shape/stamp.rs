//! Time on the wire: RFC 3339 with microseconds and `Z`. Read leniently, written
//! as the API writes it.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

pub(super) fn serialize<S: Serializer>(at: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
    let text = at
        .to_offset(UtcOffset::UTC)
        .format(format)
        .map_err(S::Error::custom)?;
    to.serialize_str(&text)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(from)?;
    OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)
}

/// The same for a nullable time.
pub(super) mod option {
    use super::{Deserialize, Deserializer, OffsetDateTime, Serializer};

    #[expect(
        clippy::ref_option,
        reason = "the signature that serde's `with` asks for"
    )]
    pub(in crate::shape) fn serialize<S: Serializer>(
        at: &Option<OffsetDateTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, to),
            None => to.serialize_none(),
        }
    }

    pub(in crate::shape) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<OffsetDateTime>, D::Error> {
        #[derive(Deserialize)]
        struct Present(#[serde(with = "super")] OffsetDateTime);
        Ok(Option::<Present>::deserialize(from)?.map(|Present(at)| at))
    }
}

//! Virtual time: milliseconds since the run began.

use time::macros::datetime;
use time::{Duration, OffsetDateTime};

pub(crate) type Ms = u64;

pub(crate) const SECOND: Ms = 1_000;
pub(crate) const MINUTE: Ms = 60 * SECOND;

const BEGIN: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

pub(crate) fn at(ms: Ms) -> OffsetDateTime {
    BEGIN + Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX))
}

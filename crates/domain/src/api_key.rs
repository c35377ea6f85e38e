//! API keys: secrets that open all that is a tenant's.

use crate::secret::{OfTenant, Secret};

/// An API key in clear, `ofp_live_…`.
pub type ApiKey = Secret<OfTenant>;

//! Job types: versioned prompt templates.

use axum::routing::get;
use offpeak_domain::job::OnUnknown;
use offpeak_domain::job_type::JobType as Definition;
use offpeak_store::job_type::Stored;
use offpeak_wire::JobType;

use crate::State;
use crate::error::{Error, Result};
use crate::routes::Routes;

mod catalog;
pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod versions;

pub(crate) use catalog::Catalog;

pub(crate) fn routes() -> Routes<State> {
    Routes::new()
        .at("/job-types", get(list::handle).post(create::handle))
        .at("/job-types/{name}", get(get::handle))
        .at("/job-types/{name}/versions", get(versions::handle))
}

/// A stored job type as clients see it.
pub(crate) fn view(stored: &Stored) -> Result<JobType> {
    let definition: Definition =
        serde_json::from_str(&stored.definition).map_err(|error| Error::internal(&error))?;
    Ok(JobType {
        name: definition.name,
        version: stored.version,
        shipped: stored.shipped,
        description: definition.description,
        model: definition.model,
        max_tokens: definition.max_tokens,
        system: definition.system,
        template: definition.template,
        input_schema: definition.input_schema,
        output_schema: definition.output_schema,
        deliver_within: definition.deliver_within,
        on_late: definition.on_late.map(crate::jobs::on_late),
        on_unknown: definition.on_unknown.map(|policy| match policy {
            OnUnknown::Fail => offpeak_wire::OnUnknown::Fail,
            OnUnknown::Retry => offpeak_wire::OnUnknown::Retry,
        }),
        reuse_for: definition.reuse_for,
        coalesce: definition.coalesce,
        created_at: stored.created_at,
    })
}

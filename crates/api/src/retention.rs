//! How long a tenant's inputs and results are kept.

use axum::routing::get;
use offpeak_domain::retention::Days;
use offpeak_store::retention;
use offpeak_wire::Retention;

use crate::State;
use crate::routes::Routes;

pub(crate) mod get;
pub(crate) mod set;

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/retention", get(get::handle).put(set::handle))
}

/// What holds for a tenant, of what it has said and what the deployment has.
fn holds(own: &retention::Retention, of_deployment: Days) -> Days {
    Days {
        inputs: own.inputs_days.unwrap_or(of_deployment.inputs),
        results: own.results_days.unwrap_or(of_deployment.results),
    }
}

/// The same as clients see it.
pub(crate) fn view(own: &retention::Retention, of_deployment: Days) -> Retention {
    let days = holds(own, of_deployment);
    Retention {
        // The deployment may have come to keep results for less than the tenant's inputs.
        inputs_days: days.inputs.min(days.results),
        results_days: days.results,
        own_inputs: own.inputs_days.is_some(),
        own_results: own.results_days.is_some(),
        delete_upstream: own.delete_upstream,
        changed_at: own.changed_at,
    }
}

//! The `OpenAPI` document, built from the handlers.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{Modify, OpenApi};

use crate::{
    State, batches, budgets, contexts, groups, health, job_types, jobs, keys, live, me, metrics,
    origins, overview, session, tickets, usage,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "offpeak",
        description = "Patient Claude work at the batch price. Every answer carries \
                       `x-request-id`; every answer from 400 on is a problem as in RFC 9457, with \
                       a stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        jobs::submit::handle, jobs::list::handle, jobs::bulk::handle, jobs::get::handle,
        jobs::result::handle, jobs::attempts::handle, jobs::request::handle,
        jobs::cancel::handle, jobs::retry::handle,
        jobs::estimate::handle, jobs::many::cancel::handle, jobs::many::retry::handle,
        groups::list::handle, groups::get::handle, groups::results::handle,
        groups::cancel::handle, groups::retry::handle,
        job_types::list::handle, job_types::create::handle, job_types::get::handle,
        job_types::versions::handle,
        contexts::list::handle, contexts::create::handle, contexts::get::handle,
        contexts::delete::handle,
        batches::list::handle, batches::get::handle,
        overview::handle, usage::handle, me::handle,
        budgets::list::handle, budgets::set::handle, budgets::remove::handle,
        keys::list::handle, keys::create::handle, keys::revoke::handle,
        session::begin::handle, session::get::handle, session::end::handle,
        live::socket::handle, live::sse::handle, tickets::create::handle, origins::list::handle, origins::replace::handle,
        health::healthz, health::readyz, metrics::handle,
    ),
    // No operation takes them: a WebSocket carries them.
    components(schemas(offpeak_wire::live::Say, offpeak_wire::live::Mode)),
    tags(
        (name = "jobs", description = "One request of yours each"),
        (name = "groups", description = "Jobs that were submitted together"),
        (name = "job types", description = "Versioned prompt templates"),
        (name = "contexts", description = "Documents that many jobs share"),
        (name = "batches", description = "What goes to Anthropic together"),
        (name = "overview", description = "Everything at a glance"),
        (name = "usage", description = "Tokens and money"),
        (name = "budgets", description = "What may be spent, in all, by user and by job type"),
        (name = "live", description = "What happens, at once; also for the browsers of your own users"),
        (name = "keys", description = "What opens all that is a tenant's"),
        (name = "me", description = "Who is calling"),
        (name = "operation", description = "For the operator; without a key"),
    ),
    security(("api_key" = []), ("session" = [])),
    modifiers(&Credentials, &Pages),
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = |format: &str, says: &str| {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format(format)
                .description(Some(says))
                .build();
            SecurityScheme::Http(scheme)
        };
        let says = "Set by `POST /v1/session`; counts on requests of this server's own pages";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description("offpeak_session", says));
        let all = document.components.get_or_insert_default();
        all.add_security_scheme("api_key", bearer("ofp_live_…", "An API key of a tenant"));
        all.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
        let says = "Opens one user's or one group's jobs to read: `POST /v1/live/tickets`";
        all.add_security_scheme("ticket", bearer("ofp_ticket_…", says));
    }
}

/// A page names the schema of its rows instead of repeating it.
struct Pages;

impl Modify for Pages {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let schemas = document
            .components
            .iter_mut()
            .flat_map(|all| all.schemas.iter_mut());
        for (name, schema) in schemas {
            if let (Some(row), RefOr::T(Schema::Object(page))) =
                (name.strip_prefix("Page_"), schema)
                && let Some(RefOr::T(Schema::Array(rows))) = page.properties.get_mut("data")
            {
                rows.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(row).into()));
            }
        }
    }
}

/// The description of every route of [`crate::router`].
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/openapi.json", get(handle))
}

async fn handle() -> ([(header::HeaderName, &'static str); 1], String) {
    let text = openapi().to_pretty_json().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text)
}

#[cfg(test)]
mod tests {
    use super::openapi;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn references(value: &Value, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                all.extend(
                    members
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                members.values().for_each(|value| references(value, all));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, all)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut all = BTreeSet::new();
        references(&document, &mut all);
        assert!(all.len() > 20, "{all:?}");
        for reference in all {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_operation_says_what_it_does_and_how_it_fails() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                assert!(operation["summary"].is_string(), "{path}");
                assert!(names.insert(operation["operationId"].to_string()), "{path}");
                assert!(
                    !path.starts_with("/v1/") || operation["responses"]["default"].is_object(),
                    "{path}"
                );
            }
        }
        let page = &document["components"]["schemas"]["Page_Job"]["properties"];
        assert_eq!(page["data"]["items"]["$ref"], "#/components/schemas/Job");
    }
}

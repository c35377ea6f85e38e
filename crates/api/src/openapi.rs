//! The `OpenAPI` document, built from the handlers.

mod ids;

use std::sync::LazyLock;

use axum::http::header;
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{Modify, OpenApi};

use crate::routes::Routes;
use crate::{
    State, audit, batches, budgets, contexts, export, groups, health, job_types, jobs, keys,
    limits, live, me, operations, operator, origins, overview, own_upstream, people, retention,
    session, tickets, usage,
};
use ids::Ids;

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
        operations::list::handle, operations::create::handle, operations::get::handle,
        operations::stop::handle,
        job_types::list::handle, job_types::create::handle, job_types::get::handle,
        job_types::versions::handle,
        contexts::list::handle, contexts::create::handle, contexts::get::handle,
        contexts::delete::handle,
        batches::list::handle, batches::get::handle,
        overview::handle, usage::handle, me::handle, limits::show::handle,
        budgets::list::handle, budgets::set::handle, budgets::remove::handle,
        retention::get::handle, retention::set::handle, export::handle,
        keys::list::handle, keys::create::handle, keys::revoke::handle, keys::rotate::handle,
        audit::list::handle, audit::operators::handle, people::list::handle, people::invite::handle, people::remove::handle,
        session::begin::handle, session::link::handle, session::get::handle, session::end::handle,
        session::ways::handle, session::oidc::begin::handle, session::oidc::come_back::handle,
        session::oidc::choose::handle,
        operator::session::handle, operator::sign_out::handle, operator::overview::handle,
        operator::resolve::handle, operator::tenants::handle, operator::create::handle,
        operator::change::handle, operator::limits::handle, operator::limit::handle,
        operator::spend::handle, operator::invite::handle, operator::look::handle,
        operator::erasure::begin::handle, operator::erasure::get::handle,
        live::socket::handle, live::sse::handle, tickets::create::handle, origins::list::handle, origins::replace::handle,
        own_upstream::show::handle, own_upstream::set::handle, own_upstream::remove::handle,
        health::healthz, health::readyz,
    ),
    // No operation takes them: a WebSocket carries them.
    components(schemas(
        offpeak_wire::live::Say, offpeak_wire::live::Mode,
        offpeak_wire::ExportedContext, offpeak_wire::ExportedJob,
    )),
    tags(
        (name = "jobs", description = "One request of yours each"),
        (name = "groups", description = "Jobs that were submitted together"),
        (name = "operations", description = "What is done with every job that matches"),
        (name = "job types", description = "Versioned prompt templates"),
        (name = "contexts", description = "Documents that many jobs share"),
        (name = "batches", description = "What goes to Anthropic together"),
        (name = "overview", description = "Everything at a glance"),
        (name = "usage", description = "Tokens and money"),
        (name = "budgets", description = "What may be spent, in all, by user and by job type"),
        (name = "retention", description = "How long requests and results are kept, and all that you have in one stream"),
        (name = "live", description = "What happens, at once; also for the browsers of your own users"),
        (name = "upstream", description = "Your own Anthropic key, for your jobs alone"),
        (name = "keys", description = "What opens all that is a tenant's"),
        (name = "audit", description = "Who did what"),
        (name = "people", description = "Who signs in without an API key"),
        (name = "operator", description = "All tenants; for those who run the deployment"),
        (name = "me", description = "Who is calling"),
        (name = "operation", description = "For the operator; without a key"),
    ),
    security(("api_key" = []), ("session" = [])),
    modifiers(&Credentials, &Pages, &Ids),
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
        let says = "Set by whatever signs somebody in: `POST /v1/session`, `POST /v1/session/link`, `POST /v1/session/oidc/callback` and `/tenant`; counts on requests of this server's own pages";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description("offpeak_session", says));
        let all = document.components.get_or_insert_default();
        all.add_security_scheme("api_key", bearer("ofp_live_…", "An API key of a tenant"));
        all.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
        let says =
            "Set by `POST /v1/session/link` for an operator; counts as `offpeak_session` does";
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description("offpeak_operator", says));
        all.add_security_scheme("operator", SecurityScheme::ApiKey(cookie));
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

pub(crate) fn routes() -> Routes<State> {
    Routes::new().at("/openapi.json", get(handle))
}

/// Made once: anybody may ask for it, as often as they like.
static TEXT: LazyLock<Bytes> =
    LazyLock::new(|| openapi().to_pretty_json().unwrap_or_default().into());

async fn handle() -> ([(header::HeaderName, &'static str); 1], Bytes) {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.clone())
}

#[cfg(test)]
mod tests {
    use super::openapi;
    use offpeak_domain::job::Failure;
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
    fn a_job_fails_for_a_reason_of_the_closed_list() {
        let document = serde_json::to_value(openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        let labels = Failure::ALL.iter().map(|failure| failure.label());
        assert_eq!(schemas["FailureLabel"]["enum"], labels.collect::<Value>());
        for of in ["Job", "JobResult"] {
            let label = schemas[of]["properties"]["label"].to_string();
            assert!(label.contains("/FailureLabel"), "{of}: {label}");
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

    #[test]
    fn an_id_has_the_pattern_of_its_kind_wherever_it_stands() {
        let document = serde_json::to_value(openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        let at = |of: &str, field: &str| &schemas[of]["properties"][field];
        let pattern = |kind: &str| format!("^{kind}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$");
        assert_eq!(at("Job", "id")["pattern"], pattern("job"));
        assert_eq!(at("Job", "batch")["pattern"], pattern("bat"));
        assert_eq!(
            at("CancelRequest", "ids")["items"]["pattern"],
            pattern("job")
        );
        assert_eq!(
            at("JobRequest", "context")["items"]["pattern"],
            pattern("ctx")
        );
        // What was asked for may have been no id.
        assert!(at("NotDone", "id")["pattern"].is_null());
        let mut paths = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                let given = operation["parameters"].as_array().into_iter().flatten();
                for id in given.filter(|parameter| parameter["name"] == "id") {
                    let is = id["schema"]["pattern"].as_str().unwrap_or_default();
                    assert!(is.contains("_[0-7]"), "{path}: {id}");
                    paths += 1;
                }
            }
        }
        assert!(paths > 20, "{paths}");
    }
}

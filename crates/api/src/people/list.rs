use offpeak_domain::id::PersonId;
use offpeak_store::person::{self, Standing};
use offpeak_store::session::By;
use offpeak_wire::{Page, Person, Problem};

use crate::caller::{KeysManage, May};
use crate::error::Result;
use crate::query::Query;
use crate::scopes;

/// People, by name
///
/// Those who may sign in without an API key; at most 10,000.
#[utoipa::path(
    get, path = "/v1/people", tag = "people", operation_id = "list_people",
    responses(
        (status = 200, description = "All of them", body = Page<Person>),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn handle(
    caller: May<KeysManage>,
    query: Query,
) -> Result<axum::Json<Page<Person>>> {
    query.end()?;
    let mut tx = caller.begin().await?;
    let people = person::own(&mut tx).await?;
    tx.commit().await?;
    Ok(axum::Json(Page {
        data: people
            .into_iter()
            .filter_map(|one| view(one, caller.by()))
            .collect(),
        next_cursor: None,
    }))
}

/// A person as clients see it; an operator is no tenant's.
pub(crate) fn view(one: person::Person, asks: By) -> Option<Person> {
    let Standing::Of(role) = one.standing else {
        return None;
    };
    let is_you = |id: PersonId| asks == By::Person(id);
    Some(Person {
        is_you: is_you(one.id),
        id: one.id.to_string(),
        name: one.name,
        role: scopes::role(role),
        created_at: one.created_at,
        last_seen_at: one.last_seen_at,
    })
}

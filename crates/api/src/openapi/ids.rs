//! What an id looks like, said once for every place where one stands.
//!
//! A field or a parameter whose description names a kind of id, as in `` `job_…` ``, gets
//! the pattern of that kind; of an array, each item does.

use offpeak_domain::id::KINDS;
use utoipa::Modify;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ArrayItems, Object, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Schema};

pub(super) struct Ids;

impl Modify for Ids {
    fn modify(&self, document: &mut OpenApi) {
        let schemas = document.components.iter_mut();
        for schema in schemas.flat_map(|all| all.schemas.values_mut()) {
            within(schema);
        }
        let operations = document.paths.paths.values_mut().flat_map(operations);
        for parameter in operations.flat_map(|one| one.parameters.iter_mut().flatten()) {
            if let RefOr::T(parameter) = parameter
                && let Some(schema) = &mut parameter.schema
                && let Some(pattern) = pattern(parameter.description.as_deref())
            {
                put(schema, pattern);
            }
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut path.get,
        &mut path.put,
        &mut path.post,
        &mut path.patch,
        &mut path.delete,
    ];
    all.into_iter().flatten()
}

/// The pattern of the kind of id that a description names.
fn pattern(description: Option<&str>) -> Option<&'static str> {
    let description = description?;
    let named = |prefix: &str| description.contains(&format!("`{prefix}…`"));
    KINDS
        .iter()
        .find_map(|(prefix, pattern)| named(prefix).then_some(*pattern))
}

/// Gives every field of a schema that is an id its pattern.
fn within(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            for field in object.properties.values_mut() {
                let description = match field {
                    RefOr::T(Schema::Object(object)) => object.description.as_deref(),
                    RefOr::T(Schema::Array(array)) => array.description.as_deref(),
                    _ => None,
                };
                match pattern(description) {
                    Some(pattern) => put(field, pattern),
                    None => within(field),
                }
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                within(items);
            }
        }
        Schema::OneOf(any) => any.items.iter_mut().for_each(within),
        Schema::AllOf(all) => all.items.iter_mut().for_each(within),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(within),
        _ => {}
    }
}

fn put(schema: &mut RefOr<Schema>, pattern: &str) {
    match schema {
        RefOr::T(Schema::Object(object)) if is_text(object) => {
            object.pattern = Some(pattern.to_owned());
        }
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                put(items, pattern);
            }
        }
        _ => {}
    }
}

/// Whether it is a text, or null.
fn is_text(object: &Object) -> bool {
    match &object.schema_type {
        SchemaType::Type(of) => *of == Type::String,
        SchemaType::Array(any) => any.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}

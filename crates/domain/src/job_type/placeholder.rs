//! `{"$input": "/pointer"}` in an output schema: the place of a value that
//! only the input knows, such as the categories to choose from.

use serde_json::{Map, Value};

/// The pointer, if `value` is a placeholder.
fn pointer(value: &Value) -> Option<&str> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("$input")?.as_str()
}

/// All pointers in a schema.
pub(super) fn pointers(schema: &Value) -> Vec<&str> {
    if let Some(pointer) = pointer(schema) {
        return vec![pointer];
    }
    match schema {
        Value::Array(items) => items.iter().flat_map(pointers).collect(),
        Value::Object(fields) => fields.values().flat_map(pointers).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// The schema without the keywords whose value is a placeholder: what can be
/// checked of it before there is an input.
pub(super) fn without(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(without).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| pointer(value).is_none());
            Value::Object(
                kept.map(|(key, value)| (key.clone(), without(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// The schema with the values from `input` in place, or the pointer that leads
/// nowhere in it. The values themselves are not searched for placeholders.
pub(super) fn fill<'a>(schema: &'a Value, input: &Map<String, Value>) -> Result<Value, &'a str> {
    if let Some(pointer) = pointer(schema) {
        return resolve(input, pointer).cloned().ok_or(pointer);
    }
    match schema {
        Value::Array(items) => items.iter().map(|item| fill(item, input)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| Ok((key.clone(), fill(value, input)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}

/// The first part of a pointer: the property of the input that it leads into.
pub(super) fn property(pointer: &str) -> Option<String> {
    let first = pointer.strip_prefix('/')?.split('/').next()?;
    Some(first.replace("~1", "/").replace("~0", "~"))
}

fn resolve<'a>(input: &'a Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let value = input.get(&property(pointer)?)?;
    let rest = pointer[1..]
        .find('/')
        .map_or("", |slash| &pointer[1 + slash..]);
    value.pointer(rest)
}

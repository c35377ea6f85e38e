//! JSON Schemas that come from outside: local, bounded, and free of loops.

use std::collections::HashMap;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::FieldError;
use crate::field::child;

/// Faults of one document that are reported at most.
const MAX_ERRORS: usize = 20;

/// Schemas inside one schema, when every reference is followed.
const MAX_SIZE: u64 = 100_000;

/// Keywords that move the base of references or choose them at run time. The
/// check for loops could not follow them.
const NOT_FOLLOWED: [&str; 5] = [
    "$id",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
];

/// Compiles a schema, or says in one sentence where and why not.
///
/// References must be local and must not lead back to where they stand: a
/// validator would follow such a loop until its stack ends, and the models'
/// structured outputs know no recursion either. Nor may they fan out so far
/// that to follow them all would take for ever. Patterns run in linear time.
pub(super) fn compile(schema: &Value) -> Result<Validator, FieldError> {
    refuse_endless(schema).map_err(|message| FieldError::new("", message))?;
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| {
            let message = format!("is not a valid JSON Schema: {}", error.masked());
            FieldError::new(error.instance_path().to_string(), message)
        })
}

/// What is wrong with `instance`, at most twenty faults. The messages speak of
/// the schema and never quote the instance.
pub(super) fn faults(validator: &Validator, instance: &Value) -> Vec<FieldError> {
    validator
        .iter_errors(instance)
        .take(MAX_ERRORS)
        .map(|error| {
            let pointer = error.instance_path().to_string();
            match error.kind() {
                ValidationErrorKind::Required { property } => FieldError::new(
                    child(&pointer, property.as_str().unwrap_or("")),
                    "is required",
                ),
                kind => FieldError::new(pointer, message(kind)),
            }
        })
        .collect()
}

fn message(kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Type {
            kind: TypeKind::Single(kind),
        } => format!("must be of type {kind}"),
        ValidationErrorKind::MinLength { limit: 1 } => "must not be empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => {
            format!("must have at least {limit} characters")
        }
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters"),
        ValidationErrorKind::MinItems { limit } => format!("must have at least {limit} items"),
        ValidationErrorKind::MaxItems { limit } => format!("must have at most {limit} items"),
        ValidationErrorKind::UniqueItems => "must not have the same item twice".to_owned(),
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        ValidationErrorKind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        ValidationErrorKind::Enum { options } => format!("must be one of {options}"),
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::Pattern { pattern } => format!("must match {pattern}"),
        ValidationErrorKind::Format { format } => format!("must be of the format {format}"),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            format!("has unknown fields: {}", names(unexpected))
        }
        other => format!("breaks the rule {:?} of the schema", other.keyword()),
    }
}

/// The names of unknown fields, as far as they look like names.
fn names(unexpected: &[String]) -> String {
    let shown: Vec<&str> = unexpected
        .iter()
        .take(5)
        .map(|name| if name.len() <= 64 { name } else { "…" })
        .collect();
    let more = if unexpected.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", shown.join(", "))
}

fn refuse_endless(root: &Value) -> Result<(), String> {
    let mut walk = Walk {
        root,
        open: Vec::new(),
        sizes: HashMap::new(),
    };
    if walk.size(root)? > MAX_SIZE {
        return Err("is too large when its references are followed".to_owned());
    }
    Ok(())
}

/// A walk along all references. `open` are those that it stands in, `sizes`
/// the number of schemas behind those that it has left.
struct Walk<'a> {
    root: &'a Value,
    open: Vec<&'a str>,
    sizes: HashMap<&'a str, u64>,
}

impl<'a> Walk<'a> {
    /// How many objects there are, each reference counted as what it leads to.
    fn size(&mut self, schema: &'a Value) -> Result<u64, String> {
        let mut size = 0_u64;
        match schema {
            Value::Array(items) => {
                for item in items {
                    size = size.saturating_add(self.size(item)?);
                }
            }
            Value::Object(fields) => {
                if let Some(keyword) = NOT_FOLLOWED.iter().find(|k| fields.contains_key(**k)) {
                    return Err(format!("uses {keyword:?}, which is not supported"));
                }
                size = 1;
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    size = size.saturating_add(self.size_behind(reference)?);
                }
                for value in fields.values() {
                    size = size.saturating_add(self.size(value)?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(size)
    }

    fn size_behind(&mut self, reference: &'a str) -> Result<u64, String> {
        if self.open.contains(&reference) {
            return Err("is recursive, which is not supported".to_owned());
        }
        if let Some(size) = self.sizes.get(reference) {
            return Ok(*size);
        }
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| "has a $ref to something outside itself".to_owned())?;
        self.open.push(reference);
        let size = self.size(target)?;
        self.open.pop();
        self.sizes.insert(reference, size);
        Ok(size)
    }
}

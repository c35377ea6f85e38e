//! JSON Schemas that come from outside: bounded, local, and free of loops.

use std::collections::HashSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::FieldError;
use crate::field::child;

/// Faults of one document that are reported at most.
const MAX_ERRORS: usize = 20;

/// Keywords that move the base of references or choose them at run time. The
/// check for loops could not follow them.
const NOT_FOLLOWED: [&str; 5] = [
    "$id",
    "$anchor",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
];

/// Compiles a schema, or says in one sentence why not.
///
/// References must be local and must not lead back to where they stand: a
/// validator would follow such a loop until its stack ends, and the models'
/// structured outputs know no recursion either. Patterns run in linear time.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    refuse_loops(schema)?;
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .map_err(|error| format!("is not a valid JSON Schema: {}", error.masked()))
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

fn refuse_loops(root: &Value) -> Result<(), String> {
    let mut walk = Walk {
        root,
        open: Vec::new(),
        done: HashSet::new(),
    };
    walk.visit(root)
}

/// A walk along all references. `open` are those that it stands in.
struct Walk<'a> {
    root: &'a Value,
    open: Vec<&'a str>,
    done: HashSet<&'a str>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, schema: &'a Value) -> Result<(), String> {
        match schema {
            Value::Array(items) => items.iter().try_for_each(|item| self.visit(item)),
            Value::Object(fields) => {
                if let Some(keyword) = NOT_FOLLOWED.iter().find(|k| fields.contains_key(**k)) {
                    return Err(format!("uses {keyword:?}, which is not supported"));
                }
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    self.follow(reference)?;
                }
                fields.values().try_for_each(|value| self.visit(value))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn follow(&mut self, reference: &'a str) -> Result<(), String> {
        if self.open.contains(&reference) {
            return Err("is recursive, which is not supported".to_owned());
        }
        if !self.done.insert(reference) {
            return Ok(());
        }
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| "has a $ref to something outside itself".to_owned())?;
        self.open.push(reference);
        self.visit(target)?;
        self.open.pop();
        Ok(())
    }
}

//! Numbers within their bounds.

use serde_json::Value;

/// The smallest whole number that the bounds allow, from 1 up where they do.
pub(super) fn integer(schema: &Value) -> Value {
    let step = schema["multipleOf"]
        .as_i64()
        .filter(|step| *step > 0)
        .unwrap_or(1);
    let above = |bound: i64| bound.saturating_add(1);
    let least = schema["minimum"]
        .as_i64()
        .into_iter()
        .chain(schema["exclusiveMinimum"].as_i64().map(above))
        .max()
        .unwrap_or(i64::MIN);
    let most = schema["maximum"]
        .as_i64()
        .into_iter()
        .chain(
            schema["exclusiveMaximum"]
                .as_i64()
                .map(|bound| bound.saturating_sub(1)),
        )
        .min()
        .unwrap_or(i64::MAX);
    let wanted = 1.max(least).min(most);
    let stepped = wanted.div_euclid(step).saturating_mul(step);
    let number = if stepped < wanted && stepped.saturating_add(step) <= most {
        stepped.saturating_add(step)
    } else {
        stepped
    };
    Value::from(number)
}

/// The middle of the bounds, or 1 within them.
pub(super) fn number(schema: &Value) -> Value {
    if schema.get("multipleOf").is_some() {
        return integer(schema);
    }
    let bound = |names: [&str; 2]| names.iter().find_map(|name| schema[*name].as_f64());
    let least = bound(["minimum", "exclusiveMinimum"]);
    let most = bound(["maximum", "exclusiveMaximum"]);
    Value::from(match (least, most) {
        (Some(least), Some(most)) => least.midpoint(most),
        (Some(least), None) => least + 1.0,
        (None, Some(most)) => most - 1.0,
        (None, None) => 1.0,
    })
}

//! JSON of a client: kept as text, or read so that nothing in it is lost.

use std::fmt;

use offpeak_wire::FieldError;
use serde::Serializer as _;
use serde::de::{DeserializeSeed, Unexpected};
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::body::{Members, pointer};
use crate::error::fault;

/// Why JSON text, valid as such, cannot be read, and where.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pointer: String,
    code: &'static str,
    message: &'static str,
}

impl Unreadable {
    /// As a fault of the request in which the text stands at `field`.
    pub(crate) fn under(self, field: &str) -> FieldError {
        fault(format!("{field}{}", self.pointer), self.code, self.message)
    }
}

/// The value of JSON text. An object that has a name twice is refused: one of
/// the two would be lost, and no two programs agree on which.
pub(crate) fn read(text: &str) -> Result<Value, Unreadable> {
    let mut path = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let error = match Strict(&mut path).deserialize(&mut deserializer) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let (code, message) = match (error.classify(), error.to_string()) {
        (Category::Data, _) => ("duplicate_field", "stands there twice"),
        (_, text) if text.starts_with("recursion") => {
            path.clear();
            ("too_deep", "is nested deeper than 127 levels")
        }
        (_, text) if text.starts_with("number") => {
            ("invalid_number", "is a number beyond what a double holds")
        }
        _ => (
            "invalid_text",
            "holds a lone surrogate, half of a character",
        ),
    };
    Err(Unreadable {
        pointer: path.iter().map(ToString::to_string).collect(),
        code,
        message,
    })
}

/// A step from a value to one inside it.
enum Step {
    Name(String),
    Index(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&pointer(name)),
            Self::Index(index) => write!(f, "/{index}"),
        }
    }
}

/// Reads one value, and leaves in the path where it could not go on.
struct Strict<'a>(&'a mut Vec<Step>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        loop {
            self.0.push(Step::Index(all.len()));
            let item = items.next_element_seed(Strict(&mut *self.0))?;
            self.0.pop();
            match item {
                Some(item) => all.push(item),
                None => return Ok(Value::Array(all)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let twice = all.contains_key(&name);
            self.0.push(Step::Name(name));
            if twice {
                return Err(A::Error::custom("twice"));
            }
            let value = members.next_value_seed(Strict(&mut *self.0))?;
            if let Some(Step::Name(name)) = self.0.pop() {
                all.insert(name, value);
            }
        }
        Ok(Value::Object(all))
    }
}

/// `raw` on one line: white space between tokens is left out, all else stays
/// byte for byte. It must be valid JSON.
pub(crate) fn compact(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in raw.chars() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            quoted = c == '"';
        }
        out.push(c);
    }
    out
}

/// An object without one of its members, the others as they came and in their
/// order; none when it is no object.
pub(crate) fn without(object: &RawValue, name: &str) -> Option<Box<RawValue>> {
    let Members(members) = serde_json::from_str(object.get()).ok()?;
    let mut text = Vec::with_capacity(object.get().len());
    let kept = members.iter().filter(|(given, _)| given != name);
    serde_json::Serializer::new(&mut text)
        .collect_map(kept.map(|(given, value)| (given, value)))
        .ok()?;
    raw(String::from_utf8(text).ok()?)
}

/// Stored JSON text for an answer; none when it is not JSON after all.
pub(crate) fn raw(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

#[cfg(test)]
mod tests {
    use super::{compact, raw, read};
    use serde_json::{Value, json};

    #[test]
    fn what_is_read_is_what_serde_reads() {
        let text = r#"{"b":[1,-2,3.5,18446744073709551615,null,true,"\u00e9",{}],"a":""}"#;
        assert_eq!(
            read(text).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
        let deep = "[".repeat(127) + &"]".repeat(127);
        assert!(read(&deep).is_ok());
        assert_eq!(read("[[],{}]").unwrap(), json!([[], {}]));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let at = |text: &str| {
            let fault = read(text).unwrap_err().under("/input");
            format!("{} {}", fault.field, fault.code)
        };
        assert_eq!(at(r#"{"a":1,"a":1}"#), "/input/a duplicate_field");
        assert_eq!(
            at(r#"[0,{"a/b":{"x":1,"y":[],"\u0078":2}}]"#),
            "/input/1/a~1b/x duplicate_field"
        );
        assert_eq!(at(r#"{"a":["x","\ud800"]}"#), "/input/a/1 invalid_text");
        assert_eq!(at(r#"{"a":{"\udc00":1}}"#), "/input/a invalid_text");
        assert_eq!(at(r#"{"n":[1e999]}"#), "/input/n/0 invalid_number");
        let deep = "[".repeat(128) + &"]".repeat(128);
        assert_eq!(at(&deep), "/input too_deep");
    }

    #[test]
    fn one_member_goes_and_the_rest_stays_as_it_came() {
        let without = |text: &str| {
            let object = raw(text.to_owned()).unwrap();
            super::without(&object, "usage").map(|rest| rest.get().to_owned())
        };
        assert_eq!(
            without(r#"{"z":1.0e2,"us\u0061ge":{"a":1},"a":[{"usage":"\ud800"}],"é\"":null}"#)
                .unwrap(),
            r#"{"z":1.0e2,"a":[{"usage":"\ud800"}],"é\"":null}"#
        );
        assert_eq!(without("{}").unwrap(), "{}");
        assert_eq!(without("[1]"), None);
    }

    #[test]
    fn only_white_space_between_tokens_goes() {
        assert_eq!(
            compact("{ \"a b\" : [1.0e2,\n\t\"x \\\" y\", \"\\\\\" , \"é\"] }\r\n"),
            r#"{"a b":[1.0e2,"x \" y","\\","é"]}"#
        );
    }
}

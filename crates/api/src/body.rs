//! JSON bodies: bounded, of the right type, and with faults that say where.

use std::borrow::Cow;
use std::collections::HashSet;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use offpeak_wire::FieldError;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{Code, Error, Result, fault};
use crate::json;
use crate::pace::TooSlow;

/// Bytes of one job's body or line, at most.
pub(crate) const MAX_BYTES: usize = 32_000_000;

/// A whole JSON body, read within its bound, not parsed.
#[derive(Debug)]
pub(crate) struct Json(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        expect_media_type(request.headers(), "application/json", |given| {
            given == "application/json"
                || (given.starts_with("application/") && given.ends_with("+json"))
        })?;
        read(request.into_body()).await.map(Self)
    }
}

pub(crate) fn too_long() -> Error {
    Error::new(
        Code::TooLarge,
        format!("the body is longer than {MAX_BYTES} bytes"),
    )
}

/// A whole body within its bound.
pub(crate) async fn read(body: Body) -> Result<Bytes> {
    match Limited::new(body, MAX_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_long()),
        Err(error) => Err(broken(&*error)),
    }
}

/// Why no more comes of a body.
pub(crate) fn broken(error: &(dyn std::error::Error + 'static)) -> Error {
    match TooSlow::beneath(error) {
        Some(slow) => Error::new(
            Code::BodyTooSlow,
            format!("{slow}; send it faster, or in several requests"),
        ),
        None => Error::new(Code::BodyBroken, "the body ended before it was complete"),
    }
}

/// Refuses a body that says it is something else. One that says nothing is taken at
/// its content.
pub(crate) fn expect_media_type(
    headers: &HeaderMap,
    expected: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<()> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let given = given.to_str().unwrap_or_default();
    let essence = given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if !fits(&essence) {
        return Err(Error::new(
            Code::WrongMediaType,
            format!("send `content-type: {expected}`"),
        ));
    }
    let other_charset = given.split(';').skip(1).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"').to_ascii_lowercase();
        name.trim().eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8", "us-ascii"].contains(&value.as_str())
    });
    if other_charset {
        return Err(Error::new(
            Code::WrongMediaType,
            "send the body in UTF-8, the only charset of JSON",
        ));
    }
    Ok(())
}

/// Bytes of a request that says a few words, at most.
const MAX_SMALL: usize = 16 * 1024;

/// Reads a request that says a few words; `what` names it, as in "the request of a key".
pub(crate) fn small<T: DeserializeOwned>(body: &[u8], fields: &[Field], what: &str) -> Result<T> {
    if body.len() > MAX_SMALL {
        let detail = format!("{what} is at most {MAX_SMALL} bytes");
        return Err(Error::new(Code::TooLarge, detail));
    }
    parse(body, fields).map_err(Error::input)
}

/// What a body's field must be, to say it when it is something else.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// As in "must be a string".
    pub(crate) expected: &'static str,
    pub(crate) required: bool,
    /// Whether this JSON text is that.
    pub(crate) fits: fn(&str) -> bool,
}

/// Whether JSON text reads as a `T`.
pub(crate) fn reads_as<T: DeserializeOwned>(text: &str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}

/// Reads `bytes` as a `T` that refuses unknown fields. When it cannot, a second
/// look finds every field that is wrong. No message quotes a value.
pub(crate) fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    fields: &[Field],
) -> std::result::Result<T, Vec<FieldError>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        vec![fault(
            "",
            "invalid_json",
            format!("is not UTF-8 from byte {at} on"),
        )]
    })?;
    // Some editors begin a file with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // An array would be read as the fields in their order.
    if text.trim_start().starts_with('[') {
        return Err(vec![fault("", "wrong_type", "must be a JSON object")]);
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => faults(text, fields),
        // Some values of a wrong type are reported as if the text were broken.
        Category::Syntax | Category::Eof | Category::Io => {
            if serde_json::from_str::<IgnoredAny>(text).is_ok() {
                faults(text, fields)
            } else {
                vec![syntax(text, &error)]
            }
        }
    })
}

fn syntax(text: &str, error: &serde_json::Error) -> FieldError {
    if text.trim_ascii().is_empty() {
        return fault("", "invalid_json", "is empty; it must be a JSON object");
    }
    let (line, column) = (error.line(), error.column());
    let what = error.to_string();
    let what = if error.is_eof() {
        "it ends too early"
    } else {
        what.split(" at line ").next().unwrap_or_default()
    };
    // Within one line of a bulk body "line 1" would mislead.
    let place = if text.contains('\n') {
        format!("line {line}, column {column}")
    } else {
        format!("column {column}")
    };
    fault(
        "",
        "invalid_json",
        format!("is not valid JSON: {what} ({place})"),
    )
}

fn faults(text: &str, fields: &[Field]) -> Vec<FieldError> {
    let Ok(Members(members)) = serde_json::from_str(text) else {
        // An object is here only when one of its names is no text.
        return vec![if text.trim_start().starts_with('{') {
            fault("", "invalid_text", "names a field with a lone surrogate")
        } else {
            fault("", "wrong_type", "must be a JSON object")
        }];
    };
    let names = || {
        fields
            .iter()
            .map(|field| field.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for (name, value) in &members {
        let at = pointer(name);
        if !seen.insert(name.as_ref()) {
            faults.push(fault(at.clone(), "duplicate_field", "stands there twice"));
        }
        match fields.iter().find(|field| field.name == name) {
            None => faults.push(fault(
                at,
                "unknown_field",
                format!("is not known; the fields are {}", names()),
            )),
            Some(field) if !(field.fits)(value.get()) => {
                faults.push(json::read(value.get()).err().map_or_else(
                    || {
                        let message = format!("must be {}", field.expected);
                        fault(at.clone(), "wrong_type", message)
                    },
                    |unreadable| unreadable.under(&at),
                ));
            }
            Some(_) => {}
        }
    }
    for field in fields
        .iter()
        .filter(|field| field.required && !seen.contains(field.name))
    {
        faults.push(fault(pointer(field.name), "missing_field", "is missing"));
    }
    if faults.is_empty() {
        faults.push(fault("", "wrong_type", "does not have the documented form"));
    }
    faults.truncate(20);
    faults
}

/// Refuses a body in which some object, however deep, has a name twice.
pub(crate) fn expect_unique(bytes: &[u8]) -> std::result::Result<(), Vec<FieldError>> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match json::read(text) {
        Ok(_) => Ok(()),
        Err(unreadable) => Err(vec![unreadable.under("")]),
    }
}

/// JSON pointer to a member, cut where a client's name for it is endless.
pub(crate) fn pointer(name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The members of an object in their order, duplicates included.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                // A name with an escape in it cannot be borrowed.
                while let Some(name) = map.next_key::<String>()? {
                    members.push((Cow::Owned(name), map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::{expect_media_type, parse};
    use crate::jobs::FIELDS;
    use axum::http::{HeaderMap, HeaderValue, header};
    use offpeak_wire::JobRequest;

    fn faults(text: &str) -> String {
        parse::<JobRequest>(text.as_bytes(), FIELDS)
            .unwrap_err()
            .into_iter()
            .map(|fault| format!("{} {}: {}", fault.field, fault.code, fault.message))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn every_wrong_field_is_named() {
        insta::assert_snapshot!(
            faults(r#"{"type":5,"priority":"urgent","user":["secret"],"tyqe":1,"input":{}}"#), @"
        /type wrong_type: must be a string
        /priority wrong_type: must be \"low\", \"normal\" or \"high\"
        /user wrong_type: must be a string
        /tyqe unknown_field: is not known; the fields are type, params, input, context, user, priority, deliver_within, on_late, coalesce, idempotency_key, metadata
        ");
        insta::assert_snapshot!(faults(r#"{"user":"a","user":"b"}"#),
            @"/user duplicate_field: stands there twice");
        insta::assert_snapshot!(faults(r#"{"priority":3}"#),
            @r#"/priority wrong_type: must be "low", "normal" or "high""#);
        insta::assert_snapshot!(faults("[]"), @" wrong_type: must be a JSON object");
    }

    #[test]
    fn broken_json_says_where() {
        insta::assert_snapshot!(faults("{\n \"type\": \"a\",\n}"),
            @" invalid_json: is not valid JSON: trailing comma (line 3, column 1)");
        insta::assert_snapshot!(faults(r#"{"type":"a""#),
            @" invalid_json: is not valid JSON: it ends too early (column 11)");
        insta::assert_snapshot!(faults(""),
            @" invalid_json: is empty; it must be a JSON object");
        insta::assert_snapshot!(
            parse::<JobRequest>(b"{\"user\":\"\xff\"}", FIELDS).unwrap_err()[0].message.clone(),
            @"is not UTF-8 from byte 9 on");
    }

    #[test]
    fn a_byte_order_mark_is_no_fault() {
        assert!(parse::<JobRequest>(b"\xef\xbb\xbf{}", FIELDS).is_ok());
        assert!(parse::<JobRequest>(b"\xef\xbb\xbf[]", FIELDS).is_err());
    }

    #[test]
    fn a_form_is_not_json() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            expect_media_type(&headers, "application/json", |given| {
                given == "application/json"
            })
        };
        assert!(check("application/json; charset=utf-8").is_ok());
        assert!(check("Application/JSON").is_ok());
        assert!(check("application/json; v=1; CharSet=\"UTF-8\"").is_ok());
        assert!(check("application/json; charset=iso-8859-1").is_err());
        assert!(check("application/x-www-form-urlencoded").is_err());
        assert!(expect_media_type(&HeaderMap::new(), "", |_| false).is_ok());
    }
}

//! Query parameters: each is known, each fault names its parameter.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use offpeak_wire::FieldError;

use crate::error::{Code, Error, Result, fault};

/// Rows of a page unless said.
pub(crate) const DEFAULT_LIMIT: usize = 50;
/// Rows of a page, at most.
pub(crate) const MAX_LIMIT: usize = 200;

/// The parameters of a request, taken one by one; [`Query::end`] refuses what
/// nobody took.
#[derive(Debug)]
pub(crate) struct Query {
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
    faults: Vec<FieldError>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let unreadable = || {
            let detail = "the query string is not UTF-8 when its percent signs are decoded";
            Error::new(Code::InvalidQuery, detail)
        };
        if !is_text(parts.uri.query().unwrap_or_default()) {
            return Err(unreadable());
        }
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| unreadable())?;
        Ok(Self::from(pairs.0))
    }
}

/// Whether percent-encoded bytes are UTF-8. The decoder would put U+FFFD where
/// they are not, and a label would be stored that nobody sent.
fn is_text(query: &str) -> bool {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let [first, after @ ..] = rest {
        let pair = after.first_chunk::<2>().filter(|_| *first == b'%');
        let decoded = pair
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    std::str::from_utf8(&bytes).is_ok()
}

impl From<Vec<(String, String)>> for Query {
    fn from(given: Vec<(String, String)>) -> Self {
        Self {
            given,
            known: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl Query {
    /// The text of a parameter; empty counts as not given. PostgreSQL has no
    /// U+0000: nothing that was ever stored could be found by it.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let mut values = Vec::new();
        self.given.retain_mut(|(given, value)| {
            let taken = given == name;
            if taken {
                values.push(std::mem::take(value));
            }
            !taken
        });
        if values.len() > 1 {
            self.faults
                .push(fault(name, "duplicate", "is given more than once"));
        }
        let value = values.pop().filter(|value| !value.is_empty())?;
        if value.contains('\0') {
            let message = "must not contain the character U+0000";
            self.faults.push(fault(name, "invalid_text", message));
            return None;
        }
        Some(value)
    }

    /// A parameter that `parse` understands; otherwise `expected` says what it
    /// should be.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.faults
                .push(fault(name, "invalid_value", format!("must be {expected}")));
        }
        value
    }

    /// Words separated by commas, each of which `parse` understands.
    pub(crate) fn words<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let expected = format!("one or several of {expected}, separated by commas");
        self.parsed(name, &expected, |text| {
            text.split(',').map(|word| parse(word.trim())).collect()
        })
        .unwrap_or_default()
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        self.parsed(name, "true or false", |text| text.parse().ok())
            .unwrap_or(default)
    }

    /// Rows of a page.
    pub(crate) fn limit(&mut self) -> usize {
        let expected = format!("a whole number from 1 to {MAX_LIMIT}");
        self.parsed("limit", &expected, |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        })
        .unwrap_or(DEFAULT_LIMIT)
    }

    /// A parameter that was read where it was found out who asks.
    pub(crate) fn read_before(&mut self, name: &'static str) {
        self.text(name);
    }

    /// A fault that the caller found.
    pub(crate) fn refuse(&mut self, fault: FieldError) {
        self.faults.push(fault);
    }

    /// What is wrong with what was taken.
    pub(crate) fn into_faults(self) -> Vec<FieldError> {
        self.faults
    }

    /// Refuses what is wrong, and what nobody asked for.
    pub(crate) fn end(mut self) -> Result<()> {
        for (name, _) in self.given {
            let known = self.known.join(", ");
            let message = if known.is_empty() {
                "is not known: this path takes no parameters".to_owned()
            } else {
                format!("is not known: this path takes {known}")
            };
            let name: String = name.chars().take(64).collect();
            self.faults.push(fault(name, "unknown_parameter", message));
        }
        match self.faults.as_slice() {
            [] => Ok(()),
            [first, ..] => {
                let mut detail = format!("{} {}", first.field, first.message);
                if self.faults.len() > 1 {
                    detail = format!("{} faults, the first: {detail}", self.faults.len());
                }
                Err(Error::new(Code::InvalidQuery, detail).with(self.faults))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Query, is_text};

    fn query(pairs: &[(&str, &str)]) -> Query {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        Query::from(pairs)
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut query = query(&[
            ("limit", "0"),
            ("stat", "failed"),
            ("state", "a"),
            ("state", "b"),
        ]);
        query.limit();
        query.text("state");
        let error = query.end().unwrap_err();
        let faults: Vec<_> = error
            .faults()
            .iter()
            .map(|fault| (fault.field.as_str(), fault.code.as_str()))
            .collect();
        assert_eq!(
            faults,
            [
                ("limit", "invalid_value"),
                ("state", "duplicate"),
                ("stat", "unknown_parameter")
            ]
        );
    }

    #[test]
    fn percent_signs_hide_no_broken_text() {
        for good in ["", "a=%C3%A9&b=%", "a=%zz", "a=%2", "é=%00"] {
            assert!(is_text(good), "{good}");
        }
        for bad in ["a=%ff", "a=%C3&b=%A9", "a=%ED%A0%80", "a=%c0%80"] {
            assert!(!is_text(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_right_passes() {
        let mut query = query(&[
            ("limit", "7"),
            ("partial", "true"),
            ("state", "a, b"),
            ("q", ""),
        ]);
        assert_eq!(query.limit(), 7);
        assert!(query.flag("partial", false));
        assert_eq!(
            query.words("state", "a, b", |word| Some(word.to_owned())),
            ["a", "b"]
        );
        assert_eq!(query.text("q"), None);
        assert!(query.end().is_ok());
    }
}

//! Text of a client that is stored as text.

use offpeak_wire::FieldError;

use crate::error::fault;

/// Characters of a user label or a group's name, at most.
pub(crate) const MAX_LABEL: usize = 256;
/// Characters of an idempotency key, at most.
pub(crate) const MAX_KEY: usize = 255;

/// Checks a label: not empty, not too long, and storable.
pub(crate) fn label(field: &str, value: &str, max: usize) -> Result<(), FieldError> {
    if value.is_empty() {
        return Err(fault(
            field,
            "empty",
            "must not be empty; leave it out instead",
        ));
    }
    if value.chars().count() > max {
        return Err(fault(
            field,
            "too_long",
            format!("must be at most {max} characters"),
        ));
    }
    if value.contains('\0') {
        return Err(fault(
            field,
            "invalid_text",
            "must not contain the character U+0000",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let code = |value: &str| label("/user", value, 4).map_err(|fault| fault.code);
        assert_eq!(code("éééé"), Ok(()));
        assert_eq!(code("ééééé"), Err("too_long".into()));
        assert_eq!(code("a\0"), Err("invalid_text".into()));
        assert_eq!(code(""), Err("empty".into()));
    }
}

//! People by name.

/// Characters of a person's name, at most.
pub const MAX_NAME: usize = 256;

/// Whether somebody may be called so: one line of 1 to [`MAX_NAME`] characters, without
/// blanks at its ends.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count())
        && !name.chars().any(char::is_control)
        && name.trim() == name
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME, is_name};

    #[test]
    fn a_name_is_one_line() {
        for name in ["ada@example.com", "Ada L.", "é", &"a".repeat(MAX_NAME)] {
            assert!(is_name(name), "{name}");
        }
        for wrong in ["", " ada", "ada ", "a\nb", "a\0", &"a".repeat(MAX_NAME + 1)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}

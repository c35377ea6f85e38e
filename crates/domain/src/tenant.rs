//! Tenants by name.

/// Whether a tenant may be called so: from 1 to 63 lowercase letters, digits, `_` and
/// `-`, a letter or digit first. The database's own rule, so that breaking it is told
/// before.
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().next().is_some_and(fits)
        && name.bytes().all(|byte| fits(byte) || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn knows_what_the_database_takes() {
        assert!(is_name("acme-2_b"));
        assert!(is_name(&"a".repeat(63)));
        for wrong in ["", "-a", "Acme", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}

//! Licence families: what `classify` may answer, and whether an answer agrees
//! with the manifest.

/// The families with what marks their identifiers in a manifest.
const FAMILIES: &[(&str, &[&str])] = &[
    ("MIT", &["MIT", "MIT-0", "X11"]),
    ("Apache-2.0", &["Apache-2.0"]),
    (
        "BSD",
        &["BSD-1-Clause", "BSD-2-Clause", "BSD-3-Clause", "0BSD"],
    ),
    ("ISC", &["ISC"]),
    ("MPL-2.0", &["MPL-2.0"]),
    ("Unicode", &["Unicode-3.0", "Unicode-DFS-2016"]),
    ("Zlib", &["Zlib"]),
    ("Unlicense", &["Unlicense"]),
    ("Boost (BSL-1.0)", &["BSL-1.0"]),
    ("Creative Commons (CC0)", &["CC0-1.0"]),
    (OTHER, &[]),
];

const OTHER: &str = "other";

/// How the categories are meant.
pub(super) const HINT: &str = "The categories are families of software licences. Take the family \
     of the licence whose terms the document gives; \"other\" if it gives none of these, or only \
     names or points to licences.";

/// The categories, in a fixed order.
pub(super) fn families() -> Vec<&'static str> {
    FAMILIES.iter().map(|(name, _)| *name).collect()
}

/// Whether the answered family is one of those that the manifest names. None
/// when it names none that can be compared.
pub(super) fn agrees(answered: &str, declared: Option<&str>) -> Option<bool> {
    let declared = declared?;
    let named: Vec<&str> = declared
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-.+".contains(c)))
        .filter(|word| !word.is_empty() && !["AND", "OR", "WITH"].contains(word))
        .collect();
    if named.is_empty() {
        return None;
    }
    let of = |identifier: &str| {
        FAMILIES
            .iter()
            .find(|(_, marks)| marks.contains(&identifier))
            .map_or(OTHER, |(family, _)| family)
    };
    Some(named.iter().any(|identifier| of(identifier) == answered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_agrees_with_any_licence_that_the_manifest_offers() {
        assert_eq!(agrees("MIT", Some("MIT OR Apache-2.0")), Some(true));
        assert_eq!(agrees("Apache-2.0", Some("MIT/Apache-2.0")), Some(true));
        assert_eq!(
            agrees("BSD", Some("(MIT OR Apache-2.0) AND BSD-3-Clause")),
            Some(true)
        );
        assert_eq!(agrees("ISC", Some("MIT")), Some(false));
        assert_eq!(agrees("other", Some("CDLA-Permissive-2.0")), Some(true));
        assert_eq!(agrees("MIT", None), None);
    }
}

//! Enums that travel as stable words: in rows, on the wire, in metrics.
//!
//! One list of variants and words each, from which the text, its parser, the
//! serde form and the list of all variants follow.

/// A word that is none of those an enum knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what}: expected one of {expected}")]
pub struct UnknownLabel {
    /// What the word should have named, such as `job state`.
    pub what: &'static str,
    /// The words that are known, separated by commas.
    pub expected: String,
}

impl UnknownLabel {
    pub(crate) fn new(what: &'static str, known: &[&str]) -> Self {
        Self {
            what,
            expected: known.join(", "),
        }
    }
}

/// Declares a fieldless enum whose variants are words.
///
/// `$text` names the method that gives the word (`as_str` or `label`).
macro_rules! labels {
    (
        $(#[$meta:meta])*
        pub enum $name:ident as $what:literal, $text:ident {
            $( $(#[$vmeta:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $( $(#[$vmeta])* #[serde(rename = $word)] $variant, )+
        }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable word for this variant, as rows and the API hold it.
            pub const fn $text(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.$text())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownLabel;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownLabel::new($what, &[$($word),+])),
                }
            }
        }
    };
}
pub(crate) use labels;

#[cfg(test)]
mod tests {
    use crate::job::{Failure, State};

    #[test]
    fn every_word_reads_back_as_its_variant() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>(), Ok(*state));
            let json = serde_json::to_string(state).unwrap();
            assert_eq!(json, format!("\"{state}\""));
            assert_eq!(serde_json::from_str::<State>(&json).unwrap(), *state);
        }
        for failure in Failure::ALL {
            assert_eq!(failure.label().parse::<Failure>(), Ok(*failure));
        }
    }

    #[test]
    fn an_unknown_word_names_the_known_ones() {
        let err = "cancelled".parse::<State>().unwrap_err();
        insta::assert_snapshot!(err, @"unknown job state: expected one of queued, submitted, processing, completed, failed, canceled");
    }
}

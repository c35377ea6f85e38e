//! Picks among given values the one that a document speaks of most.
//!
//! A stand-in understands nothing. It counts words, and it knows a few phrases by
//! which licence texts are told apart, since most of them never name themselves.

use std::collections::HashMap;

use crate::prose;

/// Words of options that stand for "nothing fits".
const FALLBACKS: [&str; 9] = [
    "other",
    "unknown",
    "none",
    "neither",
    "misc",
    "unclear",
    "unspecified",
    "uncertain",
    "na",
];

/// A phrase, in lower case without punctuation, and the words that it speaks for.
const PHRASES: [(&str, &[&str]); 12] = [
    ("permission is hereby granted free of charge", &["mit"]),
    (
        "redistribution and use in source and binary forms",
        &["bsd"],
    ),
    (
        "permission to use copy modify and or distribute this software",
        &["isc"],
    ),
    ("apache license version 2 0", &["apache"]),
    ("gnu general public license", &["gpl"]),
    ("gnu lesser general public license", &["lgpl"]),
    ("mozilla public license", &["mpl", "mozilla"]),
    (
        "this software is provided as is without any express or implied warranty",
        &["zlib"],
    ),
    ("boost software license", &["boost", "bsl"]),
    ("unicode license", &["unicode"]),
    ("released into the public domain", &["unlicense", "domain"]),
    ("cc0 1 0 universal", &["cc0"]),
];

/// How much of the document counts as its title, in words.
const TITLE: usize = 30;
const TITLE_WEIGHT: u64 = 5;
const PHRASE_WEIGHT: u64 = 20;

/// The options' positions, best first; equal ones keep their order.
pub(crate) fn rank(options: &[String], document: &str) -> Vec<usize> {
    let words: Vec<String> = prose::words(&without_lists(document, options)).collect();
    let mut weights: HashMap<&str, u64> = HashMap::new();
    for (at, word) in words.iter().enumerate() {
        *weights.entry(word).or_insert(0) += if at < TITLE { TITLE_WEIGHT } else { 1 };
    }
    let running = words.join(" ");
    for (phrase, families) in PHRASES {
        if running.contains(phrase) {
            for family in families {
                *weights.entry(family).or_insert(0) += PHRASE_WEIGHT;
            }
        }
    }

    let named: Vec<Vec<String>> = options.iter().map(|option| tokens(option)).collect();
    let is_fallback = |tokens: &[String]| {
        tokens.is_empty()
            || tokens
                .iter()
                .any(|token| FALLBACKS.contains(&token.as_str()))
    };
    let score = |at: usize| -> u64 {
        if is_fallback(&named[at]) {
            return 0;
        }
        let own = |token: &&String| {
            named
                .iter()
                .enumerate()
                .all(|(other, tokens)| other == at || !tokens.contains(token))
        };
        // Words that several options share tell nothing, unless there are no others.
        let mut telling: Vec<&String> = named[at].iter().filter(own).collect();
        if telling.is_empty() {
            telling = named[at].iter().collect();
        }
        let sum: u64 = telling
            .iter()
            .map(|token| weights.get(token.as_str()).copied().unwrap_or(0))
            .sum();
        sum * 12 / telling.len() as u64
    };
    let scores: Vec<u64> = (0..options.len()).map(score).collect();
    let mut order: Vec<usize> = (0..options.len()).collect();
    if scores.iter().all(|score| *score == 0) {
        order.sort_by_key(|at| !is_fallback(&named[*at]));
    } else {
        order.sort_by_key(|at| std::cmp::Reverse(scores[*at]));
    }
    order
}

/// Whether an option says no: "`not_found`", "no", "none of these".
pub(crate) fn denies(option: &str) -> bool {
    prose::words(option).any(|word| {
        matches!(
            word.as_str(),
            "no" | "not" | "none" | "false" | "absent" | "missing"
        )
    })
}

/// The words of an option that can be counted.
fn tokens(option: &str) -> Vec<String> {
    prose::words(option)
        .filter(|word| word.len() > 1 && word.chars().any(char::is_alphabetic))
        .collect()
}

/// The document without lines that list half of the options: those belong to the
/// question.
fn without_lists(document: &str, options: &[String]) -> String {
    let many = (options.len() / 2).max(2);
    let lists = |line: &str| {
        options
            .iter()
            .filter(|option| line.contains(option.as_str()))
            .count()
            >= many
    };
    let rest: Vec<&str> = document.lines().filter(|line| !lists(line)).collect();
    if rest.iter().all(|line| line.trim().is_empty()) {
        return document.to_owned();
    }
    rest.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(options: &[&str], document: &str) -> String {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        options[rank(&options, document)[0]].clone()
    }

    const FAMILIES: [&str; 5] = ["MIT", "Apache-2.0", "BSD", "GPL", "other"];

    #[test]
    fn the_most_spoken_of_wins() {
        let mit = "Copyright (c) 2020 Somebody\n\nPermission is hereby granted, free of\ncharge, to any person ... OR OTHER DEALINGS, other, other.";
        assert_eq!(best(&FAMILIES, mit), "MIT");
        assert_eq!(
            best(&FAMILIES, "Apache License\nVersion 2.0, January 2004"),
            "Apache-2.0"
        );
        assert_eq!(
            best(&FAMILIES, "GNU GENERAL PUBLIC LICENSE Version 3"),
            "GPL"
        );
        assert_eq!(
            best(
                &["sport", "politics"],
                "A vote on politics, and more politics. sport"
            ),
            "politics"
        );
    }

    #[test]
    fn nothing_spoken_of_is_the_fallback_or_the_first() {
        assert_eq!(best(&FAMILIES, "Foxes jump."), "other");
        assert_eq!(best(&["sport", "politics"], "Foxes jump."), "sport");
    }

    #[test]
    fn a_list_of_the_options_does_not_count() {
        let text = "Choose one of: sport, politics, sport\nIt is all politics.";
        assert_eq!(best(&["sport", "politics"], text), "politics");
        let two_of_five = "Dual-licensed under Apache-2.0 and MIT.\nApache-2.0 is first.";
        assert_eq!(best(&FAMILIES, two_of_five), "Apache-2.0");
    }
}

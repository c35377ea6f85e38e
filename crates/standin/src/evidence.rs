//! Finds the sentence that speaks of a question, by the words that they share.

use crate::prose;

/// Words that questions are made of.
const COMMON: [&str; 16] = [
    "about", "document", "does", "from", "have", "many", "much", "there", "they", "this", "under",
    "what", "when", "where", "which", "with",
];

/// The sentence that shares the most words with the question; `None` if none shares
/// two of them (or all, where there are fewer).
pub(crate) fn best<'a>(sentences: &[&'a str], question: &str) -> Option<&'a str> {
    let asked: Vec<String> = prose::words(question)
        .filter(|word| word.len() > 3 && !COMMON.contains(&word.as_str()))
        .collect();
    let needed = asked.len().clamp(1, 2);
    let shared = |sentence: &str| {
        let words: Vec<String> = prose::words(sentence).collect();
        asked
            .iter()
            .filter(|asked| words.iter().any(|word| alike(word, asked)))
            .count()
    };
    let mut best = None;
    for sentence in sentences {
        let count = shared(sentence);
        if count >= needed && best.is_none_or(|(most, _)| count > most) {
            best = Some((count, *sentence));
        }
    }
    best.map(|(_, sentence)| sentence)
}

/// The same word, or one with another ending.
fn alike(word: &str, asked: &str) -> bool {
    let stem = |text: &str| text.chars().take(6).collect::<String>();
    word == asked || (asked.chars().count() >= 6 && stem(word) == stem(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_words_decide() {
        let sentences = [
            "Foxes may jump.",
            "The warranty ends after two years.",
            "No warranty for dogs.",
        ];
        assert_eq!(
            best(&sentences, "When does the warranty for dogs end?"),
            Some(sentences[2])
        );
        assert_eq!(
            best(&sentences, "How long is the warranted time of years?"),
            Some(sentences[1])
        );
        assert_eq!(best(&sentences, "Is there a penalty for cats?"), None);
        assert_eq!(best(&[], "Anything?"), None);
    }
}

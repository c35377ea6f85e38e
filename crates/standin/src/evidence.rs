//! Finds the sentence that speaks of a question, by the words that they share.

use std::cmp::Reverse;

use crate::prose;

/// Words that questions are made of: they tell what is asked, not about what.
const COMMON: [&str; 52] = [
    "about", "and", "any", "are", "can", "could", "did", "does", "document", "far", "for", "from",
    "given", "has", "have", "how", "its", "long", "many", "may", "much", "must", "not", "often",
    "our", "paid", "shall", "should", "soon", "that", "the", "their", "there", "they", "this",
    "under", "was", "were", "what", "when", "where", "which", "who", "whom", "whose", "why",
    "will", "with", "would", "you", "your", "yours",
];

/// A word in so many sentences at most is rare.
const RARE: usize = 2;

/// The sentence that shares the most words with the question, and of those that
/// share as many the one with the rarest. One shared word is enough if it is rare or
/// the only one asked for; `None` if there is no such sentence.
pub(crate) fn best<'a>(sentences: &[&'a str], question: &str) -> Option<&'a str> {
    let asked: Vec<String> = prose::words(question)
        .filter(|word| word.len() > 2 && !COMMON.contains(&word.as_str()))
        .collect();
    // Of each sentence the places in `asked` of the words that it shares.
    let shared: Vec<Vec<usize>> = sentences
        .iter()
        .map(|sentence| {
            let words: Vec<String> = prose::words(sentence).collect();
            (0..asked.len())
                .filter(|at| words.iter().any(|word| alike(word, &asked[*at])))
                .collect()
        })
        .collect();
    let mut holders = vec![0_usize; asked.len()];
    for at in shared.iter().flatten() {
        holders[*at] += 1;
    }
    let needed = asked.len().clamp(1, 2);
    let mut best = None;
    for (sentence, shared) in sentences.iter().zip(&shared) {
        let Some(rarest) = shared.iter().map(|at| holders[*at]).min() else {
            continue;
        };
        if shared.len() < needed && rarest > RARE {
            continue;
        }
        let rank = (shared.len(), Reverse(rarest));
        if best.is_none_or(|(most, _)| rank > most) {
            best = Some((rank, *sentence));
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
    use serde_json::json;

    use super::*;
    use crate::brief::Brief;
    use crate::schema::Schemas;

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
    #[test]
    fn one_rare_word_is_enough_for_an_exact_quote() {
        let schema = json!({
            "type": "array",
            "items": {
                "type": "object",
                "required": ["question", "quotes", "status", "answer"],
                "properties": {
                    "question": { "enum": ["How long for refunds?", "Is cash paid?"] },
                    "quotes": { "type": "array", "items": { "type": "string" } },
                    "status": { "enum": ["found", "unclear", "not_found"] },
                    "answer": { "type": "string" },
                },
            },
        });
        let brief = Brief {
            document: "Refunds are given within 30 days. No cash.".to_owned(),
            instructions: "How long for refunds?\nIs cash paid?".to_owned(),
        };
        assert_eq!(
            Schemas::default().fill(&schema, &brief).unwrap(),
            json!([
                {
                    "question": "How long for refunds?",
                    "quotes": ["Refunds are given within 30 days."],
                    "status": "found",
                    "answer": "Refunds are given within 30 days.",
                },
                {
                    "question": "Is cash paid?",
                    "quotes": ["No cash."],
                    "status": "found",
                    "answer": "No cash.",
                },
            ])
        );
    }

    #[test]
    fn words_of_the_question_s_own_and_words_that_are_everywhere_prove_nothing() {
        let sentences = [
            "Rent is paid each month.",
            "Rent rises each year.",
            "Rent is given back never.",
        ];
        assert_eq!(best(&sentences, "How much cash is paid or given?"), None);
        assert_eq!(best(&sentences, "Does rent include heat?"), None);
        assert_eq!(
            best(&sentences, "By how much does the rent rise each year?"),
            Some(sentences[1])
        );
        assert_eq!(
            best(&["No fee."], "Is there a fee to join?"),
            Some("No fee.")
        );
    }
}

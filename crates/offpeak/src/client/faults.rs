//! The faults of an upload as a person reads them: by file, equal ones once.

use std::fmt::Write as _;
use std::path::PathBuf;

use offpeak_wire::{FieldError, Problem};

use crate::output::visible;

/// Files of one fault that are named; more are counted.
const NAMED: usize = 3;
/// Faults that are shown.
const SHOWN: usize = 10;

/// One sentence for each fault, in the order of the lines. `files` are those of
/// the lines, in order; without them lines go by their numbers.
pub(super) fn fold(errors: &[FieldError], files: &[PathBuf]) -> Vec<String> {
    let mut faults: Vec<(String, Vec<u64>)> = Vec::new();
    for error in errors {
        let what = if error.field.is_empty() {
            error.message.clone()
        } else {
            format!("{} {}", error.field, error.message)
        };
        match faults.iter_mut().find(|(fault, _)| *fault == what) {
            Some((_, lines)) => lines.extend(error.line),
            None => faults.push((what, error.line.into_iter().collect())),
        }
    }
    faults
        .into_iter()
        .map(|(what, lines)| match places(&lines, files) {
            Some(places) => format!("{places}: {what}"),
            None => what,
        })
        .collect()
}

/// Why nothing of an upload was stored.
pub(super) fn refusal(problem: &Problem, files: &[PathBuf]) -> anyhow::Error {
    let faults = fold(&problem.errors, files);
    let mut text = format!(
        "nothing was stored ({}, request {})",
        problem.code, problem.request_id
    );
    for fault in faults.iter().take(SHOWN) {
        text.push_str("\n  ");
        text.push_str(fault);
    }
    if let Some(more) = faults.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        let _ = write!(text, "\n  and {more} other faults");
    }
    // The server lists no more than its first hundred.
    let listed = problem.errors.len() as u64;
    if let Some(all) = problem.error_count.filter(|all| *all > listed) {
        let _ = write!(text, "\n  these are the first {listed} of {all} faults");
    }
    anyhow::anyhow!(text)
}

fn places(lines: &[u64], files: &[PathBuf]) -> Option<String> {
    let (first, word) = (
        lines.first()?,
        if files.is_empty() { "line" } else { "file" },
    );
    if lines.len() > NAMED {
        return Some(format!(
            "{} {word}s, the first {}",
            lines.len(),
            place(*first, files)
        ));
    }
    let named: Vec<String> = lines.iter().map(|line| place(*line, files)).collect();
    Some(named.join(", "))
}

fn place(line: u64, files: &[PathBuf]) -> String {
    let file = usize::try_from(line)
        .ok()
        .and_then(|line| files.get(line.checked_sub(1)?));
    match file {
        Some(file) => visible::path(file),
        None => format!("line {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: u64, field: &str, message: &str) -> FieldError {
        FieldError {
            line: Some(line),
            field: field.to_owned(),
            code: "schema_violation".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn equal_faults_are_said_once_and_by_file() {
        let mut errors: Vec<FieldError> = (1..=5)
            .map(|line| fault(line, "/input/max_words", "is required"))
            .collect();
        errors.insert(1, fault(2, "", "is too long"));
        let files: Vec<PathBuf> = (1..=5).map(|n| format!("docs/{n}.md").into()).collect();
        insta::assert_snapshot!(fold(&errors, &files).join("\n"), @r"
        5 files, the first docs/1.md: /input/max_words is required
        docs/2.md: is too long
        ");
        insta::assert_snapshot!(fold(&errors[..3], &[]).join("\n"), @r"
        line 1, line 2: /input/max_words is required
        line 2: is too long
        ");
    }
}

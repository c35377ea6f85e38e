//! What the torture harness may choose is there, once, and nothing ships it.

use std::collections::BTreeMap;

use anyhow::Result;
use offpeak_store::torture::{MUTANTS, POINTS, UNPASSED};

/// How often each name stands in `text` between these.
fn names(text: &str, before: &str, found: &mut BTreeMap<String, u32>) {
    for after in text.split(before).skip(1) {
        if let Some((name, _)) = after.split_once('"') {
            *found.entry(name.to_owned()).or_default() += 1;
        }
    }
}

/// Names of the code that are not told of, or the other way round.
fn check(kind: &str, told: &[&str], found: &BTreeMap<String, u32>) -> Vec<String> {
    let unknown = found.keys().filter(|name| !told.contains(&name.as_str()));
    let missing = told.iter().filter(|name| !found.contains_key(**name));
    let twice = found
        .iter()
        .filter(|(_, times)| kind == "point" && **times > 1);
    unknown
        .map(|name| format!("the {kind} {name} stands in the code and not in the list"))
        .chain(
            missing.map(|name| format!("the {kind} {name} stands in the list and not in the code")),
        )
        .chain(twice.map(|(name, _)| format!("the {kind} {name} stands in two places")))
        .collect()
}

#[test]
fn every_point_and_every_mutant_is_in_the_code() -> Result<()> {
    let root = super::root()?;
    let (mut points, mut mutants) = (BTreeMap::new(), BTreeMap::new());
    for file in super::files(&root)? {
        let is_code = file.extension().is_some_and(|kind| kind == "rs");
        let is_ours = file.starts_with("crates") && !file.starts_with("crates/testkit");
        if !is_code || !is_ours {
            continue;
        }
        let text = std::fs::read_to_string(root.join(&file))?;
        names(&text, "point!(\"", &mut points);
        names(&text, "mutant!(\"", &mut mutants);
        // Beside the list, which needs one for itself.
        names(&text, "is_mutant(\"", &mut mutants);
    }
    let mut wrong = check("point", &[POINTS, UNPASSED].concat(), &points);
    let told: Vec<&str> = MUTANTS.iter().map(|mutant| mutant.0).collect();
    wrong.extend(check("mutant", &told, &mutants));
    super::none("torture", &wrong);
    Ok(())
}

#[test]
fn what_is_missing_or_stands_twice_is_found() {
    let mut found = BTreeMap::new();
    names(
        "point!(\"a\"); point!(\"b\"); point!(\"b\");",
        "point!(\"",
        &mut found,
    );
    assert_eq!(
        check("point", &["b", "c"], &found),
        [
            "the point a stands in the code and not in the list",
            "the point c stands in the list and not in the code",
            "the point b stands in two places",
        ]
    );
}

/// No build has it but one that asks for it by name.
#[test]
fn no_feature_of_ours_brings_the_torture_along() -> Result<()> {
    let root = super::root()?;
    let mut wrong = Vec::new();
    for file in super::files(&root)? {
        if file.file_name().is_none_or(|name| name != "Cargo.toml") {
            continue;
        }
        for line in std::fs::read_to_string(root.join(&file))?.lines() {
            let asks = line.contains("torture") && line.contains("features");
            if asks || line.starts_with("default") && line.contains("torture") {
                wrong.push(format!("{}: {line}", file.display()));
            }
        }
    }
    super::none("torture", &wrong);
    Ok(())
}

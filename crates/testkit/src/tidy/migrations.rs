//! A migration runs while processes of the version before are at work, and they
//! go on afterwards: so it adds, and takes nothing away. What it takes away on
//! purpose, once no version in use needs it, has `-- contract: <why>` above it.

use std::path::Path;

use anyhow::{Context as _, Result};

/// The frozen first ones made the tables: nothing ran before them.
const FIRST: u32 = 4;
/// Says that no version that may run beside this one needs what goes.
const MARKER: &str = "-- contract: ";

/// A statement, and whether it is marked.
struct Statement {
    line: usize,
    marked: bool,
    /// In capitals, one space between words, without comments and bodies.
    text: String,
}

/// The statements of a file, as far as a ruler needs them: text in quotes or
/// between dollar signs is left out.
fn statements(sql: &str) -> Vec<Statement> {
    let (mut found, mut text, mut begin, mut marked) = (Vec::new(), String::new(), 0, false);
    let mut within: Option<String> = None;
    for (index, line) in sql.lines().enumerate() {
        if within.is_none() && line.trim_start().starts_with("--") {
            marked |= line.trim_start().len() > MARKER.len()
                && line.trim_start().starts_with(MARKER)
                && text.trim().is_empty();
            continue;
        }
        let mut rest = line;
        while !rest.is_empty() {
            if let Some(end) = &within {
                let Some(at) = rest.find(end.as_str()) else {
                    break;
                };
                rest = &rest[at + end.len()..];
                within = None;
                continue;
            }
            let at = rest
                .find(['\'', '$', ';'])
                .into_iter()
                .chain(rest.find("--"))
                .min()
                .unwrap_or(rest.len());
            if text.trim().is_empty() {
                begin = index + 1;
            }
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            match rest.chars().next() {
                Some(';') => {
                    found.push(Statement {
                        line: begin,
                        marked: std::mem::take(&mut marked),
                        text: words(&std::mem::take(&mut text)),
                    });
                    rest = &rest[1..];
                }
                Some('\'') => {
                    within = Some("'".to_owned());
                    rest = &rest[1..];
                }
                Some('$') => {
                    let tag = rest[1..].find('$').map_or(rest.len(), |end| end + 2);
                    within = Some(rest[..tag].to_owned());
                    rest = &rest[tag..];
                }
                // The rest is a comment, or nothing.
                _ => break,
            }
        }
        text.push(' ');
    }
    found
}

fn words(text: &str) -> String {
    let spaced = text
        .to_uppercase()
        .replace(',', " , ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    format!(" {} ", words.join(" "))
}

/// What a statement takes from the version before.
fn takes(statement: &str) -> Option<&'static str> {
    let has = |part: &str| statement.contains(part);
    let alters = has(" ALTER TABLE ");
    // An action of ALTER TABLE ends at a comma outside brackets.
    let mut depth = 0_i32;
    let mut required = alters && has(" ADD ");
    if required {
        required = statement
            .split_inclusive(|c| {
                depth += i32::from(c == '(') - i32::from(c == ')');
                c == ',' && depth == 0
            })
            .any(|action| {
                let gives = [" DEFAULT ", " GENERATED "];
                action.contains(" ADD ")
                    && !action.contains(" ADD CONSTRAINT ")
                    && [" NOT NULL ", " PRIMARY KEY "]
                        .iter()
                        .any(|must| action.contains(must))
                    && !gives.iter().any(|given| action.contains(given))
            });
    }
    if has(" DROP ") && !has(" DROP NOT NULL ") {
        Some("drops something")
    } else if has(" RENAME ") {
        Some("renames something")
    } else if alters && (has(" TYPE ") || has(" SET DATA TYPE ")) {
        Some("changes a type")
    } else if has(" SET NOT NULL ") {
        Some("demands a value that was optional")
    } else if required {
        Some("adds a column that must be given and has no default")
    } else if has(" TRUNCATE ") || statement.starts_with(" DELETE ") {
        Some("deletes rows")
    } else if has(" REVOKE ") && !has(" FROM PUBLIC ") {
        Some("takes a right away")
    } else if has(" REPLACE FUNCTION ") || has(" REPLACE VIEW ") {
        Some("changes what is called")
    } else if alters && has(" ADD ") && has(" CHECK ") && !has(" ADD COLUMN ") {
        Some("refuses values that were good")
    } else {
        None
    }
}

/// What migrations from the fourth on take away without saying so.
fn check(folder: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut files: Vec<_> = folder.read_dir()?.collect::<std::io::Result<_>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let number: u32 = name
            .split('_')
            .next()
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("{name} has no number"))?;
        if number < FIRST {
            continue;
        }
        for statement in statements(&std::fs::read_to_string(file.path())?) {
            if let (Some(what), false) = (takes(&statement.text), statement.marked) {
                wrong.push(format!("{name}:{}: {what}", statement.line));
            }
        }
    }
    Ok(wrong)
}

#[test]
fn a_migration_only_adds() -> Result<()> {
    let folder = super::root()?.join("crates/store/migrations");
    super::none(
        "processes of the version before go on working (docs/operating.md, Upgrading)",
        &check(&folder)?,
    );
    Ok(())
}

#[test]
fn what_is_taken_away_is_found() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let write = |name: &str, text: &str| std::fs::write(scratch.path().join(name), text);
    write("0003_frozen.sql", "DROP TABLE old;\n")?;
    write(
        "0004_adds.sql",
        "-- DROP TABLE in a comment\n\
         CREATE TABLE t (a int NOT NULL, type text, note text DEFAULT 'DROP; it''s');\n\
         ALTER TABLE t ADD COLUMN b int NOT NULL DEFAULT 0, ADD COLUMN c int; -- RENAME\n\
         ALTER TABLE t ADD COLUMN n numeric(38, 0) NOT NULL DEFAULT 0;\n\
         ALTER TABLE t ALTER COLUMN a DROP NOT NULL;\n\
         CREATE FUNCTION f() LANGUAGE sql AS $$ DELETE FROM t; DROP TABLE t; $$;\n\
         REVOKE ALL ON FUNCTION f FROM PUBLIC;\n",
    )?;
    write(
        "0005_takes.sql",
        "DROP INDEX i;\n\
         ALTER TABLE t\n    RENAME COLUMN a TO b;\n\
         ALTER TABLE t ALTER COLUMN a TYPE bigint;\n\
         ALTER TABLE t ALTER a SET NOT NULL;\n\
         ALTER TABLE t ADD COLUMN d int DEFAULT 0, ADD COLUMN e numeric(3, 0) NOT NULL;\n\
         ALTER TABLE t DROP COLUMN a, ADD b int;\n\
         DELETE FROM t;\n\
         REVOKE SELECT ON t FROM offpeak_api;\n\
         CREATE OR REPLACE FUNCTION f() LANGUAGE sql AS $x$ SELECT 1 $x$;\n\
         ALTER TABLE t ADD CHECK (a > 0);\n",
    )?;
    write(
        "0006_contract.sql",
        "-- contract: nothing since 0.2 reads it\nDROP TABLE t;\n\
         -- contract:\nDROP TABLE u;\n\
         DROP TABLE v; -- contract: too late\n",
    )?;
    assert_eq!(
        check(scratch.path())?,
        [
            "0005_takes.sql:1: drops something",
            "0005_takes.sql:2: renames something",
            "0005_takes.sql:4: changes a type",
            "0005_takes.sql:5: demands a value that was optional",
            "0005_takes.sql:6: adds a column that must be given and has no default",
            "0005_takes.sql:7: drops something",
            "0005_takes.sql:8: deletes rows",
            "0005_takes.sql:9: takes a right away",
            "0005_takes.sql:10: changes what is called",
            "0005_takes.sql:11: refuses values that were good",
            "0006_contract.sql:4: drops something",
            "0006_contract.sql:5: drops something",
        ]
    );
    Ok(())
}

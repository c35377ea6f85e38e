//! Long files do a second thing.

use std::path::Path;

use anyhow::Result;

/// Lines of a file of code, at most.
const LONGEST: usize = 500;

/// Files of code that are longer. Migrations are exempt: one that has been
/// released can never be split.
fn check(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in super::files(root)? {
        let code = file.extension().is_some_and(|kind| {
            ["rs", "py", "sh", "ts", "tsx"]
                .iter()
                .any(|code| kind == *code)
        });
        if !code {
            continue;
        }
        let lines = std::fs::read_to_string(root.join(&file))?.lines().count();
        if lines > LONGEST {
            wrong.push(format!(
                "{} has {lines} lines; at most {LONGEST}",
                file.display()
            ));
        }
    }
    Ok(wrong)
}

#[test]
fn no_file_is_too_long() -> Result<()> {
    super::none("length", &check(&super::root()?)?);
    Ok(())
}

#[test]
fn a_long_file_is_found() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    std::fs::write(scratch.path().join("long.rs"), "\n".repeat(LONGEST + 1))?;
    std::fs::write(scratch.path().join("short.rs"), "\n".repeat(LONGEST))?;
    std::fs::write(scratch.path().join("long.sql"), "\n".repeat(LONGEST + 1))?;
    assert_eq!(
        check(scratch.path())?,
        ["long.rs has 501 lines; at most 500"]
    );
    Ok(())
}

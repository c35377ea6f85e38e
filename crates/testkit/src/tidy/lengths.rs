//! Long files do a second thing.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Result;

/// Lines of a file of code, at most.
const LONGEST: usize = 500;

/// Whether a file is code: by its ending or, without one, by its first bytes.
fn is_code(path: &Path) -> Result<bool> {
    // Declarations are written by a generator.
    if path.to_string_lossy().ends_with(".d.ts") {
        return Ok(false);
    }
    if let Some(kind) = path.extension() {
        let code = ["rs", "py", "sh", "sql", "ts", "tsx"];
        return Ok(code.iter().any(|code| kind == *code));
    }
    let mut first = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut first)?;
    Ok(first == b"#!")
}

/// Files of code that are longer.
fn check(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in super::files(root)? {
        let path = root.join(&file);
        if !is_code(&path)? {
            continue;
        }
        let lines = std::fs::read_to_string(path)?.lines().count();
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
    std::fs::write(scratch.path().join("long.md"), "\n".repeat(LONGEST + 1))?;
    std::fs::write(scratch.path().join("long.d.ts"), "\n".repeat(LONGEST + 1))?;
    std::fs::write(scratch.path().join("TEXT"), "\n".repeat(LONGEST + 1))?;
    let script = format!("#!/bin/sh{}", "\n".repeat(LONGEST + 1));
    std::fs::write(scratch.path().join("script"), script)?;
    assert_eq!(
        check(scratch.path())?,
        [
            "long.rs has 501 lines; at most 500",
            "long.sql has 501 lines; at most 500",
            "script has 501 lines; at most 500",
        ]
    );
    Ok(())
}

//! Prose that names a path is part of the build: the path exists.

use std::path::Path;

use anyhow::Result;

/// What begins with one of these is a path of the repository.
const FOLDERS: &[&str] = &[
    "crates/",
    "scripts/",
    "docs/",
    ".ci/",
    ".cargo/",
    "dashboard/",
    "bench/",
    "examples/",
];

/// Paths that documents name and that do not exist.
fn check(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for document in super::files(root)? {
        if document.extension().is_none_or(|kind| kind != "md") {
            continue;
        }
        let text = std::fs::read_to_string(root.join(&document))?;
        let folder = document.parent().unwrap_or(Path::new(""));
        for (at, line) in text.lines().enumerate() {
            let linked = links(line).filter(|target| !root.join(folder).join(target).exists());
            let named = named(line).filter(|path| !root.join(path).exists());
            for path in linked.chain(named) {
                wrong.push(format!(
                    "{}:{}: there is no {path}",
                    document.display(),
                    at + 1
                ));
            }
        }
    }
    Ok(wrong)
}

/// Words of a line that are paths from the root.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || "/._-*<>".contains(c)))
        // Inside an address, or a pattern, nothing is named.
        .filter(|word| !word.contains(['*', '<', '>']))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
}

/// Targets of Markdown links into the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#']).next()?;
        let inside =
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        // An absolute path is one of a server's, such as /openapi.json.
        (inside && !target.starts_with('/')).then_some(target)
    })
}

#[test]
fn every_path_that_is_named_exists() -> Result<()> {
    super::none("paths in documents", &check(&super::root()?)?);
    Ok(())
}

#[test]
fn a_path_that_does_not_exist_is_found() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    std::fs::create_dir_all(scratch.path().join("crates/domain"))?;
    std::fs::create_dir(scratch.path().join("docs"))?;
    std::fs::write(
        scratch.path().join("docs/a.md"),
        "See `crates/domain` and `crates/gone/src/lib.rs`.\n\
         [here](a.md#top) [gone](b.md) [web](https://x.y/crates/z) `crates/*/src`\n",
    )?;
    assert_eq!(
        check(scratch.path())?,
        [
            "docs/a.md:1: there is no crates/gone/src/lib.rs",
            "docs/a.md:2: there is no b.md",
        ]
    );
    Ok(())
}

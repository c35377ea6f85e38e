//! The rules that keep the repository tidy. Each gives what breaks it, as lines
//! for whoever has to mend it; none is ever skipped for want of a tool.

mod arrows;
mod changelog;
mod lengths;
mod migrations;
mod openapi;
mod paths;
mod reasons;
mod routes;
mod torture;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The repository's root: two folders above this crate.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here
        .ancestors()
        .nth(2)
        .context("the crate stands in no repository")?
        .to_owned())
}

/// Every file that is the project's own, as paths from the root: no build
/// output, no data, nothing hidden but `.ci` and `.cargo`.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let hidden = name.starts_with('.') && ![".ci", ".cargo"].contains(&&*name);
            let built = ["target", "node_modules", "dist"].contains(&&*name);
            if hidden || built {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path().strip_prefix(root)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Fails with all lines of what is wrong, if anything is.
fn none(rule: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

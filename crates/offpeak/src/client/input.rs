//! What `submit` was given: files, folders and globs, found once and in a
//! fixed order, so that a repeat with the same idempotency key sends the same.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use globset::GlobBuilder;
use walkdir::WalkDir;

use crate::output::visible;

/// Characters that make an argument a glob, if no file has that very name.
const GLOB: [char; 4] = ['*', '?', '[', '{'];

/// All files that the arguments stand for: sorted, each once. Hidden files and
/// folders are found only when named themselves; links to folders are not followed.
pub(super) fn find(arguments: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for argument in arguments {
        if argument.is_dir() {
            walk(argument, &mut files, |_| true)?;
        } else if argument.exists() {
            files.push(argument.clone());
        } else if let Some(pattern) = argument.to_str().filter(|text| text.contains(GLOB)) {
            let before = files.len();
            let glob = GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .with_context(|| format!("{pattern:?} is not a glob"))?
                .compile_matcher();
            walk(&base_of(pattern), &mut files, |path| glob.is_match(path))?;
            if files.len() == before {
                bail!("no file matches {pattern:?}");
            }
        } else {
            bail!("there is no {}", visible::path(argument));
        }
    }
    files.sort();
    files.dedup();
    if files.is_empty() {
        bail!("there is no file in {}", list(arguments));
    }
    Ok(files)
}

fn walk(base: &Path, files: &mut Vec<PathBuf>, fits: impl Fn(&Path) -> bool) -> anyhow::Result<()> {
    // Without a base the walk begins here, and its paths should not say so.
    let (start, here) = if base.as_os_str().is_empty() {
        (Path::new("."), true)
    } else {
        (base, false)
    };
    let entries = WalkDir::new(start).into_iter().filter_entry(|entry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    });
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", visible::path(base)))?;
        let path = if here {
            entry.path().strip_prefix(".")?
        } else {
            entry.path()
        };
        // What else is no file is left out later, and said.
        if entry.path().is_dir() || !fits(path) {
            continue;
        }
        files.push(path.to_owned());
    }
    Ok(())
}

/// The folders before the first part with a glob's character.
fn base_of(pattern: &str) -> PathBuf {
    let fixed: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(GLOB))
        .collect();
    fixed
}

fn list(arguments: &[PathBuf]) -> String {
    arguments
        .iter()
        .map(|path| visible::path(path))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(arguments: &[&str]) -> Result<String, String> {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        for path in [
            "docs/a.md",
            "docs/deep/b.md",
            "docs/deep/c.txt",
            "docs/.git/config",
            "odd[1].md",
        ] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), path).unwrap();
        }
        let arguments: Vec<PathBuf> = arguments.iter().map(|path| root.join(path)).collect();
        let shown = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
        find(&arguments)
            .map(|files| {
                files
                    .iter()
                    .map(|path| shown(path))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .map_err(|error| error.to_string().replace(&*root.to_string_lossy(), "ROOT"))
    }

    #[test]
    fn finds_files_folders_and_globs_in_order_and_once() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(
            found(&["docs"]),
            ok("docs/a.md docs/deep/b.md docs/deep/c.txt")
        );
        assert_eq!(
            found(&["docs/**/*.md", "docs/a.md"]),
            ok("docs/a.md docs/deep/b.md")
        );
        assert_eq!(found(&["docs/*.md"]), ok("docs/a.md"));
        assert_eq!(found(&["odd[1].md"]), ok("odd[1].md"));
        assert_eq!(found(&["docs/.git"]), ok("docs/.git/config"));
    }

    #[test]
    fn an_empty_selection_is_a_mistake() {
        assert_eq!(
            found(&["nowhere"]),
            Err("there is no ROOT/nowhere".to_owned())
        );
        assert_eq!(
            found(&["docs/*.pdf"]),
            Err("no file matches \"ROOT/docs/*.pdf\"".to_owned())
        );
    }
}

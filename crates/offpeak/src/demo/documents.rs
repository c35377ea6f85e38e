//! The documents: found through `cargo metadata`, so that every machine that
//! built this project has them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::config::Environment;

/// Longer texts are cut: a licence or README says what it is before that.
const LONGEST: usize = 100_000;

/// One text of a dependency.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// `serde 1.0.228`.
    pub(super) package: String,
    /// The file's name.
    pub(super) file: String,
    /// The licence in the manifest.
    pub(super) declared: Option<String>,
    pub(super) text: String,
}

/// Everything that the demo submits, in a fixed order.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) licences: Vec<Document>,
    pub(super) readmes: Vec<Document>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for a crate of this workspace.
    source: Option<String>,
    manifest_path: PathBuf,
}

/// Collects them; of each kind at most `limit`.
pub(super) async fn collect(
    environment: &Environment,
    limit: Option<usize>,
) -> anyhow::Result<Documents> {
    let mut packages = metadata(environment).await?;
    packages.retain(|package| package.source.is_some());
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let limit = limit.unwrap_or(usize::MAX);
    let mut found = Documents {
        licences: Vec::new(),
        readmes: Vec::new(),
    };
    for package in &packages {
        let Some(folder) = package.manifest_path.parent() else {
            continue;
        };
        for (name, path) in files(folder) {
            let list = match kind(&name) {
                Some(Kind::Licence) => &mut found.licences,
                Some(Kind::Readme) => &mut found.readmes,
                None => continue,
            };
            if list.len() < limit
                && let Some(text) = text(&path)
            {
                list.push(Document {
                    package: format!("{} {}", package.name, package.version),
                    file: name,
                    declared: package.license.clone(),
                    text,
                });
            }
        }
    }
    if found.licences.is_empty() && found.readmes.is_empty() {
        bail!(
            "no licence and no README found in {} dependencies",
            packages.len()
        );
    }
    Ok(found)
}

async fn metadata(environment: &Environment) -> anyhow::Result<Vec<Package>> {
    let cargo = environment
        .path("CARGO")
        .unwrap_or_else(|| PathBuf::from("cargo"));
    let mut why = String::new();
    // What was built here is here; the network is only for a copied binary.
    for offline in [&["--offline"][..], &[]] {
        let answer = tokio::process::Command::new(&cargo)
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(offline)
            .output()
            .await
            .with_context(|| format!("cannot run {} metadata", cargo.display()))?;
        if answer.status.success() {
            let metadata: Metadata =
                serde_json::from_slice(&answer.stdout).context("the output of `cargo metadata`")?;
            return Ok(metadata.packages);
        }
        String::from_utf8_lossy(&answer.stderr)
            .trim()
            .clone_into(&mut why);
    }
    bail!("`cargo metadata` failed; run this in a clone of offpeak:\n{why}")
}

/// Regular files of a folder by name.
fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            entry.path().is_file().then(|| (name, entry.path()))
        })
        .collect();
    files.sort();
    files
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Licence,
    Readme,
}

fn kind(name: &str) -> Option<Kind> {
    let name = name.to_ascii_uppercase();
    let (stem, suffix) = name.split_once('.').unwrap_or((&name, ""));
    let is_text = matches!(suffix, "" | "MD" | "TXT" | "RST" | "MARKDOWN");
    if ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"]
        .iter()
        .any(|word| stem.starts_with(word))
    {
        // LICENSE-MIT, LICENSE.Apache-2.0, but no LICENSE.html.
        (!matches!(suffix, "HTML" | "RS" | "SPDX" | "TOML" | "YML")).then_some(Kind::Licence)
    } else {
        (stem == "README" && is_text).then_some(Kind::Readme)
    }
}

/// The text, cut if need be; none if it is empty or not UTF-8.
fn text(path: &Path) -> Option<String> {
    let mut text = std::fs::read_to_string(path).ok()?;
    text.truncate(text.floor_char_boundary(LONGEST));
    // NUL cannot be stored where text is kept.
    (!text.trim().is_empty() && !text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_licences_and_readmes_from_the_rest() {
        for name in [
            "LICENSE",
            "LICENSE-MIT",
            "license.txt",
            "LICENCE.md",
            "COPYING",
            "UNLICENSE",
        ] {
            assert_eq!(kind(name), Some(Kind::Licence), "{name}");
        }
        for name in ["README.md", "README", "Readme.rst"] {
            assert_eq!(kind(name), Some(Kind::Readme), "{name}");
        }
        for name in [
            "README.tpl",
            "README-crates.io.rs",
            "lib.rs",
            "LICENSE.html",
            "CHANGELOG.md",
        ] {
            assert_eq!(kind(name), None, "{name}");
        }
    }
}

//! What this binary carries, and whether that is whole.

use rust_embed::RustEmbed;
use serde_json::Value;

use super::files::{Files, PAGE};

/// What the build of the dashboard left, if there was one when this was compiled.
#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
#[allow_missing = true]
struct Dist;

/// The hash of the build that stood there then, by `build.rs`.
const SEEN: &str = env!("OFFPEAK_EMBEDDED_DASHBOARD");

/// Whether there is a dashboard in this binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Embedded {
    /// Nothing was there when it was compiled.
    Nothing,
    /// All of it.
    Whole {
        /// Of its contents, as its build worked it out.
        hash: String,
        /// How many files it has.
        files: usize,
    },
    /// Something that cannot be shown, and why.
    Broken(String),
}

impl Embedded {
    /// What this binary carries.
    pub fn here() -> Self {
        judge(&all(), SEEN)
    }
}

impl Files {
    /// Those of this binary, if they are whole: a page that misses its script is an
    /// empty one.
    pub(crate) fn embedded() -> Self {
        let files = all();
        match judge(&files, SEEN) {
            Embedded::Whole { .. } => files,
            Embedded::Nothing | Embedded::Broken(_) => Self::default(),
        }
    }
}

fn all() -> Files {
    Files::new(Dist::iter().filter_map(|name| {
        let file = Dist::get(&name)?;
        Some((name.into_owned(), file.data, file.metadata.sha256_hash()))
    }))
}

/// Whether these are one whole build, the one that was `seen`.
pub(super) fn judge(files: &Files, seen: &str) -> Embedded {
    let broken =
        |why: String| Embedded::Broken(format!("{why}: run `make dashboard` and build again"));
    if files.count() == 0 {
        return Embedded::Nothing;
    }
    let Some(page) = files.page() else {
        return broken(format!("there is no {PAGE}"));
    };
    let missing = named(&page.text())
        .into_iter()
        .find(|name| files.get(name).is_none());
    if let Some(missing) = missing {
        return broken(format!("{PAGE} names {missing}, which is not there"));
    }
    let manifest = files.get("manifest.json").map(super::File::text);
    let hash = manifest
        .and_then(|text| serde_json::from_str::<Value>(&text).ok())
        .and_then(|manifest| Some(manifest.get("hash")?.as_str()?.to_owned()))
        .unwrap_or_default();
    if hash.is_empty() || hash != seen {
        return broken(format!(
            "its manifest says {hash:?}, and {seen:?} was there when this was compiled"
        ));
    }
    Embedded::Whole {
        hash,
        files: files.count(),
    }
}

/// The server's own files that a page's scripts and links name.
fn named(page: &str) -> Vec<String> {
    let tags = page.split('<').filter_map(|rest| rest.split_once('>'));
    tags.filter(|(tag, _)| tag.starts_with("script") || tag.starts_with("link"))
        .flat_map(|(tag, _)| {
            [" src=\"", " href=\""].map(|start| {
                let (_, after) = tag.split_once(start)?;
                after.split('"').next()
            })
        })
        .flatten()
        .filter(|address| !address.contains(':') && !address.starts_with("//"))
        .map(|address| {
            let name = address.trim_start_matches("./").trim_start_matches('/');
            let end = name.find(['?', '#']).unwrap_or(name.len());
            name[..end].to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

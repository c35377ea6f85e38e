//! Real texts: read from the sources and papers of the packages that this build
//! stands on, so that compression and parsing do what they do in earnest.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Bytes that are read at most.
const MOST: usize = 256 << 20;
/// Prose first, then code.
const KINDS: [&[&str]; 2] = [&["md", "txt"], &["rs", "toml"]];

/// A long real text to cut from.
#[derive(Debug)]
pub struct Texts(String);

impl Texts {
    /// Reads what there is, up to a bound.
    pub fn read() -> Result<Self> {
        let mut files: [Vec<PathBuf>; 2] = Default::default();
        for root in roots() {
            collect(&root, &mut files);
        }
        let mut all = String::new();
        for kind in &mut files {
            // In one order, so that two runs measure the same.
            kind.sort();
            for file in kind {
                if all.len() > MOST {
                    break;
                }
                if let Ok(text) = std::fs::read_to_string(file) {
                    all.extend(text.chars().filter(|c| *c != '\0'));
                }
            }
        }
        ensure!(all.len() > 1 << 20, "there are no texts to cut from");
        Ok(Self(all))
    }

    /// Piece number `place` of `of`, of about `length` bytes. Pieces begin at
    /// different places, spread over everything, so no two are the same; they
    /// overlap when more is asked for than there is.
    pub fn cut(&self, place: usize, of: usize, length: usize) -> &str {
        let room = self.0.len().saturating_sub(length + 4);
        let start = self.0.ceil_char_boundary(room / of.max(1) * place);
        let end = self.0.ceil_char_boundary(start + length);
        self.0.get(start..end).unwrap_or_default()
    }
}

/// The packages' sources where cargo keeps them, and this repository.
fn roots() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    home.map(|home| home.join("registry/src"))
        .into_iter()
        .chain([repository.join("crates"), repository.join("docs")])
        .collect()
}

fn collect(folder: &Path, files: &mut [Vec<PathBuf>; 2]) {
    let Ok(entries) = folder.read_dir() else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&path, files),
            Ok(kind) if kind.is_file() => {
                let ending = path.extension().and_then(|ending| ending.to_str());
                let place = KINDS
                    .iter()
                    .position(|kinds| ending.is_some_and(|ending| kinds.contains(&ending)));
                if let Some(place) = place {
                    files[place].push(path);
                }
            }
            _ => {}
        }
    }
}

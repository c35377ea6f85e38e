//! The dashboard's files by name, each in the forms in which it was built.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::HeaderValue;
use bytes::Bytes;

/// The page in which everything else is named.
pub(super) const PAGE: &str = "index.html";

/// All of them; none where no dashboard is embedded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files(BTreeMap<String, File>);

/// One file.
#[derive(Clone, Debug)]
pub(super) struct File {
    page: bool,
    kind: &'static str,
    plain: Copy,
    brotli: Option<Copy>,
    gzip: Option<Copy>,
}

/// A file in one form.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) bytes: Bytes,
    /// Differs from that of the other forms: a cache must not mix them.
    pub(super) tag: HeaderValue,
}

impl Files {
    /// From names, what they name, and its SHA-256.
    pub(super) fn new(
        all: impl IntoIterator<Item = (String, Cow<'static, [u8]>, [u8; 32])>,
    ) -> Self {
        let mut copies: BTreeMap<String, Copy> = all
            .into_iter()
            .map(|(name, bytes, hash)| {
                let bytes = match bytes {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => Bytes::from(bytes),
                };
                (name, Copy::new(bytes, hash))
            })
            .collect();
        let names: Vec<String> = copies
            .keys()
            .filter(|name| !is_packed(name))
            .cloned()
            .collect();
        let files = names.into_iter().filter_map(|name| {
            let brotli = copies.remove(&format!("{name}.br"));
            let gzip = copies.remove(&format!("{name}.gz"));
            let file = File {
                page: name == PAGE,
                kind: kind(&name),
                plain: copies.remove(&name)?,
                brotli,
                gzip,
            };
            Some((name, file))
        });
        Self(files.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&File> {
        self.0.get(name)
    }

    pub(super) fn page(&self) -> Option<&File> {
        self.get(PAGE)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Copy {
    fn new(bytes: Bytes, hash: [u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        let tag = HeaderValue::try_from(format!("\"{:032x}\"", u128::from_be_bytes(half)))
            .unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { bytes, tag }
    }
}

impl File {
    pub(super) fn is_page(&self) -> bool {
        self.page
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.plain.bytes)
    }

    /// The shortest form that is there and can be read, with the name of its coding.
    pub(super) fn in_form(&self, reads: impl Fn(&str) -> bool) -> (Option<&'static str>, &Copy) {
        let forms = [("br", &self.brotli), ("gzip", &self.gzip)];
        forms
            .into_iter()
            .find_map(|(coding, copy)| {
                Some((Some(coding), copy.as_ref().filter(|_| reads(coding))?))
            })
            .unwrap_or((None, &self.plain))
    }
}

fn extension(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, end)| end)
}

fn is_packed(name: &str) -> bool {
    ["br", "gz"].contains(&extension(name))
}

fn kind(name: &str) -> &'static str {
    match extension(name) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

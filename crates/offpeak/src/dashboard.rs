//! What is said about the dashboard that this binary carries, or does not.

use offpeak_api::Embedded;

/// Where its build stands while one works on it.
const SOURCE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../dashboard/dist/manifest.json"
);

/// In one line, and whether somebody should look.
pub fn found() -> (bool, String) {
    match (Embedded::here(), newer()) {
        (Embedded::Nothing, _) => (
            true,
            "none is embedded: run `make dashboard` and build again".to_owned(),
        ),
        (Embedded::Broken(why), _) => (true, format!("not shown: {why}")),
        (Embedded::Whole { hash, .. }, Some(newer)) if newer != hash => (
            true,
            format!("{hash} is embedded, and {newer} was built since: build again"),
        ),
        (Embedded::Whole { hash, files }, _) => (false, format!("{hash}, {files} files")),
    }
}

/// Says so in the log of a server. Jobs go on without it.
pub fn tell() {
    match found() {
        (false, whole) => tracing::info!("the dashboard: {whole}"),
        (true, fault) => tracing::warn!("the dashboard: {fault}"),
    }
}

/// The build that stands in the source folder, for a program that is tried out there.
fn newer() -> Option<String> {
    if !cfg!(debug_assertions) {
        return None;
    }
    let manifest = std::fs::read_to_string(SOURCE).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).ok()?;
    Some(manifest.get("hash")?.as_str()?.to_owned())
}

//! The committed document of the HTTP API is the one that the code gives.

use anyhow::{Context as _, Result};

#[test]
fn the_committed_openapi_document_is_fresh() -> Result<()> {
    let path = super::root()?.join("docs/openapi.json");
    let committed = std::fs::read_to_string(&path).context("run `make openapi`")?;
    let fresh = serde_json::to_string_pretty(&offpeak_api::openapi())?;
    // The first difference says more than two long documents.
    let differs = committed
        .lines()
        .zip(fresh.lines())
        .position(|(old, new)| old != new);
    assert!(
        committed.trim_end() == fresh,
        "docs/openapi.json is stale from line {} on: run `make openapi`",
        differs.map_or(committed.lines().count().min(fresh.lines().count()), |at| {
            at
        }) + 1
    );
    Ok(())
}

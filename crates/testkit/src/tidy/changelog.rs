//! A version is told to those who use it.

use anyhow::Result;

#[test]
fn the_changelog_has_this_version() -> Result<()> {
    let text = std::fs::read_to_string(super::root()?.join("CHANGELOG.md"))?;
    let heading = format!("## [{}] - ", env!("CARGO_PKG_VERSION"));
    assert!(
        text.lines().any(|line| line.starts_with(&heading)),
        "CHANGELOG.md has no heading {heading:?}"
    );
    Ok(())
}

//! Says which dashboard the binary will carry, and when to look again. It never
//! builds one: that needs Node and a network, and is what `make dashboard` does.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script is configured by its environment"
)]

use std::path::Path;
use std::{env, fs};

const DIST: &str = "../../dashboard/dist";

fn main() -> Result<(), String> {
    // `make dashboard` touches this file: cargo does not see a folder appear that was
    // missing, nor one that was put back with old times.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=OFFPEAK_DASHBOARD_HASH");
    println!("cargo::rerun-if-env-changed=OFFPEAK_REQUIRE_DASHBOARD");
    let dist = Path::new(DIST);
    // What is named and missing would be built again every time.
    if dist.is_dir() {
        println!("cargo::rerun-if-changed={DIST}");
    }
    let manifest = fs::read_to_string(dist.join("manifest.json")).unwrap_or_default();
    let found = hash_in(&manifest).unwrap_or_default();
    let wanted = env::var("OFFPEAK_DASHBOARD_HASH").unwrap_or_default();
    if env::var("OFFPEAK_REQUIRE_DASHBOARD").is_ok_and(|word| word == "1") && found.is_empty() {
        return Err("there is no dashboard in dashboard/dist: run `make dashboard`".to_owned());
    }
    if !wanted.is_empty() && wanted != found {
        return Err(format!(
            "dashboard/dist holds {found:?} and OFFPEAK_DASHBOARD_HASH asks for {wanted:?}: run \
             `make dashboard`"
        ));
    }
    println!("cargo::rustc-env=OFFPEAK_EMBEDDED_DASHBOARD={found}");
    Ok(())
}

/// The hash that the manifest of a build names; a JSON parser for one word would be
/// compiled for every build.
fn hash_in(manifest: &str) -> Option<&str> {
    let (_, after) = manifest.split_once("\"hash\"")?;
    let hash = after.split('"').nth(1)?;
    hash.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        .then_some(hash)
}

//! Which of our crates may use which, and which keep what of others' out.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Every arrow there may be. Test dependencies are no arrows.
const ALLOWED: &[(&str, &[&str])] = &[
    ("offpeak-domain", &[]),
    ("offpeak-wire", &[]),
    ("offpeak-anthropic", &[]),
    ("offpeak-oidc", &[]),
    ("offpeak-standin", &["offpeak-anthropic"]),
    ("offpeak-store", &["offpeak-domain"]),
    (
        "offpeak-worker",
        &["offpeak-domain", "offpeak-store", "offpeak-anthropic"],
    ),
    (
        "offpeak-api",
        &[
            "offpeak-domain",
            "offpeak-wire",
            "offpeak-store",
            "offpeak-oidc",
            "offpeak-anthropic",
        ],
    ),
    (
        "offpeak",
        &[
            "offpeak-domain",
            "offpeak-oidc",
            "offpeak-wire",
            "offpeak-anthropic",
            "offpeak-standin",
            "offpeak-store",
            "offpeak-worker",
            "offpeak-api",
        ],
    ),
    // What tests stand on may use everything, and nothing uses it but tests.
    (
        "offpeak-testkit",
        &[
            "offpeak",
            "offpeak-domain",
            "offpeak-wire",
            "offpeak-anthropic",
            "offpeak-standin",
            "offpeak-store",
            "offpeak-worker",
            "offpeak-api",
        ],
    ),
    // So may what torments it from outside.
    (
        "offpeak-torture",
        &[
            "offpeak",
            "offpeak-domain",
            "offpeak-standin",
            "offpeak-store",
            "offpeak-testkit",
        ],
    ),
    // So may what measures.
    (
        "offpeak-bench",
        &[
            "offpeak",
            "offpeak-domain",
            "offpeak-anthropic",
            "offpeak-standin",
            "offpeak-store",
            "offpeak-worker",
            "offpeak-api",
            "offpeak-wire",
        ],
    ),
];

/// Who may have more of `offpeak-anthropic` than its shapes: whoever calls.
const CALLERS: &[&str] = &[
    "offpeak-worker",
    "offpeak",
    "offpeak-testkit",
    "offpeak-bench",
];

/// Crates of others that only these of ours may use.
const CONFINED: &[(&str, &[&str])] = &[
    (
        "sqlx",
        &[
            "offpeak-store",
            "offpeak-testkit",
            "offpeak-bench",
            "offpeak-torture",
        ],
    ),
    ("openidconnect", &["offpeak-oidc"]),
    (
        "reqwest",
        &[
            "offpeak-anthropic",
            "offpeak-oidc",
            "offpeak",
            "offpeak-testkit",
            "offpeak-bench",
            "offpeak-torture",
        ],
    ),
];

/// What rules and shapes know nothing of: waiting, HTTP, databases.
const OUTSIDE: &[&str] = &["axum", "reqwest", "sqlx", "tokio"];
/// Ours that are nothing but rules and shapes.
const PURE: &[&str] = &["offpeak-domain", "offpeak-wire"];

/// Arrows that there may not be.
fn check(metadata: &Value) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let packages = metadata["packages"].as_array().context("no packages")?;
    for package in packages {
        let name = package["name"]
            .as_str()
            .context("a package without a name")?;
        let Some((_, allowed)) = ALLOWED.iter().find(|(one, _)| *one == name) else {
            wrong.push(format!(
                "{name} is not among the crates whose arrows are known"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if dependency["kind"] == "dev" {
                continue;
            }
            if !dependency["path"].is_string() {
                if !may_use(name, on) {
                    wrong.push(format!("{name} may not use {on}"));
                }
                continue;
            }
            if !allowed.contains(&on) {
                wrong.push(format!("{name} may not use {on}"));
            }
            let client = dependency["uses_default_features"] == true
                || dependency["features"]
                    .as_array()
                    .is_some_and(|features| features.iter().any(|feature| feature == "client"));
            if on == "offpeak-anthropic" && client && !CALLERS.contains(&name) {
                wrong.push(format!(
                    "{name} may use the shapes of offpeak-anthropic only"
                ));
            }
        }
    }
    Ok(wrong)
}

/// Whether one of our crates may use one of others'.
fn may_use(name: &str, on: &str) -> bool {
    let confined = CONFINED.iter().find(|(one, _)| *one == on);
    confined.is_none_or(|(_, to)| to.contains(&name))
        && !(PURE.contains(&name) && OUTSIDE.contains(&on))
}

/// `cargo metadata` of this workspace, without its dependencies.
fn metadata() -> Result<Value> {
    let answer = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(super::root()?)
        .output()?;
    ensure!(
        answer.status.success(),
        "{}",
        String::from_utf8_lossy(&answer.stderr)
    );
    Ok(serde_json::from_slice(&answer.stdout)?)
}

#[test]
fn crates_use_only_what_they_may() -> Result<()> {
    super::none("arrows", &check(&metadata()?)?);
    Ok(())
}

#[test]
fn a_wrong_arrow_is_found() -> Result<()> {
    let dependency = |name: &str, kind: Value| {
        serde_json::json!({
            "name": name, "kind": kind, "path": "/x", "uses_default_features": true, "features": [],
        })
    };
    let metadata = serde_json::json!({ "packages": [
        { "name": "offpeak-domain", "dependencies": [
            dependency("offpeak-store", Value::Null), dependency("offpeak-wire", "dev".into()),
        ] },
        { "name": "offpeak-api", "dependencies": [dependency("offpeak-anthropic", Value::Null)] },
    ] });
    assert_eq!(
        check(&metadata)?,
        [
            "offpeak-domain may not use offpeak-store",
            "offpeak-api may use the shapes of offpeak-anthropic only",
        ]
    );
    Ok(())
}

#[test]
fn a_crate_of_others_in_the_wrong_place_is_found() -> Result<()> {
    let uses = |name: &str, on: &[(&str, Value)]| {
        let dependencies: Vec<Value> = on
            .iter()
            .map(|(on, kind)| serde_json::json!({ "name": on, "kind": kind, "path": null }))
            .collect();
        serde_json::json!({ "name": name, "dependencies": dependencies })
    };
    let none = Value::Null;
    let metadata = serde_json::json!({ "packages": [
        uses("offpeak-store", &[("sqlx", none.clone()), ("reqwest", none.clone())]),
        uses("offpeak-api", &[("axum", none.clone()), ("sqlx", none.clone())]),
        uses("offpeak-domain", &[("serde", none.clone()), ("tokio", none.clone())]),
        uses("offpeak-wire", &[("tokio", "dev".into()), ("axum", "build".into())]),
    ] });
    assert_eq!(
        check(&metadata)?,
        [
            "offpeak-store may not use reqwest",
            "offpeak-api may not use sqlx",
            "offpeak-domain may not use tokio",
            "offpeak-wire may not use axum",
        ]
    );
    Ok(())
}

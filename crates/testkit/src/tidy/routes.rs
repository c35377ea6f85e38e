//! Every route of the API is one that it tells of: axum does not tell which a router
//! has, and the walls between tenants are tried on those that are told.

use anyhow::Result;

/// Ways to a router that nobody could ask.
const WAYS: &[&str] = &[
    ".route(",
    ".route_service(",
    ".nest(",
    ".nest_service(",
    ".fallback_service(",
];

/// Where the one way stands.
const ROUTES: &str = "crates/api/src/routes.rs";

/// Lines that add a route beside [`ROUTES`]. Unit tests have routers of their own.
fn check(file: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
    let lines = code.lines().enumerate();
    lines
        .filter(|(_, line)| WAYS.iter().any(|way| line.contains(way)))
        .map(|(at, line)| format!("{file}:{}: {}", at + 1, line.trim()))
        .collect()
}

#[test]
fn every_route_of_the_api_is_told_of() -> Result<()> {
    let root = super::root()?;
    let (mut wrong, mut told) = (Vec::new(), 0);
    for file in super::files(&root)? {
        let name = file.display().to_string();
        let is_code = file.extension().is_some_and(|kind| kind == "rs");
        let is_test = file.ends_with("tests.rs");
        if !is_code || is_test || !file.starts_with("crates/api/src") {
            continue;
        }
        let found = check(&name, &std::fs::read_to_string(root.join(&file))?);
        if name == ROUTES {
            told = found.len();
        } else {
            wrong.extend(found);
        }
    }
    assert!(
        told > 0,
        "{ROUTES} adds none: this looks in the wrong place"
    );
    super::none("a route beside crates/api/src/routes.rs", &wrong);
    Ok(())
}

#[test]
fn a_route_by_another_way_is_found() {
    let text = "fn f() {\n    r.route(\"/x\", get(x));\n    Routes::new().at(\"/y\", get(y))\n}\n\
                #[cfg(test)]\nmod tests {\n    r.route(\"/z\", get(z));\n}\n";
    assert_eq!(check("a.rs", text), ["a.rs:2: r.route(\"/x\", get(x));"]);
}

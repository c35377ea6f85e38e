//! What is depended on directly has a line that says why, where it is asked for; and
//! no npm package may run anything to be installed.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Direct dependencies without a reason, and installs that let scripts run.
fn check(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for file in super::files(root)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let kind = file.extension().unwrap_or_default();
        let shown = file.display().to_string();
        let listed = kind == "txt"
            && (name.starts_with("requirements")
                || file
                    .parent()
                    .is_some_and(|folder| folder.ends_with("requirements")));
        let program = file.starts_with("scripts") || file.starts_with(".ci") || name == "Makefile";
        if !(name == "Cargo.toml" || name == "package.json" || listed || program || kind == "md") {
            continue;
        }
        let text = std::fs::read_to_string(root.join(&file))?;
        let found = match &*name {
            "Cargo.toml" => crates(&text),
            "package.json" => {
                let readme = root.join(&file).with_file_name("README.md");
                packages(&text, &std::fs::read_to_string(readme).unwrap_or_default())?
            }
            _ if listed => distributions(&text),
            _ => installs(&text),
        };
        wrong.extend(found.into_iter().map(|fault| format!("{shown}: {fault}")));
    }
    Ok(wrong)
}

/// Whether a comment says enough to be a reason.
fn says_why(comment: &str) -> bool {
    comment.trim().len() >= 8
}

/// A workspace's dependencies say why behind `#`; those of a member are the workspace's.
fn crates(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut wrong = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            if line.contains("dependencies.") {
                wrong.push(format!("{line} is not one line, which says why"));
            }
            continue;
        }
        if line.is_empty() || line.starts_with('#') || !section.ends_with("dependencies]") {
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        if section == "[workspace.dependencies]" {
            // Ours need none. A version or a feature has no `#` in it.
            let why = line.split_once('#').map_or("", |(_, why)| why);
            if !line.contains("path = ") && !says_why(why) {
                wrong.push(format!("{name} does not say why it is there, behind a #"));
            }
        } else if !line.contains("workspace = true") {
            wrong.push(format!(
                "{name} is not one of [workspace.dependencies], which say why"
            ));
        }
    }
    wrong
}

/// Packages of npm stand in a table of the README beside their file, and no others do.
fn packages(manifest: &str, readme: &str) -> Result<Vec<String>> {
    let manifest: Value = serde_json::from_str(manifest).context("package.json is not JSON")?;
    let named: BTreeSet<&str> = ["dependencies", "devDependencies", "optionalDependencies"]
        .iter()
        .filter_map(|kind| manifest[kind].as_object())
        .flat_map(|all| all.keys().map(String::as_str))
        .collect();
    let said: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter(|(_, why)| says_why(why.trim_end_matches('|')))
        .map(|(name, _)| name)
        .collect();
    Ok(named
        .difference(&said)
        .map(|name| format!("README.md has no line | `{name}` | why |"))
        .collect())
}

/// What pip is asked for says why behind `#`, or through what it comes: `# via NAME`.
fn distributions(list: &str) -> Vec<String> {
    let list = list.replace("\\\n", " ");
    let lines: Vec<&str> = list
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let names: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| Some(line.split_once("==")?.0))
        .collect();
    lines
        .iter()
        .filter_map(|line| {
            let Some((name, rest)) = line.split_once("==") else {
                return Some(format!("{line} is not of one exact version"));
            };
            let why = rest.split_once(" # ").map_or("", |(_, why)| why.trim());
            match why.strip_prefix("via ") {
                Some(through) if names.contains(through) && through != name => None,
                None if says_why(why) => None,
                _ => Some(format!(
                    "{name} does not say why it is there, or via which of the others"
                )),
            }
        })
        .collect()
}

/// `npm ci` and `npm install` run nothing of what they install.
fn installs(text: &str) -> Vec<String> {
    let calls = |line: &str| {
        let plain = line.replace(['"', '\'', ','], "");
        ["npm ci", "npm install", "npm i "].iter().any(|call| plain.contains(call))
            && !plain.contains("--ignore-scripts")
            // Prose may name the command; a program or a console block gives it.
            && !line.contains("`npm ")
    };
    text.lines()
        .filter(|line| calls(line))
        .map(|line| format!("without --ignore-scripts: {}", line.trim()))
        .collect()
}

#[test]
fn every_direct_dependency_says_why_it_is_there() -> Result<()> {
    super::none("dependencies", &check(&super::root()?)?);
    Ok(())
}

#[test]
fn a_dependency_without_a_reason_is_found() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let write = |path: &str, text: &str| -> Result<()> {
        let path = scratch.path().join(path);
        std::fs::create_dir_all(path.parent().context("a file in no folder")?)?;
        Ok(std::fs::write(path, text)?)
    };
    write(
        "Cargo.toml",
        "[workspace.dependencies]\nours = { path = \"x\" }\na = \"1\" # reads what is sent\n\
         b = { version = \"1\", features = [\"c\"] } #\nd = \"2\"\n[profile.dev]\ndebug = false\n",
    )?;
    write(
        "crates/x/Cargo.toml",
        "[dependencies]\na.workspace = true\nb = { workspace = true, optional = true }\n\
         [dev-dependencies]\ne = \"1\" # why not\n[build-dependencies.p]\nversion = \"1\"\n",
    )?;
    write(
        "page/package.json",
        "{ \"dependencies\": { \"f\": \"1.0.0\" }, \"devDependencies\": { \"@g/h\": \"1.0.0\", \"i\": \"1.0.0\" } }",
    )?;
    write(
        "page/README.md",
        "| `f` | draws the page |\n| `i` | |\n\n$ npm ci\n$ npm ci --ignore-scripts\n",
    )?;
    write(
        "scripts/requirements/j.txt",
        "j==1 \\\n    --hash=sha256:00  # judges the others\nk==1  # via j\nl==1  # via m\nn>=1  # newest\no==1\n",
    )?;
    write(
        "scripts/make",
        "run(\"npm\", \"install\", \"--silent\")\nnpm ci --ignore-scripts\n",
    )?;
    let mut wrong = check(scratch.path())?;
    wrong.sort();
    assert_eq!(
        wrong,
        [
            "Cargo.toml: b does not say why it is there, behind a #",
            "Cargo.toml: d does not say why it is there, behind a #",
            "crates/x/Cargo.toml: [build-dependencies.p] is not one line, which says why",
            "crates/x/Cargo.toml: e is not one of [workspace.dependencies], which say why",
            "page/README.md: without --ignore-scripts: $ npm ci",
            "page/package.json: README.md has no line | `@g/h` | why |",
            "page/package.json: README.md has no line | `i` | why |",
            "scripts/make: without --ignore-scripts: run(\"npm\", \"install\", \"--silent\")",
            "scripts/requirements/j.txt: l does not say why it is there, or via which of the others",
            "scripts/requirements/j.txt: n>=1  # newest is not of one exact version",
            "scripts/requirements/j.txt: o does not say why it is there, or via which of the others",
        ]
    );
    Ok(())
}

//! `offpeak types`: the job types that a tenant can use, and new ones.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use offpeak_wire::{JobType, JobTypeRequest, Page};

use super::http::{Client, escape};
use crate::exit::{Ended, Exit, Failure};
use crate::output::{Output, visible};

/// Arguments of `types`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Show this one
    name: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Store a job type; of a name that exists a new version
    #[command(after_help = MINIMAL)]
    Create {
        /// Its definition, in TOML or JSON
        file: PathBuf,
    },
}

/// The shortest definition that works; a test reads it.
const MINIMAL: &str = r#"A minimal definition, as TOML:

  name = "translate"
  model = "claude-haiku-5-5"
  max_tokens = 2000
  template = "Translate into French:\n\n{{ text }}"

  [input_schema]
  type = "object"
  required = ["text"]
  properties = { text = { type = "string" } }

Optional: description, system (a system prompt), and output_schema, the JSON schema of an answer
that is to be JSON."#;

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    if let Some(Command::Create { file }) = &args.command {
        let definition = read(file).map_err(Failure::usage)?;
        let stored: JobType = client.post_json("/v1/job-types", &definition).await?;
        if output.json {
            output.value(&stored)?;
        } else {
            output.line(&format!("{}, version {}", stored.name, stored.version))?;
            output.talk(&format!("use it with `--type {}`", stored.name));
        }
        return Ok(Exit::Ok);
    }
    if let Some(name) = &args.name {
        let found: JobType = client
            .get(&format!("/v1/job-types/{}", escape(name)))
            .await?;
        // Schemas are JSON, and that is how they are read.
        output.value(&found)?;
        return Ok(Exit::Ok);
    }
    let types: Vec<JobType> = client.get::<Page<JobType>>("/v1/job-types").await?.data;
    if output.json {
        output.value(&types)?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = types
        .iter()
        .map(|one| {
            vec![
                one.name.clone(),
                one.version.to_string(),
                one.model.clone(),
                if one.shipped { "shipped" } else { "own" }.to_owned(),
                fields(one),
                one.description.clone(),
            ]
        })
        .collect();
    output.table(
        &["TYPE", ">VERSION", "MODEL", "FROM", "INPUT", "WHAT IT DOES"],
        &rows,
    )?;
    Ok(Exit::Ok)
}

fn read(file: &Path) -> anyhow::Result<JobTypeRequest> {
    let shown = visible::path(file);
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let is_json = file.extension().is_some_and(|ending| ending == "json")
        || text.trim_start().starts_with('{');
    parse(&text, is_json).with_context(|| format!("{shown} is no definition of a job type"))
}

fn parse(text: &str, is_json: bool) -> anyhow::Result<JobTypeRequest> {
    if is_json {
        Ok(serde_json::from_str(text)?)
    } else {
        Ok(toml::from_str(text)?)
    }
}

/// The input's fields; those that may be left out in brackets.
fn fields(one: &JobType) -> String {
    let required: Vec<&str> = one
        .input_schema
        .get("required")
        .and_then(|names| names.as_array())
        .map(|names| names.iter().filter_map(|name| name.as_str()).collect())
        .unwrap_or_default();
    let Some(properties) = one
        .input_schema
        .get("properties")
        .and_then(|all| all.as_object())
    else {
        return String::new();
    };
    let shown = properties.keys().map(|name| {
        if required.contains(&name.as_str()) {
            name.clone()
        } else {
            format!("[{name}]")
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_in_the_help_is_one() {
        let text: String = MINIMAL
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .flat_map(|line| [line, "\n"])
            .collect();
        let definition = parse(&text, false).unwrap();
        assert_eq!(definition.name, "translate");
        let json = serde_json::to_string(&definition).unwrap();
        assert_eq!(parse(&json, true).unwrap(), definition);
    }
}

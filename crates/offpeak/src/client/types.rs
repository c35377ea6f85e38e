//! `offpeak types`: the job types that a tenant can use.

use offpeak_wire::{JobType, Page};

use super::http::{Client, escape};
use crate::exit::{Ended, Exit};
use crate::output::Output;

/// Arguments of `types`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show this one
    name: Option<String>,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
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
    let rows = types
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
        rows,
    )?;
    Ok(Exit::Ok)
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

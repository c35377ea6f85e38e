//! The job types that an estimate renders with: the server's where there is
//! one, else those that ship; and how long their answers have been.

use std::collections::HashMap;

use offpeak_domain::job_type::{self, Compiled};
use offpeak_wire::{JobType, Page, UsageReport};

use crate::client::{Client, Error};
use crate::exit::Failure;
use crate::output::Output;

/// Jobs of a type that must have been measured before their average counts.
const ENOUGH: u64 = 20;

/// Job types by name.
#[derive(Debug, Default)]
pub(crate) struct Types {
    known: HashMap<String, job_type::JobType>,
    compiled: HashMap<String, Compiled>,
    lengths: HashMap<String, u64>,
    /// Whether a server was asked.
    pub(super) asked: bool,
}

impl Types {
    /// Those that ship, and over them those of a server that can be reached.
    pub(crate) async fn load(client: Option<&Client>, output: Output) -> Result<Self, Failure> {
        let mut types = Self::default();
        for shipped in job_type::shipped().map_err(Failure::usage)? {
            types.known.insert(shipped.name.clone(), shipped);
        }
        let Some(client) = client else {
            return Ok(types);
        };
        match client.get::<Page<JobType>>("/v1/job-types").await {
            Ok(page) => {
                for one in &page.data {
                    let definition = definition(one).map_err(Failure::server)?;
                    types.known.insert(definition.name.clone(), definition);
                }
            }
            Err(error @ Error::Unreachable { .. }) => {
                output.talk(&format!(
                    "{error}: estimating with the job types that ship, and without measured \
                     lengths of answers"
                ));
                return Ok(types);
            }
            Err(error) => return Err(error.into()),
        }
        let report: UsageReport = client.get("/v1/usage?by=type").await?;
        for row in report.rows {
            if let Some(name) = row.r#type
                && row.total.attempts >= ENOUGH
            {
                let average = row.total.output_tokens.div_ceil(row.total.attempts);
                types.lengths.insert(name, average);
            }
        }
        types.asked = true;
        Ok(types)
    }

    /// One made ready, or what to do about it.
    pub(super) fn get(&mut self, name: &str) -> Result<&Compiled, String> {
        // Two looks, since what was found cannot be given back while it may still be changed.
        if !self.compiled.contains_key(name) {
            let Some(definition) = self.known.get(name) else {
                return Err(self.missing(name));
            };
            let compiled = Compiled::new(definition.clone()).map_err(|error| error.to_string())?;
            self.compiled.insert(name.to_owned(), compiled);
        }
        self.compiled.get(name).ok_or_else(|| self.missing(name))
    }

    /// The measured length of its answers, if enough were measured.
    pub(super) fn length(&self, name: &str) -> Option<u64> {
        self.lengths.get(name).copied()
    }

    fn missing(&self, name: &str) -> String {
        if self.asked {
            return format!(
                "there is no job type {name:?}: `offpeak types` lists those that there are"
            );
        }
        let mut names: Vec<&str> = self.known.keys().map(String::as_str).collect();
        names.sort_unstable();
        format!(
            "no job type {name:?} ships with offpeak ({} do): set OFFPEAK_URL and OFFPEAK_KEY for \
             your own",
            names.join(", ")
        )
    }
}

/// The definition inside what the wire has: the same fields, whatever they are,
/// without those that the server adds.
fn definition(one: &JobType) -> serde_json::Result<job_type::JobType> {
    let mut fields = serde_json::to_value(one)?;
    if let Some(fields) = fields.as_object_mut() {
        fields.shift_remove("shipped");
        fields.shift_remove("created_at");
    }
    serde_json::from_value(fields)
}

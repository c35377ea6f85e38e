//! How files become inputs of a job type: the same for `submit`, which sends
//! them, and for `estimate`, which only prices them.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value};

/// The server takes lines of 32 MB, and a text grows a little as JSON.
const LONGEST_FILE: u64 = 24_000_000;

/// Arguments that say which job type, and what of its input a file does not hold.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Form {
    /// The job type of every file
    #[arg(long = "type", value_name = "NAME")]
    pub(super) job_type: Option<String>,
    /// The field of the input that takes a file's text
    #[arg(long, default_value = "text")]
    field: String,
    /// A further field of the input, as text
    #[arg(long, value_name = "FIELD=TEXT")]
    set: Vec<String>,
    /// A further field of the input, as JSON
    #[arg(long, value_name = "FIELD=JSON")]
    set_json: Vec<String>,
}

/// The same, read.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub(super) job_type: String,
    field: String,
    extra: Map<String, Value>,
}

impl Form {
    /// Whether anything is said that goes with files alone.
    pub(super) fn is_said(&self) -> bool {
        self.job_type.is_some() || !self.set.is_empty() || !self.set_json.is_empty()
    }

    pub(super) fn read(&self) -> anyhow::Result<Filled> {
        let job_type = self.job_type.clone().context(
            "say which job type the files are for: --type summarize (`offpeak types` lists them)",
        )?;
        let mut extra = Map::new();
        for pair in &self.set {
            let (field, text) = split(pair)?;
            extra.insert(field.to_owned(), Value::String(text.to_owned()));
        }
        for pair in &self.set_json {
            let (field, text) = split(pair)?;
            let value = serde_json::from_str(text)
                .with_context(|| format!("--set-json {field}: not JSON (for text use --set)"))?;
            extra.insert(field.to_owned(), value);
        }
        anyhow::ensure!(
            !extra.contains_key(&self.field),
            "the field {0:?} takes each file's text: set it not, or name another field with --field",
            self.field
        );
        Ok(Filled {
            job_type,
            field: self.field.clone(),
            extra,
        })
    }
}

impl Filled {
    /// The input that one file makes.
    pub(super) async fn input(&self, file: &Path) -> anyhow::Result<Map<String, Value>> {
        let facts = tokio::fs::metadata(file).await?;
        // To open a pipe would be to wait for whoever writes into it.
        anyhow::ensure!(facts.is_file(), "not a regular file");
        let length = facts.len();
        anyhow::ensure!(length <= LONGEST_FILE, "longer than {LONGEST_FILE} bytes");
        let bytes = tokio::fs::read(file).await?;
        let text = String::from_utf8(bytes).ok().context("not UTF-8 text")?;
        anyhow::ensure!(!text.trim().is_empty(), "empty");
        let mut input = self.extra.clone();
        input.insert(self.field.clone(), Value::String(text));
        Ok(input)
    }
}

fn split(pair: &str) -> anyhow::Result<(&str, &str)> {
    pair.split_once('=')
        .with_context(|| format!("{pair:?} should be FIELD=VALUE"))
}

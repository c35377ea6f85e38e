//! A row of the table, and how its text becomes bytes.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

const FILES: [(&str, &str); 12] = [
    ("jobs", include_str!("jobs.toml")),
    ("fields", include_str!("fields.toml")),
    ("params", include_str!("params.toml")),
    ("bulk", include_str!("bulk.toml")),
    ("job_types", include_str!("job_types.toml")),
    ("lists", include_str!("lists.toml")),
    ("ids", include_str!("ids.toml")),
    ("budgets", include_str!("budgets.toml")),
    ("dashboard", include_str!("dashboard.toml")),
    ("live", include_str!("live.toml")),
    ("http", include_str!("http.toml")),
    ("media", include_str!("media.toml")),
];

/// One request and its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// What is wrong with it.
    pub(super) name: String,
    /// Method and path.
    pub(super) send: String,
    /// In the header `authorization`; the tenant's own key unless said.
    #[serde(default = "own_key")]
    pub(super) key: String,
    #[serde(default)]
    pub(super) headers: Vec<[String; 2]>,
    /// Text in which `«…»` stands for something: see [`Facts`](super::Facts).
    #[serde(default)]
    pub(super) body: String,
    /// How the upload breaks.
    pub(super) cut: Option<Cut>,
    /// As [`Answer::problem`](crate::api::Answer::problem) shows it, or a bare
    /// status where the request is good.
    pub(super) want: String,
    /// The problem's detail; `…` at its end stands for any more.
    #[serde(default)]
    says: String,
}

/// Where a client falls silent for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cut {
    /// Before the length that it announced.
    Length,
    /// Within a chunk.
    Chunk,
    /// After a whole chunk, without the last one.
    End,
    /// It sends what is no chunk.
    Size,
}

fn own_key() -> String {
    "Bearer «key»".to_owned()
}

impl Row {
    /// Whether it is the good side of a limit.
    pub(super) fn passes(&self) -> bool {
        self.want.starts_with('2')
    }

    pub(super) fn is_said(&self, detail: &str) -> bool {
        match self.says.strip_suffix('…') {
            Some(beginning) => detail.starts_with(beginning),
            None => detail == self.says,
        }
    }

    /// The same with an id that nobody has, where this one is another tenant's.
    pub(super) fn of_nobody(&self) -> Option<Self> {
        self.send.contains("«other.").then(|| Self {
            send: self.send.replace("«other.", "«nobody."),
            ..self.clone()
        })
    }

    fn check(&self) -> Result<()> {
        let words: Vec<&str> = self.want.split(' ').collect();
        let status: u16 = words[0].parse()?;
        if self.passes() {
            ensure!(words.len() == 1 && self.says.is_empty(), "a good request");
            return Ok(());
        }
        ensure!((400..500).contains(&status), "a bad request");
        ensure!(words.len() >= 2, "want names no code");
        ensure!(self.says.len() >= 10, "says nothing to a person");
        Ok(())
    }
}

pub(super) fn all() -> Result<Vec<Row>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        row: Vec<Row>,
    }
    let mut rows: Vec<Row> = Vec::new();
    for (file, text) in FILES {
        let read: File = toml::from_str(text).with_context(|| format!("{file}.toml"))?;
        rows.extend(read.row);
    }
    for (at, row) in rows.iter().enumerate() {
        row.check().with_context(|| row.name.clone())?;
        if rows[..at].iter().any(|other| other.name == row.name) {
            bail!("two rows are called {:?}", row.name);
        }
    }
    Ok(rows)
}

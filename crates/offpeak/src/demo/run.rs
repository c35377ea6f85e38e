//! Submits both groups, each once however often this starts, and waits for them.

use std::path::Path;
use std::time::Duration;

use futures_util::stream;
use offpeak_wire::{Group, JobRequest};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::documents::{Document, Documents};
use super::licence;
use crate::client::{Client, Error, Progress, fresh_key, line, upload};
use crate::exit::{Exit, Failure};

/// Where a run is noted, in the data folder.
const FILE: &str = "demo.json";
const SUMMARY_WORDS: u32 = 60;
const LOOK: Duration = Duration::from_millis(500);

/// The two groups, done.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) licences: Group,
    pub(super) readmes: Group,
}

/// A run as it is noted: the keys before anything is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    licences: String,
    readmes: String,
    finished: bool,
}

pub(super) async fn to_the_end(
    client: &Client,
    documents: &Documents,
    folder: &Path,
    progress: &mut Progress,
) -> Result<Done, Failure> {
    let path = folder.join(FILE);
    let (mut note, mut resumed) = match read(&path) {
        Some(note) if !note.finished => (note, true),
        _ => (begin(&path)?, false),
    };
    let (licences, readmes) = loop {
        let sent = send(client, documents, &note).await;
        match sent {
            // Other documents than when that run began: it cannot be gone on with.
            Err(Error::Refused(problem)) if resumed && problem.status == 422 => {
                progress.say("the documents have changed since the last run: starting a new one");
                (note, resumed) = (begin(&path)?, false);
            }
            sent => break sent?,
        }
    };
    if resumed {
        progress.say("going on with the run that was cut off");
    }

    let mut looks = tokio::time::interval(LOOK);
    let done = loop {
        looks.tick().await;
        let licences: Group = client.get(&format!("/v1/groups/{licences}")).await?;
        let readmes: Group = client.get(&format!("/v1/groups/{readmes}")).await?;
        progress.group(&sum(&licences, &readmes));
        if licences.done && readmes.done {
            break Done { licences, readmes };
        }
    };
    note.finished = true;
    write(&path, &note)?;
    Ok(done)
}

/// The job of a licence text: its type and its input.
pub(super) fn classify(document: &Document) -> (&'static str, Value) {
    let input = json!({
        "text": document.text,
        "categories": licence::families(),
        "hint": licence::HINT,
    });
    ("classify", input)
}

/// The job of a README.
pub(super) fn summarize(document: &Document) -> (&'static str, Value) {
    let input = json!({ "text": document.text, "max_words": SUMMARY_WORDS });
    ("summarize", input)
}

async fn send(
    client: &Client,
    documents: &Documents,
    note: &Note,
) -> Result<(String, String), Error> {
    let licences = group(
        client,
        &documents.licences,
        "licences",
        &note.licences,
        classify,
    )
    .await?;
    let readmes = group(
        client,
        &documents.readmes,
        "readmes",
        &note.readmes,
        summarize,
    )
    .await?;
    Ok((licences, readmes))
}

async fn group(
    client: &Client,
    documents: &[Document],
    name: &'static str,
    key: &str,
    job: impl Fn(&Document) -> (&'static str, Value) + Send + 'static,
) -> Result<String, Error> {
    let documents = documents.to_vec();
    let lines = stream::iter(
        documents
            .into_iter()
            .enumerate()
            .map(move |(at, document)| {
                let (job_type, input) = job(&document);
                line(&JobRequest {
                    r#type: Some(job_type.to_owned()),
                    input: Some(to_raw_value(&input)?),
                    metadata: Some(to_raw_value(
                        &json!({ "at": at, "package": document.package, "file": document.file }),
                    )?),
                    ..JobRequest::default()
                })
            }),
    );
    Ok(upload(client, lines, Some(name), false, key).await?.group)
}

/// Both as one, for the progress.
fn sum(a: &Group, b: &Group) -> Group {
    let mut both = a.clone();
    both.jobs += b.jobs;
    both.counts.queued += b.counts.queued;
    both.counts.submitted += b.counts.submitted;
    both.counts.processing += b.counts.processing;
    both.counts.completed += b.counts.completed;
    both.counts.failed += b.counts.failed;
    both.counts.canceled += b.counts.canceled;
    both
}

fn begin(path: &Path) -> Result<Note, Failure> {
    let key = || fresh_key().map_err(Failure::usage);
    let note = Note {
        licences: key()?,
        readmes: key()?,
        finished: false,
    };
    write(path, &note)?;
    Ok(note)
}

fn read(path: &Path) -> Option<Note> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

fn write(path: &Path, note: &Note) -> Result<(), Failure> {
    let next = path.with_extension("new");
    serde_json::to_vec(note)
        .map_err(std::io::Error::from)
        .and_then(|text| std::fs::write(&next, text))
        .and_then(|()| std::fs::rename(&next, path))
        .map_err(|error| Failure {
            exit: Exit::Usage,
            error: anyhow::Error::new(error).context(format!("cannot write {}", path.display())),
        })
}

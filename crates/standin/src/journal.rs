//! The journal: one line for every item that was billed, appended, never
//! changed. It is the oracle for "paid once".
//!
//! If the process dies here, a line may be torn; opening drops the torn tail. A
//! batch whose entries were cut off in the middle goes on behind the last whole
//! one, because its entries follow from its record in a fixed order.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use offpeak_anthropic::shape::Usage;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One billed item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Billed {
    /// The message batch; `None` for a direct message.
    pub batch_id: Option<String>,
    /// The item's `custom_id`; `None` for a direct message.
    pub custom_id: Option<String>,
    /// The message that was paid for.
    pub message_id: String,
    /// The model that answered.
    pub model: String,
    /// What was consumed; its `service_tier` tells the price.
    pub usage: Usage,
    /// The workspace that it was done in.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// The key that it was asked for with.
    #[serde(default)]
    pub api_key_id: Option<String>,
    /// The user profile that it was done for.
    #[serde(default)]
    pub user_profile_id: Option<String>,
    /// When: the batch's end, or the direct call's time.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    end: Mutex<End>,
}

#[derive(Debug)]
struct End {
    file: File,
    length: u64,
    /// Whole entries so far, by batch.
    entries: HashMap<String, usize>,
}

impl Journal {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        let (entries, length) = scan(&file)?;
        file.set_len(length)?;
        Ok(Self {
            path: path.to_owned(),
            end: Mutex::new(End {
                file,
                length,
                entries,
            }),
        })
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes; only whole lines lie before.
    pub(crate) fn length(&self) -> u64 {
        self.end().length
    }

    /// Appends one entry, durably.
    pub(crate) fn append(&self, entry: &Billed) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.end().append(&mut line.as_slice())
    }

    /// Appends the entries of one batch from a file that holds all of them, less
    /// those that stand in the journal already. All or none.
    pub(crate) fn append_batch(&self, batch_id: &str, entries: &Path) -> io::Result<()> {
        let mut end = self.end();
        let known = end.entries.get(batch_id).copied().unwrap_or(0);
        let mut source = BufReader::new(File::open(entries)?);
        let mut skipped = Vec::new();
        for _ in 0..known {
            skipped.clear();
            if source.read_until(b'\n', &mut skipped)? == 0 {
                break;
            }
        }
        end.append(&mut source)?;
        end.entries.insert(batch_id.to_owned(), usize::MAX);
        Ok(())
    }

    /// Every entry, oldest first.
    pub(crate) fn read(&self) -> io::Result<Vec<Billed>> {
        self.entries()?.collect()
    }

    /// Every entry up to its present end, oldest first, read one by one.
    pub(crate) fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<Billed>> + use<>> {
        let whole = File::open(&self.path)?.take(self.length());
        Ok(BufReader::new(whole)
            .lines()
            .map(|line| serde_json::from_str(&line?).map_err(io::Error::from)))
    }
}

impl End {
    fn append(&mut self, lines: &mut dyn Read) -> io::Result<()> {
        let appended = io::copy(lines, &mut self.file).and_then(|count| {
            self.file.sync_data()?;
            Ok(count)
        });
        match appended {
            Ok(count) => {
                self.length += count;
                Ok(())
            }
            Err(error) => {
                // Take back what may have been written of it.
                self.file.set_len(self.length)?;
                Err(error)
            }
        }
    }
}

/// Entries by batch, and the length up to the last whole line.
fn scan(file: &File) -> io::Result<(HashMap<String, usize>, u64)> {
    #[derive(Deserialize)]
    struct Head {
        batch_id: Option<String>,
    }
    let mut found = HashMap::new();
    let mut whole = 0;
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        match serde_json::from_slice::<Head>(&line) {
            Ok(head) if line.ends_with(b"\n") => {
                whole += length as u64;
                if let Some(batch_id) = head.batch_id {
                    *found.entry(batch_id).or_insert(0) += 1;
                }
            }
            _ => return Ok((found, whole)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn entry(batch: &str, custom: &str) -> Billed {
        Billed {
            batch_id: Some(batch.to_owned()),
            custom_id: Some(custom.to_owned()),
            message_id: "msg_standin_1".to_owned(),
            model: "claude-haiku-5-5".to_owned(),
            usage: Usage::default(),
            workspace_id: None,
            api_key_id: None,
            user_profile_id: None,
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn customs(journal: &Journal) -> Vec<String> {
        journal
            .read()
            .unwrap()
            .into_iter()
            .filter_map(|entry| entry.custom_id)
            .collect()
    }

    #[test]
    fn a_torn_tail_is_dropped_and_a_batch_goes_on_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.ndjson");
        let journal = Journal::open(&path).unwrap();
        for (batch, custom) in [("b1", "x"), ("b1", "y"), ("b2", "x")] {
            journal.append(&entry(batch, custom)).unwrap();
        }
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"batch_id":"b2","custom_id":"y","mess"#)
            .unwrap();
        drop(file);

        let journal = Journal::open(&path).unwrap();
        assert_eq!(customs(&journal), ["x", "y", "x"]);
        let block = folder.path().join("block");
        let lines: Vec<String> = ["x", "y", "z"]
            .map(|custom| serde_json::to_string(&entry("b2", custom)).unwrap() + "\n")
            .into();
        std::fs::write(&block, lines.concat()).unwrap();
        for _again in 0..2 {
            journal.append_batch("b2", &block).unwrap();
            assert_eq!(customs(&journal), ["x", "y", "x", "y", "z"]);
        }
    }
}

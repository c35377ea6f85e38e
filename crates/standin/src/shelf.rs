//! All batches of the stand-in: their records in memory and on disk.
//!
//! A batch exists when its folder stands under `batches/` with a `record.json`.
//! Records are replaced by rename, so a crash leaves the old one or the new one.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use crate::record::Record;
use crate::refusal::Refusal;
use crate::spool::{Spooled, sync_folder};

const RECORD: &str = "record.json";

#[derive(Debug)]
pub(crate) struct Shelf {
    root: PathBuf,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    records: BTreeMap<u64, Record>,
    by_id: HashMap<String, u64>,
    incoming: u64,
}

/// Where a list page begins, and in which direction it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cursor<'a> {
    Newest,
    OlderThan(&'a str),
    NewerThan(&'a str),
}

impl Shelf {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let shelf = Self {
            root: root.to_owned(),
            books: Mutex::default(),
        };
        match fs::remove_dir_all(root.join("incoming")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(root.join("incoming"))?;
        fs::create_dir_all(root.join("batches"))?;
        let mut books = shelf.books();
        for entry in fs::read_dir(root.join("batches"))? {
            let text = fs::read(entry?.path().join(RECORD))?;
            let record: Record = serde_json::from_slice(&text)?;
            books.by_id.insert(record.id.clone(), record.seq);
            books.records.insert(record.seq, record);
        }
        drop(books);
        Ok(shelf)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder of a batch.
    pub(crate) fn folder(&self, id: &str) -> PathBuf {
        self.root.join("batches").join(id)
    }

    /// A fresh folder for a body that comes in.
    pub(crate) fn incoming(&self) -> PathBuf {
        let mut books = self.books();
        books.incoming += 1;
        self.root.join("incoming").join(books.incoming.to_string())
    }

    /// Makes a spool a batch: durable before it is seen. `draft` gets the number
    /// that it will have; `max_queued` bounds the items that wait in its workspace.
    pub(crate) fn add(
        &self,
        spooled: Spooled,
        max_queued: u64,
        queue_retry_after: Option<u32>,
        draft: impl FnOnce(u64) -> Record,
    ) -> Result<Record, Refusal> {
        let mut books = self.books();
        let seq = books
            .records
            .last_key_value()
            .map_or(1, |(last, _)| last + 1);
        let record = draft(seq);
        let queued: u64 = books
            .records
            .values()
            .filter(|other| other.workspace == record.workspace)
            .filter(|other| other.settled.is_none() && !other.deleted)
            .map(|other| u64::from(other.items))
            .sum();
        if queued + u64::from(record.items) > max_queued {
            return Err(Refusal {
                retry_after: queue_retry_after.map(|wait| wait.to_string().into()),
                ..Refusal::new(
                    429,
                    offpeak_anthropic::shape::ErrorKind::RateLimit,
                    format!(
                        "This request would exceed your limit of {max_queued} queued batch requests"
                    ),
                )
            });
        }
        save(spooled.folder(), &record)?;
        spooled.claim(&self.folder(&record.id))?;
        books.by_id.insert(record.id.clone(), seq);
        books.records.insert(seq, record.clone());
        Ok(record)
    }

    /// One batch of a workspace.
    pub(crate) fn find(&self, workspace: &str, id: &str) -> Result<Record, Refusal> {
        let books = self.books();
        books
            .by_id
            .get(id)
            .and_then(|seq| books.records.get(seq))
            .filter(|record| record.workspace == workspace && !record.deleted)
            .cloned()
            .ok_or_else(|| Refusal::not_found(format!("Could not find message batch {id}")))
    }

    /// When a batch was created, whoever's it is.
    pub(crate) fn created_at(&self, id: &str) -> Option<OffsetDateTime> {
        let books = self.books();
        let record = books.records.get(books.by_id.get(id)?)?;
        Some(record.created_at)
    }

    /// The batch of an earlier create with this `idempotency-key`.
    pub(crate) fn repeated(&self, workspace: &str, key: &str) -> Option<Record> {
        let books = self.books();
        let mut records = books.records.values();
        records
            .find(|record| {
                record.workspace == workspace
                    && record.idempotency_key.as_deref() == Some(key)
                    && !record.deleted
            })
            .cloned()
    }

    /// A page of a workspace's batches, newest first, and whether more follow in
    /// the direction walked.
    pub(crate) fn page(
        &self,
        workspace: &str,
        cursor: Cursor<'_>,
        limit: usize,
        hidden: &dyn Fn(&Record) -> bool,
    ) -> Result<(Vec<Record>, bool), Refusal> {
        let books = self.books();
        // A deleted batch still marks its place in the list.
        let place = |field: &str, id: &str| {
            books
                .by_id
                .get(id)
                .filter(|seq| {
                    books
                        .records
                        .get(seq)
                        .is_some_and(|found| found.workspace == workspace)
                })
                .copied()
                .ok_or_else(|| Refusal::invalid(format!("{field}: no such message batch: {id}")))
        };
        let seen =
            |record: &&Record| record.workspace == workspace && !record.deleted && !hidden(record);
        let mut page: Vec<Record> = match cursor {
            Cursor::Newest => books
                .records
                .values()
                .rev()
                .filter(seen)
                .take(limit + 1)
                .cloned()
                .collect(),
            Cursor::OlderThan(id) => {
                let place = place("after_id", id)?;
                let older = books.records.range(..place).rev().map(|(_, record)| record);
                older.filter(seen).take(limit + 1).cloned().collect()
            }
            Cursor::NewerThan(id) => {
                let place = place("before_id", id)?;
                let newer = books.records.range(place + 1..).map(|(_, record)| record);
                newer.filter(seen).take(limit + 1).cloned().collect()
            }
        };
        let more = page.len() > limit;
        page.truncate(limit);
        if matches!(cursor, Cursor::NewerThan(_)) {
            page.reverse();
        }
        Ok((page, more))
    }

    /// Batches whose end has come and whose results are not written, oldest end first.
    pub(crate) fn due(&self, now: OffsetDateTime) -> Vec<Record> {
        let books = self.books();
        let mut due: Vec<Record> = books
            .records
            .values()
            .filter(|record| record.settled.is_none() && !record.deleted && record.is_due(now))
            .cloned()
            .collect();
        due.sort_by_key(|record| (record.ends_at(), record.seq));
        due
    }

    /// Every batch that was not deleted, oldest first.
    pub(crate) fn all(&self) -> Vec<Record> {
        self.books()
            .records
            .values()
            .filter(|record| !record.deleted)
            .cloned()
            .collect()
    }

    /// Changes one record, on disk first.
    pub(crate) fn change(&self, seq: u64, change: impl FnOnce(&mut Record)) -> io::Result<Record> {
        let mut books = self.books();
        let known = books.records.get_mut(&seq).ok_or(io::ErrorKind::NotFound)?;
        let mut record = known.clone();
        change(&mut record);
        save(&self.folder(&record.id), &record)?;
        known.clone_from(&record);
        Ok(record)
    }

    /// Deletes a batch's items and results; its number stays taken.
    pub(crate) fn delete(&self, record: &Record) -> io::Result<()> {
        self.change(record.seq, |record| record.deleted = true)?;
        for entry in fs::read_dir(self.folder(&record.id))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != RECORD) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

fn save(folder: &Path, record: &Record) -> io::Result<()> {
    let part = folder.join("record.part");
    let mut file = File::create(&part)?;
    file.write_all(&serde_json::to_vec_pretty(record)?)?;
    file.sync_all()?;
    fs::rename(&part, folder.join(RECORD))?;
    sync_folder(folder)
}

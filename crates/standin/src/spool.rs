//! A batch's items on disk: taken from the body as it comes in, read back one by one.
//!
//! `spool` holds the raw items one after the other, `index` a (position, length)
//! pair for each. If the process dies while a body comes in, a folder under
//! `incoming/` is left; opening removes it, and no batch was created.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Receiver;

use crate::behavior::{Behavior, When};
use crate::check;
use crate::refusal::Refusal;
use crate::split::Split;

const SPOOL: &str = "spool";
const INDEX: &str = "index";

/// A folder with a whole spool, not yet a batch. Dropped unclaimed, it is removed.
#[derive(Debug)]
pub(crate) struct Spooled {
    folder: PathBuf,
    pub(crate) items: u32,
    /// Items whose `custom_id` stands before.
    pub(crate) duplicates: Vec<u32>,
    claimed: bool,
}

impl Spooled {
    /// Moves the folder to where the batch lives.
    pub(crate) fn claim(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.folder, to)?;
        self.claimed = true;
        sync_folder(to.parent().unwrap_or(to))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if !self.claimed {
            // What cannot be removed now is removed at the next opening.
            let _left = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Takes a body apart onto disk, checking what the API checks at once: the JSON's
/// shape, the number of items and their `custom_id`s. Blocks; its memory is one
/// item and the ids.
pub(crate) fn receive(
    folder: PathBuf,
    max_items: u32,
    behavior: &Behavior,
    mut body: Receiver<Bytes>,
) -> Result<Spooled, Refusal> {
    fs::create_dir_all(&folder)?;
    let mut spooled = Spooled {
        folder,
        items: 0,
        duplicates: Vec::new(),
        claimed: false,
    };
    let mut duplicates = Vec::new();
    let mut spool = BufWriter::new(File::create(spooled.folder.join(SPOOL))?);
    let mut index = BufWriter::new(File::create(spooled.folder.join(INDEX))?);
    let mut ids = HashSet::new();
    let mut position = 0_u64;
    let mut take = |number: usize, item: &[u8]| -> Result<(), Refusal> {
        if number >= max_items as usize {
            return Err(Refusal::invalid(format!(
                "requests: List should have at most {max_items} items after validation"
            )));
        }
        let id = check_item(number, item, behavior)?;
        let known = !ids.insert(id.into_boxed_str());
        if known && behavior.duplicate_id == When::Late {
            duplicates.push(u32::try_from(number).unwrap_or(u32::MAX));
        } else if known {
            return Err(Refusal::invalid(format!(
                "requests.{number}.custom_id: custom_id must be unique within a batch"
            )));
        }
        spool.write_all(item)?;
        index.write_all(&position.to_le_bytes())?;
        index.write_all(&(item.len() as u64).to_le_bytes())?;
        position += item.len() as u64;
        Ok(())
    };
    let mut split = Split::new();
    while let Some(chunk) = body.blocking_recv() {
        split.feed(&chunk, &mut take)?;
    }
    let items = split.finish()?;
    spooled.items = u32::try_from(items).unwrap_or(u32::MAX);
    spooled.duplicates = duplicates;
    for file in [spool, index] {
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
    }
    Ok(spooled)
}

/// Checks an item as far as the API does at once; gives its `custom_id`.
fn check_item(number: usize, item: &[u8], behavior: &Behavior) -> Result<String, Refusal> {
    let wrong = |field: &str, why: &str| {
        Err(Refusal::invalid(format!(
            "requests.{number}.{field}: {why}"
        )))
    };
    let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(item).map_err(|_| {
        Refusal::invalid(format!(
            "The request body is not valid JSON: requests.{number}"
        ))
    })?;
    if let Some(extra) = fields
        .keys()
        .filter(|field| !matches!(field.as_ref(), "custom_id" | "params"))
        .min()
    {
        return wrong(extra, "Extra inputs are not permitted");
    }
    let Some(id) = fields.get("custom_id") else {
        return wrong("custom_id", "Field required");
    };
    let Ok(id) = serde_json::from_str::<String>(id.get()) else {
        return wrong("custom_id", "Input should be a valid string");
    };
    match id.chars().count() {
        0 => return wrong("custom_id", "String should have at least 1 character"),
        65.. => return wrong("custom_id", "String should have at most 64 characters"),
        _ => {}
    }
    if !id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    {
        return wrong(
            "custom_id",
            "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        );
    }
    match fields.get("params") {
        None => wrong("params", "Field required"),
        Some(params) if !params.get().starts_with('{') => {
            wrong("params", "Input should be a valid dictionary")
        }
        Some(params) => {
            if behavior.item_too_large == When::AtCreate
                && params.get().len() as u64 > behavior.max_item_bytes
            {
                return Err(Refusal::too_large());
            }
            if behavior.batch_params == When::AtCreate {
                check::batch_only(number, params)?;
            }
            Ok(id)
        }
    }
}

/// A spool of so many items that nobody sent, as another client's would look.
pub(crate) fn foreign(
    folder: PathBuf,
    items: u32,
    behavior: &Behavior,
) -> Result<Spooled, Refusal> {
    let (chunks, inbox) = tokio::sync::mpsc::channel(items as usize + 2);
    let send = |text: String| {
        // There is room for every chunk.
        let _sent = chunks.try_send(text.into());
    };
    send(r#"{"requests":["#.to_owned());
    for item in 0..items {
        let comma = if item > 0 { "," } else { "" };
        send(format!(
            r#"{comma}{{"custom_id":"foreign-{item}","params":{{"model":"claude-haiku-5-5","max_tokens":50,"messages":[{{"role":"user","content":"Request {item} of somebody else."}}]}}}}"#
        ));
    }
    send("]}".to_owned());
    drop(chunks);
    receive(folder, u32::MAX, behavior, inbox)
}

/// A spool that is read back.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    index: Vec<(u64, u64)>,
}

/// One item as it was sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Item<'a> {
    #[serde(borrow)]
    pub(crate) custom_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) params: &'a RawValue,
}

impl Spool {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let raw = fs::read(folder.join(INDEX))?;
        let (pairs, _) = raw.as_chunks::<16>();
        let index = pairs
            .iter()
            .map(|pair| {
                let (halves, _) = pair.as_chunks::<8>();
                (u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1]))
            })
            .collect();
        Ok(Self {
            file: File::open(folder.join(SPOOL))?,
            index,
        })
    }

    /// Reads one item's bytes into the buffer.
    pub(crate) fn read(&mut self, item: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (position, length) = *self
            .index
            .get(item as usize)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.file.seek(SeekFrom::Start(position))?;
        buffer.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        self.file.read_exact(buffer)
    }
}

/// Makes a rename within a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

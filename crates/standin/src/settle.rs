//! Ends a batch: decides each item, writes the results and the journal entries.
//!
//! Everything it writes follows from the record, the spool and the seed. If the
//! process dies here, the next try writes the same results again and appends only
//! the journal entries that are missing.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use offpeak_anthropic::shape::RequestCounts;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::{self, Setting};
use crate::cache::{Session, Warm};
use crate::dice::{self, Dice};
use crate::fault::plan::Lot;
use crate::journal::Billed;
use crate::record::{Fate, Record, Settled};
use crate::refusal::Refusal;
use crate::schema::Schemas;
use crate::spool::{Item, Spool};
use crate::world::World;

/// The results file of an ended batch.
pub(crate) const RESULTS: &str = "results.jsonl";

/// What was warm in the prompt cache when a batch was first being ended.
const WARM: &str = "warm.json";

/// Ends one batch; blocks. Memory: one item, its answer, and the order.
pub(crate) fn settle(world: &World, record: &Record) -> io::Result<Record> {
    let seed = world.seed;
    let folder = world.shelf.folder(&record.id);
    let mut spool = Spool::open(&folder)?;
    let mut results = Part::create(&folder, "results.part")?;
    let mut billed = Part::create(&folder, "billed.part")?;
    let mut free = Part::create(&folder, "free.part")?;
    let mut counts = RequestCounts::default();
    let ended_at = record.ends_at();
    let mut warm = remembered_warm(world, &folder)?;

    let mut order: Vec<u32> = (0..record.items).collect();
    Dice::new(seed, &[&record.id, "order"]).shuffle(&mut order);
    let mut desk = Desk {
        record,
        seed,
        max_item_bytes: world.behavior().max_item_bytes,
        schemas: Schemas::default(),
        session: Session {
            warm: &mut warm,
            workspace: &record.workspace,
            now: ended_at.unix_timestamp(),
            hit_rate: record.plan.cache_hit_rate.unwrap_or(0.0),
            dice: Dice::new(seed, &[&record.id, "cache"]),
        },
    };
    let mut raw = Vec::new();
    for number in order {
        spool.read(number, &mut raw)?;
        let item: Item<'_> = serde_json::from_slice(&raw)?;
        let result = match record.fate(number, seed) {
            Fate::Canceled => {
                counts.canceled += 1;
                json!({ "type": "canceled" })
            }
            Fate::Expired => {
                counts.expired += 1;
                json!({ "type": "expired" })
            }
            Fate::Processed => match desk.reply(number, &item) {
                Err(refusal) => {
                    counts.errored += 1;
                    let request = dice::id("req_", seed, &[&record.id, &item.custom_id]);
                    json!({ "type": "errored", "error": refusal.envelope(Some(request)) })
                }
                Ok(reply) => {
                    counts.succeeded += 1;
                    let entries = if reply.billed { &mut billed } else { &mut free };
                    entries.line(&Billed {
                        batch_id: Some(record.id.clone()),
                        custom_id: Some(item.custom_id.clone().into_owned()),
                        message_id: reply.id,
                        model: reply.model,
                        usage: reply.usage,
                        workspace_id: Some(record.workspace.clone()),
                        api_key_id: Some(record.api_key.clone()),
                        user_profile_id: record.user_profile.clone(),
                        at: ended_at,
                    })?;
                    json!({ "type": "succeeded", "message": reply.message })
                }
            },
        };
        results.line(&json!({ "custom_id": item.custom_id, "result": result }))?;
    }
    fs::rename(results.close()?, folder.join(RESULTS))?;
    for (journal, entries) in [(&world.journal, billed), (&world.unbilled, free)] {
        let entries = entries.close()?;
        journal.append_batch(&record.id, &entries)?;
        fs::remove_file(&entries)?;
    }
    world.keep_warm(warm);
    world.shelf.change(record.seq, |record| {
        record.settled = Some(Settled { ended_at, counts });
    })
}

/// The same at every try, whatever else was ended in between.
fn remembered_warm(world: &World, folder: &Path) -> io::Result<Warm> {
    let path = folder.join(WARM);
    match fs::read(&path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let warm = world.warm();
            let part = folder.join("warm.part");
            fs::write(&part, serde_json::to_vec(&warm)?)?;
            fs::rename(part, path)?;
            Ok(warm)
        }
        Err(error) => Err(error),
    }
}

/// A file of lines that is written as a whole.
struct Part {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Part {
    fn create(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let file = BufWriter::new(File::create(&path)?);
        Ok(Self { path, file })
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, value)?;
        self.file.write_all(b"\n")
    }

    /// Makes it durable; gives its path.
    fn close(self) -> io::Result<PathBuf> {
        let file = self.file.into_inner();
        file.map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(self.path)
    }
}

/// Where the items of one batch are answered.
struct Desk<'a> {
    record: &'a Record,
    seed: u64,
    max_item_bytes: u64,
    schemas: Schemas,
    session: Session<'a>,
}

impl Desk<'_> {
    fn reply(&mut self, number: u32, item: &Item<'_>) -> Result<answer::Reply, Refusal> {
        let record = self.record;
        if item.params.get().len() as u64 > self.max_item_bytes {
            return Err(Refusal::too_large());
        }
        if record.duplicates.contains(&number) {
            return Err(Refusal::invalid("custom_id: must be unique within a batch"));
        }
        let refuse = match record.plan.lot(&record.id, number, self.seed) {
            Lot::Errored(refusal) => return Err(refusal),
            Lot::Refused { empty } => Some(empty),
            Lot::Answered | Lot::Expired => None,
        };
        let params: Value = serde_json::from_str(item.params.get())
            .map_err(|_| Refusal::invalid("params: the JSON is nested too deeply or broken"))?;
        if let (Some(own), Some(batch)) = (params["user_profile_id"].as_str(), &record.user_profile)
            && own != batch
        {
            return Err(Refusal::invalid(
                "user_profile_id: not the one that the batch was created with",
            ));
        }
        let setting = Setting {
            version: &record.version,
            betas: &record.betas,
            in_batch: true,
            message_id: dice::id("msg_", self.seed, &[&record.id, &number.to_string()]),
            cache: Some(&mut self.session),
            refuse,
        };
        answer::reply(&params, setting, &mut self.schemas)
    }
}

//! Ends a batch: decides each item, writes the results and the journal entries.
//!
//! Everything it writes follows from the record, the spool and the seed. If the
//! process dies here, the next try writes the same results again and appends only
//! the journal entries that are missing.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};

use offpeak_anthropic::shape::RequestCounts;
use serde_json::{Value, json};

use crate::answer::{self, Setting};
use crate::dice::{self, Dice};
use crate::journal::{Billed, Journal};
use crate::record::{Fate, Record, Settled};
use crate::refusal::Refusal;
use crate::schema::Schemas;
use crate::shelf::Shelf;
use crate::spool::{Item, Spool};

/// The results file of an ended batch.
pub(crate) const RESULTS: &str = "results.jsonl";

/// Ends one batch; blocks. Memory: one item, its answer, and the order.
pub(crate) fn settle(
    shelf: &Shelf,
    journal: &Journal,
    record: &Record,
    seed: u64,
) -> io::Result<Record> {
    let folder = shelf.folder(&record.id);
    let mut spool = Spool::open(&folder)?;
    let part = folder.join("results.part");
    let mut results = BufWriter::new(File::create(&part)?);
    let billed = folder.join("billed.part");
    let mut entries = BufWriter::new(File::create(&billed)?);
    let mut counts = RequestCounts::default();
    let ended_at = record.ends_at();

    let mut order: Vec<u32> = (0..record.items).collect();
    Dice::new(seed, &[&record.id, "order"]).shuffle(&mut order);
    let mut schemas = Schemas::default();
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
            Fate::Processed => match reply(record, number, &item, seed, &mut schemas) {
                Err(refusal) => {
                    counts.errored += 1;
                    let request = dice::id("req_", seed, &[&record.id, &item.custom_id]);
                    json!({ "type": "errored", "error": refusal.envelope(Some(request)) })
                }
                Ok(reply) => {
                    counts.succeeded += 1;
                    if reply.billed {
                        let entry = Billed {
                            batch_id: Some(record.id.clone()),
                            custom_id: Some(item.custom_id.clone().into_owned()),
                            message_id: reply.id,
                            model: reply.model,
                            usage: reply.usage,
                            at: ended_at,
                        };
                        serde_json::to_writer(&mut entries, &entry)?;
                        entries.write_all(b"\n")?;
                    }
                    json!({ "type": "succeeded", "message": reply.message })
                }
            },
        };
        serde_json::to_writer(
            &mut results,
            &json!({ "custom_id": item.custom_id, "result": result }),
        )?;
        results.write_all(b"\n")?;
    }
    for file in [results, entries] {
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
    }
    fs::rename(&part, folder.join(RESULTS))?;
    journal.append_batch(&record.id, &billed)?;
    fs::remove_file(&billed)?;
    shelf.change(record.seq, |record| {
        record.settled = Some(Settled { ended_at, counts });
    })
}

fn reply(
    record: &Record,
    number: u32,
    item: &Item<'_>,
    seed: u64,
    schemas: &mut Schemas,
) -> Result<answer::Reply, Refusal> {
    let params: Value = serde_json::from_str(item.params.get())
        .map_err(|_| Refusal::invalid("params: the JSON is nested too deeply or broken"))?;
    let setting = Setting {
        version: &record.version,
        betas: &record.betas,
        in_batch: true,
        message_id: dice::id("msg_", seed, &[&record.id, &number.to_string()]),
    };
    answer::reply(&params, setting, schemas)
}

//! The body of a batch create, streamed out of the database.
//!
//! Pages of narrow rows say which jobs come next and how long they are; their
//! params are then read in chunks of bounded size, whatever one job weighs.
//! Each chunk is a short query of its own, so that no transaction waits on the
//! network.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, stream};
use offpeak_domain::id::{CustomId, JobId};
use offpeak_domain::plan::body::{self as form, COMMA, ITEM_CLOSE, ITEM_OPEN, ITEM_PARAMS};
use offpeak_store::batch::{self, Item, Marked, Sending, Sent};
use offpeak_store::lease::uptime;
use offpeak_store::{mutant, point};
use sha2::{Digest, Sha256};

use crate::Result;
use crate::worker::Setting;

/// Narrow rows that are read at once.
const PAGE: i64 = 1000;

/// Where the upload has come to.
struct Upload {
    setting: Arc<Setting>,
    sent: Sent,
    /// What is put into the params of each job.
    marked: Option<Marked>,
    /// The last job that a page named.
    after: Option<JobId>,
    items: VecDeque<Item>,
    last_page: bool,
    place: Place,
    hash: BodyHash,
    /// Until when bytes may leave, by this machine's own clock.
    until: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Head,
    First,
    Rest,
    End,
}

/// SHA-256 over what was sent so far; whole once the stream has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyHash(Arc<Mutex<Sha256>>);

impl BodyHash {
    fn update(&self, bytes: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .update(bytes);
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let hash = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        hash.finalize().to_vec()
    }
}

/// Exactly `{"requests":[{"custom_id":"…","params":…},…]}`, in the order of the
/// job ids; `domain::plan::body_len` knows its length, but for the marks that are
/// put into the params of a batch with a shared prefix.
pub(crate) fn body(
    setting: Arc<Setting>,
    sending: &Sending,
    until: Duration,
) -> (impl Stream<Item = Result<Bytes>> + Send + 'static, BodyHash) {
    let hash = BodyHash::default();
    let upload = Upload {
        setting,
        sent: sending.sent,
        marked: sending.marked,
        after: None,
        items: VecDeque::new(),
        last_page: false,
        place: Place::Head,
        hash: hash.clone(),
        until,
    };
    let stream = stream::try_unfold(upload, |mut upload| async move {
        let Some(chunk) = upload.next().await? else {
            return Ok(None);
        };
        upload.hash.update(&chunk);
        Ok(Some((chunk, upload)))
    });
    (stream, hash)
}

impl Upload {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.place {
            Place::Head => {
                self.in_time()?;
                self.place = Place::First;
                return Ok(Some(Bytes::from_static(form::OPEN.as_bytes())));
            }
            Place::End => return Ok(None),
            Place::First | Place::Rest => {}
        }
        if self.items.is_empty() && !self.last_page {
            self.read_page().await?;
        }
        let jobs = self.take_jobs();
        if jobs.is_empty() {
            // The last moment to stop: a machine that slept, or a process that
            // was held up, may have been given up by the others meanwhile.
            let now = self.setting.clock.now().await?;
            // Without an intent there is nothing to be asked for.
            let unasked = mutant!("skip_sending");
            if !batch::still_sending(&self.setting.system, &self.sent, now).await?
                && !mutant!("no_deadline_check")
                && !unasked
            {
                return Err(offpeak_store::Error::Moved(self.sent.key.batch).into());
            }
            // Asked last: the answer may have taken long.
            self.in_time()?;
            point!("submit.last_bytes");
            self.place = Place::End;
            return Ok(Some(Bytes::from_static(form::CLOSE.as_bytes())));
        }
        let params = batch::params(&self.setting.system, self.sent.key.tenant, &jobs).await?;
        let bytes: u64 = params.iter().map(|(_, params)| params.len() as u64).sum();
        let marks = self
            .marked
            .map_or(0, |marked| marked.mark.text().len() * params.len());
        let length = form::body_len(params.len() as u64, bytes) + marks as u64;
        let mut chunk = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
        for (job, params) in params {
            if self.place == Place::Rest {
                chunk.put_slice(COMMA.as_bytes());
            }
            self.place = Place::Rest;
            let custom_id = CustomId {
                job,
                batch: self.sent.key.batch,
            };
            chunk.put_slice(ITEM_OPEN.as_bytes());
            chunk.put_slice(custom_id.to_string().as_bytes());
            chunk.put_slice(ITEM_PARAMS.as_bytes());
            put_params(&mut chunk, &params, self.marked);
            chunk.put_slice(ITEM_CLOSE.as_bytes());
        }
        point!("submit.first_bytes");
        Ok(Some(chunk.freeze()))
    }

    fn in_time(&self) -> Result<()> {
        if uptime() < self.until || mutant!("no_deadline_check") {
            Ok(())
        } else {
            Err(offpeak_store::Error::Moved(self.sent.key.batch).into())
        }
    }

    async fn read_page(&mut self) -> Result<()> {
        let page =
            batch::items_after(&self.setting.system, self.sent.key, self.after, PAGE).await?;
        self.last_page = i64::try_from(page.len()).unwrap_or(i64::MAX) < PAGE;
        self.after = page.last().map(|item| item.job).or(self.after);
        self.items = page.into();
        Ok(())
    }

    /// The next jobs whose params fit into one chunk together; at least one.
    fn take_jobs(&mut self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while let Some(item) = self.items.front() {
            bytes += item.bytes;
            if bytes > self.setting.options.upload_chunk && !jobs.is_empty() {
                break;
            }
            jobs.push(item.job);
            self.items.pop_front();
        }
        jobs
    }
}

/// The params, with the mark at its place. One that is not as its bucket says
/// goes without; blanks instead keep the length that was announced.
pub(crate) fn put_params(chunk: &mut BytesMut, params: &[u8], marked: Option<Marked>) {
    let Some(Marked { mark, at }) = marked else {
        chunk.put_slice(params);
        return;
    };
    match params.split_at_checked(at) {
        Some((head, tail)) if tail.starts_with(b"}]") => {
            chunk.put_slice(head);
            chunk.put_slice(mark.text().as_bytes());
            chunk.put_slice(tail);
        }
        _ => {
            chunk.put_slice(params);
            chunk.put_bytes(b' ', mark.text().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use offpeak_domain::cache::Mark;
    use offpeak_store::batch::Marked;

    use super::put_params;

    #[test]
    fn a_mark_goes_where_the_prefix_ends_or_leaves_its_room() {
        let params = br#"{"system":[{"type":"text","text":"x"}],"messages":[]}"#;
        let put = |at| {
            let mut chunk = BytesMut::new();
            let mark = Mark::OneHour;
            put_params(&mut chunk, params, Some(Marked { mark, at }));
            assert_eq!(chunk.len(), params.len() + mark.text().len(), "{at}");
            serde_json::from_slice::<serde_json::Value>(&chunk).unwrap()
        };
        assert_eq!(put(36)["system"][0]["cache_control"]["ttl"], "1h");
        let plain: serde_json::Value = serde_json::from_slice(params).unwrap();
        for elsewhere in [0, 10, 35, 37, params.len(), 1_000] {
            assert_eq!(put(elsewhere), plain, "{elsewhere}");
        }
    }
}

//! Events that were read together, and what is sent of them. Whatever many
//! connections send alike is encoded once and shared.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use offpeak_domain::id::{GroupId, JobId};
use offpeak_store::event::UserKey;
use offpeak_store::stream::{Event, Job, What};
use offpeak_wire::live::{Bye, Frame, LiveEvent};
use time::OffsetDateTime;

use super::retry_ms;
use super::topics::Topics;
use crate::live_cursor::LiveCursor;

/// Bytes of a frame, about, unless one event alone has more: what a connection
/// keeps of the longest frame that it ever sent.
const FRAME_BYTES: usize = 20_000;
/// What an event takes in a frame beside its jobs, and a job, about.
const EVENT_BYTES: usize = 180;
const JOB_BYTES: usize = 46;

/// A frame as it is sent: both forms lie in the same memory.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// As one event of a `text/event-stream`.
    pub(crate) sse: Bytes,
    /// As a message.
    pub(crate) json: Utf8Bytes,
}

impl Text {
    /// Encodes a frame.
    pub(crate) fn of(frame: &Frame) -> Self {
        let (name, cursor) = match frame {
            Frame::Hello { cursor, .. } => ("hello", Some(cursor)),
            Frame::Events { cursor, .. } => ("events", Some(cursor)),
            Frame::Rows { cursor, .. } => ("rows", Some(cursor)),
            Frame::Counts { .. } => ("counts", None),
            Frame::Beat { cursor } => ("beat", Some(cursor)),
            Frame::Resync { cursor, .. } => ("resync", Some(cursor)),
            Frame::Bye { cursor, .. } => ("bye", cursor.as_ref()),
        };
        let id = cursor.map(|cursor| format!("id: {cursor}\n"));
        let retry = match frame {
            Frame::Bye { retry_ms, .. } => retry_ms.map(|ms| format!("retry: {ms}\n")),
            _ => None,
        };
        let (id, retry) = (id.unwrap_or_default(), retry.unwrap_or_default());
        let mut bytes = format!("event: {name}\n{id}{retry}data: ").into_bytes();
        let begin = bytes.len();
        // Plain data: there is nothing in it that could not be written.
        let _ = serde_json::to_writer(&mut bytes, frame);
        let end = bytes.len();
        bytes.extend(b"\n\n");
        // Shared for long by many: not with the room to grow that writing it took.
        bytes.shrink_to_fit();
        let sse = Bytes::from(bytes);
        let json = Utf8Bytes::try_from(sse.slice(begin..end)).unwrap_or_default();
        Self { sse, json }
    }

    /// The only words for one that has followed nothing.
    pub(super) fn bye(why: Bye) -> Self {
        Self::of(&Frame::Bye {
            why,
            cursor: None,
            retry_ms: retry_ms(why),
        })
    }
}

/// When something was read, by the database's clock and by ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) at: OffsetDateTime,
    pub(crate) here: Instant,
}

/// When an event happened, and was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    at: OffsetDateTime,
    read: Read,
}

impl Stamp {
    /// How long ago the event happened, in seconds.
    pub(crate) fn age(self) -> f64 {
        let before = (self.read.at - self.at).as_seconds_f64();
        (before + self.read.here.elapsed().as_secs_f64()).max(0.0)
    }
}

/// Neighbouring events, at least one.
#[derive(Debug)]
pub(crate) struct Page {
    epoch: Arc<str>,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) events: Box<[Event]>,
    read: Read,
    /// Of all its jobs, sorted, each once; like `users`.
    pub(super) groups: Box<[GroupId]>,
    pub(super) users: Box<[UserKey]>,
    /// Memory that it takes, about, beside its texts.
    own_bytes: usize,
    /// By the kind of subscription: `None` when there is nothing for it.
    common: [OnceLock<Option<Text>>; 8],
}

impl Page {
    /// Cuts events into pages of about a frame each.
    pub(crate) fn cut(epoch: &Arc<str>, read: Read, events: Vec<Event>) -> Vec<Arc<Self>> {
        let mut pages = Vec::new();
        let (mut piece, mut length) = (Vec::new(), 0);
        for event in events {
            let adds = EVENT_BYTES + JOB_BYTES * jobs(&event).len();
            if length + adds > FRAME_BYTES && !piece.is_empty() {
                pages.extend(Self::new(epoch, read, std::mem::take(&mut piece)));
                length = 0;
            }
            length += adds;
            piece.push(event);
        }
        pages.extend(Self::new(epoch, read, piece));
        pages
    }

    fn new(epoch: &Arc<str>, read: Read, events: Vec<Event>) -> Option<Arc<Self>> {
        let (first, last) = (events.first()?.seq, events.last()?.seq);
        let all = || events.iter().flat_map(jobs);
        let mut groups: Vec<GroupId> = all().filter_map(|job| job.group).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut users: Vec<UserKey> = all().filter_map(|job| job.user).collect();
        users.sort_unstable();
        users.dedup();
        let rows = all().count();
        let own_bytes = size_of::<Self>()
            + events.len() * size_of::<Event>()
            + rows * size_of::<Job>()
            + groups.len() * size_of::<GroupId>()
            + users.len() * size_of::<UserKey>();
        Some(Arc::new(Self {
            epoch: Arc::clone(epoch),
            first,
            last,
            events: events.into(),
            read,
            groups: groups.into(),
            users: users.into(),
            own_bytes,
            common: Default::default(),
        }))
    }

    /// Memory that it takes, about: more, the more kinds of subscription have had
    /// it.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.common.iter().filter_map(OnceLock::get).flatten();
        self.own_bytes + texts.map(|text| text.sse.len()).sum::<usize>()
    }

    /// Its place in the stream.
    fn cursor(&self) -> String {
        LiveCursor {
            epoch: self.epoch.to_string(),
            seq: self.last,
        }
        .to_string()
    }

    /// Whether the event after `seq` of this epoch is here.
    pub(crate) fn goes_on(&self, epoch: &str, seq: u64) -> bool {
        (self.first..=self.last).contains(&(seq + 1)) && *self.epoch == *epoch
    }

    /// What a connection sends of its events after `seq`, if anything.
    pub(crate) fn text(&self, topics: &Topics, seq: u64) -> Option<Text> {
        if seq < self.first
            && let Some(common) = topics.common().and_then(|kind| self.common.get(kind))
        {
            return common.get_or_init(|| self.encode(topics, seq)).clone();
        }
        if topics.are_elsewhere(&self.groups, &self.users) {
            return None;
        }
        self.encode(topics, seq)
    }

    fn encode(&self, topics: &Topics, seq: u64) -> Option<Text> {
        let events: Vec<LiveEvent> = self
            .events
            .iter()
            .filter(|event| event.seq > seq)
            .filter_map(|event| topics.event(event))
            .collect();
        let cursor = self.cursor();
        (!events.is_empty()).then(|| Text::of(&Frame::Events { cursor, events }))
    }

    /// Of its last event.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            at: self.events.last().map_or(self.read.at, |event| event.at),
            read: self.read,
        }
    }

    /// Whether it says that this job has ended.
    pub(crate) fn ends(&self, id: JobId) -> bool {
        self.events.iter().any(|event| match &event.what {
            What::Jobs { state, jobs, .. } => {
                state.is_final() && jobs.iter().any(|job| job.id == id)
            }
            What::Batch { .. }
            | What::Usage(_)
            | What::Budget(_)
            | What::Operation { .. }
            | What::Other => false,
        })
    }
}

fn jobs(event: &Event) -> &[Job] {
    match &event.what {
        What::Jobs { jobs, .. } => jobs,
        What::Batch { .. }
        | What::Usage(_)
        | What::Budget(_)
        | What::Operation { .. }
        | What::Other => &[],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{FRAME_BYTES, Page, Read, Text};
    use crate::caller::Extent;
    use crate::live::topics::Topics;
    use offpeak_domain::id::JobId;
    use offpeak_domain::job::State;
    use offpeak_store::stream::{Event, Job, What};
    use offpeak_wire::live::{Bye, Frame};
    use std::time::Instant;
    use time::OffsetDateTime;
    use uuid::Uuid;

    pub(in crate::live) fn event(seq: u64, jobs: u128) -> Event {
        let job = |n| Job {
            id: JobId::from_uuid(Uuid::from_u128(n)),
            group: None,
            user: None,
            cost: None,
        };
        Event {
            seq,
            at: OffsetDateTime::UNIX_EPOCH,
            what: What::Jobs {
                state: State::Queued,
                label: None,
                batch: None,
                jobs: (0..jobs).map(job).collect(),
            },
        }
    }

    pub(in crate::live) fn cut(events: Vec<Event>) -> Vec<std::sync::Arc<Page>> {
        let read = Read {
            at: OffsetDateTime::UNIX_EPOCH,
            here: Instant::now(),
        };
        Page::cut(&"e".into(), read, events)
    }

    #[test]
    fn a_frame_has_both_forms_in_one_memory() {
        let text = Text::of(&Frame::Beat {
            cursor: "e.7".into(),
        });
        let sse = std::str::from_utf8(&text.sse).unwrap();
        assert_eq!(
            sse,
            "event: beat\nid: e.7\ndata: {\"t\":\"beat\",\"cursor\":\"e.7\"}\n\n"
        );
        assert_eq!(text.json.as_str(), r#"{"t":"beat","cursor":"e.7"}"#);
        // A browser's own way to come back keeps to what the server asks for.
        let bye = Text::of(&Frame::Bye {
            why: Bye::Restarting,
            cursor: None,
            retry_ms: Some(700),
        });
        assert!(bye.sse.starts_with(b"event: bye\nretry: 700\ndata: {"));
        let place = text.json.as_ptr() as usize;
        assert!((text.sse.as_ptr() as usize..).contains(&place));
    }

    #[test]
    fn pages_are_short_and_leave_nothing_out() {
        let mut events: Vec<Event> = (1..=300).map(|seq| event(seq, 1)).collect();
        events.push(event(301, 500));
        events.push(event(302, 500));
        let pages = cut(events);
        let mut next = 1;
        for page in &pages {
            assert_eq!(page.first, next);
            next = page.last + 1;
            let all = Topics::parse(["jobs"], &Extent::Tenant).unwrap();
            let length = page.text(&all, 0).unwrap().sse.len();
            assert!(length < FRAME_BYTES + 4_000, "{length}");
        }
        assert_eq!((next, pages.last().unwrap().events.len()), (303, 1));
        assert!(cut(Vec::new()).is_empty());
    }

    #[test]
    fn what_was_seen_is_not_sent_again() {
        let page = &cut(vec![event(4, 1), event(5, 1)])[0];
        let all = Topics::parse(["jobs"], &Extent::Tenant).unwrap();
        let sent = |seq| {
            let text = page.text(&all, seq)?;
            let frame: Frame = serde_json::from_str(&text.json).unwrap();
            match frame {
                Frame::Events { cursor, events } => Some((cursor, events[0].n, events.len())),
                _ => None,
            }
        };
        assert_eq!(sent(3), Some(("e.5".to_owned(), 4, 2)));
        assert_eq!(sent(4), Some(("e.5".to_owned(), 5, 1)));
        assert_eq!(sent(5), None);
        let batches = Topics::parse(["batches"], &Extent::Tenant).unwrap();
        assert!(page.text(&batches, 3).is_none());
    }

    #[test]
    fn many_share_what_they_send_alike() {
        let page = &cut(vec![event(1, 3)])[0];
        let text = |words: [&str; 2]| {
            let topics = Topics::parse(words, &Extent::Tenant).unwrap();
            page.text(&topics, 0).unwrap().sse.as_ptr()
        };
        let before = page.bytes();
        assert_eq!(text(["jobs", "usage"]), text(["usage", "jobs"]));
        let once = page.bytes() - before;
        assert!(once > 3 * 30, "{once}");
        assert_ne!(text(["jobs", "usage"]), text(["jobs", "batches"]));
        assert_eq!(page.bytes() - before, 2 * once);
    }
}

//! `Prefer: wait=N`: a submit that is answered when its job has ended.
//!
//! Whoever waits holds no connection to the database: it follows the tenant's
//! events like everybody else, and reads the job when one names it. A client that
//! goes away ends the wait with its request.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use offpeak_domain::id::JobId;
use offpeak_store::job::{self, Job};
use time::OffsetDateTime;
use tokio::time::{timeout, timeout_at};

use super::hub::{Follower, Hub};
use super::places::Place;
use super::tape::{Head, Taken};
use crate::caller::Caller;
use crate::error::{Code, Error, Result, fault};

/// Seconds, at most.
const LONGEST: u64 = 100;
/// After a reading that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How many seconds a client would wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(u64);

impl Wait {
    /// Of the header `prefer`. Other preferences are not ours to judge.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Option<Self>> {
        let words = headers
            .get_all("prefer")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split([',', ';']));
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            if !name.trim().eq_ignore_ascii_case("wait") {
                continue;
            }
            let Ok(seconds) = value.trim().trim_matches('"').parse::<u64>() else {
                let message = format!("must be wait= and a number of seconds, at most {LONGEST}");
                return Err(Error::new(Code::InvalidHeader, format!("prefer {message}"))
                    .with(vec![fault("prefer", "invalid_value", message)]));
            };
            return Ok((seconds > 0).then_some(Self(seconds.min(LONGEST))));
        }
        Ok(None)
    }

    /// What the answer says of it when it was heeded.
    pub(crate) fn applied(self) -> String {
        format!("wait={}", self.0)
    }
}

/// How much of an answer's time was waiting that the client had asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited(pub(crate) Duration);

/// A submit that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    follower: Follower,
    /// Where the stream stood before the submit, if that was known.
    since: Option<Head>,
    until: Instant,
    _place: Place,
}

impl Waiting {
    /// Begins to follow before anything is submitted. None where too many do: then
    /// the answer comes at once.
    pub(crate) fn begin(hub: &Hub, caller: &Caller, wait: Wait) -> Option<Self> {
        let place = hub
            .place((caller.tenant(), caller.holder()), caller.limits(), "wait")
            .ok()?;
        let follower = hub.follow(caller.tenant(), Some(caller.credential()));
        Some(Self {
            since: follower.head(),
            follower,
            until: Instant::now() + Duration::from_secs(wait.0),
            _place: place,
        })
    }

    /// The job and the time, once it has ended; none when the time is over.
    pub(crate) async fn ended(
        mut self,
        caller: &Caller,
        id: JobId,
    ) -> Option<(Job, OffsetDateTime)> {
        let until = self.until.into();
        timeout_at(until, self.watch(caller, id)).await.ok()?
    }

    async fn watch(&mut self, caller: &Caller, id: JobId) -> Option<(Job, OffsetDateTime)> {
        // Where the stream was not known before, the end may stand before its head.
        let mut reads = self.since.is_none();
        let mut seen = match self.since.take() {
            Some(head) => head,
            None => self.follower.begun().await.ok()?,
        };
        loop {
            if reads {
                match read(caller, id).await {
                    Ok((job, now)) if job.end.is_some() => return Some((job, now)),
                    Ok(_) => {}
                    Err(_) => {
                        let _ = timeout(PAUSE, self.follower.changed()).await;
                        continue;
                    }
                }
            }
            self.follower.look();
            if self.follower.over().is_some() {
                return None;
            }
            reads = self.catch_up(&mut seen, id);
            if !reads {
                self.follower.changed().await;
            }
        }
    }

    /// Goes through what is new. True when the job may have ended: it was named, or
    /// something is missing.
    fn catch_up(&self, seen: &mut Head, id: JobId) -> bool {
        let Some(head) = self.follower.head() else {
            return false;
        };
        if head.epoch != seen.epoch {
            *seen = head;
            return true;
        }
        let mut named = false;
        loop {
            match self.follower.after(&head, seen.seq) {
                Taken::Page(page) => {
                    named |= page.ends(id);
                    seen.seq = page.last;
                }
                Taken::Nothing => return named,
                Taken::Elsewhere => {
                    *seen = head;
                    return true;
                }
            }
        }
    }
}

async fn read(caller: &Caller, id: JobId) -> Result<(Job, OffsetDateTime)> {
    let mut tx = caller.begin().await?;
    let job = job::get(&mut tx, id).await?;
    Ok((job, tx.now()))
}

#[cfg(test)]
mod tests {
    use super::Wait;
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn a_preference_is_read_among_others() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", HeaderValue::from_static(value));
            }
            Wait::read(&headers).map(|wait| wait.map(Wait::applied))
        };
        let waits = |seconds: u64| Some(format!("wait={seconds}"));
        for (values, expected) in [
            (&[][..], None),
            (&["respond-async"], None),
            (&["wait=0"], None),
            (&["wait=10"], waits(10)),
            (&["Wait = \"7\""], waits(7)),
            (&["respond-async, wait=10"], waits(10)),
            (&["respond-async", "wait=1000"], waits(100)),
            (&["handling=strict; wait=5"], waits(5)),
        ] {
            assert_eq!(read(values).unwrap(), expected, "{values:?}");
        }
        for bad in [["wait=soon"], ["wait=-1"], ["wait="]] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }
}

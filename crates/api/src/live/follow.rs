//! What one connection is sent, frame by frame, whatever carries it.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use offpeak_domain::id::JobId;
use offpeak_wire::live::{Bye, Frame, Mode, Resync, Say};
use tokio::time::timeout_at;

use super::hub::Follower;
use super::measured::{Missed, Sent};
use super::page::{Page, Text};
use super::read::{self, Done, Older, Reading};
use super::screen::{Screen, Wanted};
use super::share::Share;
use super::tape::{Head, Taken};
use super::topics::Topics;
use super::view::{MAX_WATCHED, View};
use crate::live_cursor::LiveCursor;

/// After a reading that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame to send.
    Frame(Text),
    /// A frame that says that nothing else came.
    Beat(Text),
    /// The connection is to be closed.
    End(Bye),
}

/// See the module. It holds one reading of the database, or what waits for the
/// client's screen, and no more.
#[derive(Debug)]
pub(super) struct Follow {
    follower: Follower,
    head: Head,
    /// The last event that was looked at.
    at: u64,
    /// What is sent before anything else.
    first: VecDeque<Text>,
    /// Read of the database, because the tape does not go back so far.
    older: VecDeque<Arc<Page>>,
    /// A number above what the tape knows which the database confirmed.
    ahead: u64,
    reads: Reads,
    /// After which event the database was asked.
    asked: u64,
    paused: Option<Instant>,
    /// Since when nothing was sent.
    quiet: Instant,
    mode: Sends,
}

#[derive(Debug)]
enum Sends {
    Events(Box<Topics>),
    View(Box<Screen>),
}

/// What is read for it: its screen does not wait for what it missed, nor the other
/// way round.
#[derive(Debug, Default)]
struct Reads {
    older: Option<Reading>,
    screen: Option<Reading>,
}

impl Reads {
    /// What was read first; nothing as long as nothing is. May be dropped before
    /// that.
    async fn done(&mut self) -> <Reading as Future>::Output {
        let Self { older, screen } = self;
        tokio::select! {
            done = one(older) => done,
            done = one(screen) => done,
        }
    }
}

async fn one(reading: &mut Option<Reading>) -> <Reading as Future>::Output {
    match reading {
        Some(under_way) => {
            let done = under_way.await;
            *reading = None;
            done
        }
        None => pending().await,
    }
}

impl Follow {
    /// Begins with `hello`, after `cursor` or now. Waits until the tenant's
    /// stream is known, or gives the reason why it will not be.
    pub(super) async fn begin(
        mut follower: Follower,
        mode: Mode,
        topics: Topics,
        cursor: Option<&str>,
    ) -> Result<Self, Bye> {
        let mut head = follower.begun().await?;
        if let Some(concern) = topics.concern(mode == Mode::View) {
            follower.attend(concern);
            head = follower.head().unwrap_or(head);
        }
        // What somebody missed costs the reading of all that its tenant's others did.
        let options = follower.hub().options();
        let most = if mode == Mode::Events && topics.is_whole() {
            options.max_behind
        } else {
            options.max_behind_on_screen
        };
        let (at, missed) = begins(&head, cursor, most);
        let mode = match mode {
            Mode::Events => Sends::Events(Box::new(topics)),
            Mode::View => {
                let rows = Share::of(&follower.hub().shared().rows);
                Sends::View(Box::new(Screen::new(View::new(topics, at), rows)))
            }
        };
        let mut follow = Self {
            follower,
            head,
            at,
            first: VecDeque::new(),
            older: VecDeque::new(),
            ahead: 0,
            reads: Reads::default(),
            asked: 0,
            paused: None,
            quiet: Instant::now(),
            mode,
        };
        let hello = Frame::Hello {
            cursor: follow.cursor_at(at),
            oldest: follow.cursor_at(follow.head.oldest.saturating_sub(1)),
            heartbeat_s: u32::try_from(follow.options().heartbeat.as_secs()).unwrap_or(u32::MAX),
            build: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let hello = follow.text(&hello);
        follow.first.push_back(hello);
        if let Some(why) = missed {
            follow.resync(why);
        }
        Ok(follow)
    }

    /// From where the next connection goes on.
    pub(super) fn cursor(&self) -> String {
        match &self.mode {
            Sends::Events(_) => self.cursor_at(self.at),
            Sends::View(screen) => self.cursor_at(screen.view.sent()),
        }
    }

    fn cursor_at(&self, seq: u64) -> String {
        self.place(seq).to_string()
    }

    fn place(&self, seq: u64) -> LiveCursor {
        let epoch = self.head.epoch.to_string();
        LiveCursor { epoch, seq }
    }

    pub(super) fn options(&self) -> &super::hub::Options {
        self.follower.hub().options()
    }

    /// What the client says after its `hello`.
    pub(super) fn say(&mut self, said: Say) -> Result<(), Bye> {
        match (said, &mut self.mode) {
            (Say::Watch { jobs }, Sends::View(screen)) if jobs.len() <= MAX_WATCHED => {
                let ids: Result<Vec<JobId>, _> = jobs.iter().map(|id| id.parse()).collect();
                screen.view.watch(ids.map_err(|_| Bye::BadMessage)?);
                Ok(())
            }
            (Say::Ack { cursor }, mode) => {
                let cursor: LiveCursor = cursor.parse().map_err(|_| Bye::BadMessage)?;
                // One of before a failover says nothing of what was sent since.
                if let Sends::View(screen) = mode
                    && *cursor.epoch == *self.head.epoch
                {
                    screen.view.ack(cursor.seq);
                }
                Ok(())
            }
            (Say::Hello { .. } | Say::Watch { .. }, _) => Err(Bye::BadMessage),
        }
    }

    /// Waits until the connection has to be closed. May be dropped before that:
    /// nothing is lost.
    pub(super) async fn ends(&mut self) -> Bye {
        self.follower.ends().await
    }

    /// Waits for what comes next. May be dropped before that: nothing is lost.
    pub(super) async fn next(&mut self) -> Step {
        loop {
            self.follower.look();
            if let Some(why) = self.follower.over() {
                return Step::End(why);
            }
            let now = Instant::now();
            if let Some(text) = self.first.pop_front().or_else(|| self.ready(now)) {
                self.quiet = now;
                return Step::Frame(text);
            }
            if now >= self.quiet + self.options().heartbeat {
                self.quiet = now;
                let cursor = self.cursor();
                return Step::Beat(self.text(&Frame::Beat { cursor }));
            }
            let until = self.until(now).into();
            tokio::select! {
                done = self.reads.done() => self.done(done),
                _ = timeout_at(until, self.follower.changed()) => {}
            }
        }
    }

    /// When something is to be done although nothing comes.
    fn until(&self, now: Instant) -> Instant {
        let beat = self.quiet + self.options().heartbeat;
        let screen = match &self.mode {
            Sends::View(screen) => {
                let may_read = self.reads.screen.is_none() && self.paused.is_none();
                screen.due(self.at, now, may_read)
            }
            Sends::Events(_) => None,
        };
        [screen, self.paused]
            .into_iter()
            .flatten()
            .fold(beat, Instant::min)
    }

    /// A frame that can be sent at once.
    fn ready(&mut self, now: Instant) -> Option<Text> {
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
        }
        if let Some(text) = self.take(now) {
            return Some(text);
        }
        let may_read = self.reads.screen.is_none() && self.paused.is_none();
        let Sends::View(screen) = &mut self.mode else {
            return None;
        };
        if let Some((rows, age)) = screen.flush(now) {
            if let Some(age) = age {
                self.follower.hub().measured().seconds.observe(age);
            }
            let frame = Frame::Rows {
                cursor: self.cursor_at(rows.seq),
                jobs: rows.jobs,
                batches: rows.batches,
                operations: rows.operations,
            };
            return Some(self.text(&frame));
        }
        if may_read && let Some(wanted) = screen.wanted(self.at, now) {
            let (shared, tape) = (self.follower.hub().shared(), self.follower.tape());
            self.reads.screen = Some(match wanted {
                Wanted::Rows(ids) => read::rows(shared, tape, screen.view.topics(), ids),
                Wanted::Counts(groups) => read::counts(shared, tape, groups),
            });
        }
        None
    }

    /// Takes what goes on from the last event that was looked at.
    fn take(&mut self, now: Instant) -> Option<Text> {
        loop {
            if let Sends::View(screen) = &self.mode
                && screen.is_full(now)
            {
                return None;
            }
            let page = match self.older.pop_front() {
                Some(page) => page,
                None => match self.on_tape()? {
                    Ok(page) => page,
                    Err(text) => return Some(text),
                },
            };
            let since = std::mem::replace(&mut self.at, page.last);
            match &mut self.mode {
                Sends::Events(topics) => {
                    if let Some(text) = page.text(topics, since) {
                        let measured = self.follower.hub().measured();
                        measured.seconds.observe(page.stamp().age());
                        count(measured, "events");
                        return Some(text);
                    }
                }
                Sends::View(screen) => {
                    if !screen.fold(&page, now) {
                        self.resync(Resync::Overflow);
                        return self.first.pop_front();
                    }
                }
            }
        }
    }

    /// The page of the tape that goes on, or the frame that says why there is
    /// none; nothing while there is nothing new.
    fn on_tape(&mut self) -> Option<Result<Arc<Page>, Text>> {
        let head = self.follower.head()?;
        if head.epoch != self.head.epoch {
            return self.lost(head, Resync::Epoch).map(Err);
        }
        self.head = head;
        let at = self.follower.pass(&self.head, self.at);
        if at > self.at {
            self.at = at;
            if let Sends::View(screen) = &mut self.mode {
                screen.view.pass(at);
            }
        }
        match self.follower.after(&self.head, self.at) {
            Taken::Page(page) => Some(Ok(page)),
            Taken::Nothing => None,
            Taken::Elsewhere if self.ahead == self.at && self.at > self.head.seq => None,
            Taken::Elsewhere if self.reads.older.is_some() || self.paused.is_some() => None,
            Taken::Elsewhere => {
                let cursor = self.place(self.at);
                let (shared, tape) = (self.follower.hub().shared(), self.follower.tape());
                self.reads.older = Some(read::older(shared, tape, cursor));
                self.asked = self.at;
                None
            }
        }
    }

    /// Takes in what was read.
    fn done(&mut self, done: <Reading as Future>::Output) {
        let failed = match done {
            // Meanwhile the tape had them.
            Ok(Done::Older(_)) if self.asked != self.at => return,
            Ok(Done::Older(Older::Pages(pages))) => {
                if pages.is_empty() {
                    self.ahead = self.at;
                }
                self.older = pages.into();
                return;
            }
            Ok(Done::Older(Older::Lost(head, why))) => {
                let same = |known: &Head| known.epoch == head.epoch;
                if !self.follower.head().as_ref().is_some_and(same) {
                    // The tape has not seen yet that the database is another one; it
                    // tells everybody.
                    self.follower.tape().ring();
                    self.paused = Some(Instant::now() + PAUSE);
                    return;
                }
                if let Some(text) = self.lost(head, why) {
                    self.first.push_back(text);
                }
                return;
            }
            Ok(Done::Rows(rows)) => {
                if let Sends::View(screen) = &mut self.mode {
                    screen.view.found(rows);
                }
                return;
            }
            Ok(Done::Counts(seq, counts)) => {
                if let Sends::View(screen) = &mut self.mode
                    && let Some(frame) = screen.count(seq, &counts)
                {
                    let text = self.text(&frame);
                    self.first.push_back(text);
                }
                return;
            }
            Err(error) => error,
        };
        tracing::debug!(error = %failed, "a live connection could not read on");
        if let Sends::View(screen) = &mut self.mode {
            screen.view.ask_again();
        }
        self.paused = Some(Instant::now() + PAUSE);
    }

    /// Goes on from `head`, without what is between.
    fn lost(&mut self, head: Head, why: Resync) -> Option<Text> {
        self.at = head.seq;
        self.head = head;
        self.follower.lost();
        if let Sends::View(screen) = &mut self.mode {
            screen.view.begin_at(self.at);
        }
        self.resync(why);
        self.first.pop_front()
    }

    fn resync(&mut self, why: Resync) {
        if let Sends::View(screen) = &mut self.mode {
            screen.forget_sums();
        }
        let word = match why {
            Resync::TooOld => "too_old",
            Resync::Epoch => "epoch",
            Resync::Overflow => "overflow",
        };
        let measured = self.follower.hub().measured();
        measured.resyncs.get_or_create(&Missed { why: word }).inc();
        let cursor = self.cursor_at(self.at);
        let text = self.text(&Frame::Resync { cursor, why });
        self.first.push_back(text);
    }

    fn text(&self, frame: &Frame) -> Text {
        let name = match frame {
            Frame::Hello { .. } => "hello",
            Frame::Events { .. } => "events",
            Frame::Rows { .. } => "rows",
            Frame::Counts { .. } => "counts",
            Frame::Beat { .. } => "beat",
            Frame::Resync { .. } => "resync",
            Frame::Bye { .. } => "bye",
        };
        count(self.follower.hub().measured(), name);
        Text::of(frame)
    }

    /// The client did not read.
    pub(super) fn count_slow(&self) {
        self.follower.hub().measured().too_slow.inc();
    }

    /// The last frame.
    pub(super) fn bye(&self, why: Bye, retry_ms: Option<u64>) -> Text {
        self.text(&Frame::Bye {
            why,
            cursor: Some(self.cursor()),
            retry_ms,
        })
    }
}

fn count(measured: &super::measured::Measured, frame: &'static str) {
    measured.frames.get_or_create(&Sent { frame }).inc();
}

/// After which event somebody begins, and why not where it wanted to.
fn begins(head: &Head, cursor: Option<&str>, most: u64) -> (u64, Option<Resync>) {
    let Some(given) = cursor else {
        return (head.seq, None);
    };
    let missed = match given.parse::<LiveCursor>() {
        Ok(cursor) if *cursor.epoch == *head.epoch => {
            if cursor.seq >= head.seq {
                return (cursor.seq, None);
            }
            if cursor.seq + 1 < head.oldest {
                Resync::TooOld
            } else if head.seq - cursor.seq > most {
                Resync::Overflow
            } else {
                return (cursor.seq, None);
            }
        }
        _ => Resync::Epoch,
    };
    (head.seq, Some(missed))
}

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use offpeak_domain::id::{BatchId, GroupId, JobId, OperationId};
use offpeak_domain::job::State;
use offpeak_domain::{batch, money::Pico, operation};
use offpeak_store::event::UserKey;
use offpeak_store::stream::{Event, Job, What};
use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{FULL, MAX_ROWS, MAX_WAITING, Row, Rows, View};
use crate::caller::Extent;
use crate::live::topics::Topics;

const STATES: [State; 4] = [
    State::Queued,
    State::Submitted,
    State::Processing,
    State::Completed,
];

fn id(n: usize) -> JobId {
    JobId::from_uuid(Uuid::from_u128(n as u128))
}

fn view(words: &[&str]) -> View {
    View::new(
        Topics::parse(words.iter().copied(), &Extent::Tenant).unwrap(),
        0,
    )
}

fn event(seq: u64, state: State, jobs: impl IntoIterator<Item = usize>) -> Event {
    let group = Some(GroupId::from_uuid(Uuid::nil()));
    let job = |n| Job {
        id: id(n),
        group,
        user: Some(UserKey::of("ada")),
        cost: Some(Pico(1)),
    };
    Event {
        seq,
        at: OffsetDateTime::UNIX_EPOCH,
        what: What::Jobs {
            state,
            label: None,
            batch: None,
            jobs: jobs.into_iter().map(job).collect(),
        },
    }
}

impl View {
    /// Of a client that keeps up.
    fn folds(&mut self, events: &[Event], last: u64) -> bool {
        self.fold(events, last, Instant::now(), false)
    }
}

fn row(rev: u64, state: State) -> Row {
    Row {
        rev,
        state,
        at: OffsetDateTime::UNIX_EPOCH,
        label: None,
        cost: None,
    }
}

/// Ids (by their last digit), revs and cursor of a frame.
fn shown(rows: Option<Rows>) -> Option<(Vec<u64>, u64)> {
    rows.map(|rows| (rows.jobs.iter().map(|row| row.rev).collect(), rows.seq))
}

#[test]
fn only_what_is_watched_or_a_topic_comes_in_rows() {
    let now = Instant::now();
    let mut watching = view(&["jobs"]);
    watching.watch(vec![id(1)]);
    assert!(watching.folds(&[event(1, State::Queued, 0..3)], 1));
    assert_eq!(watching.flush(now).unwrap().jobs.len(), 1);
    let mut of_user = view(&["user:ada"]);
    assert!(of_user.folds(&[event(1, State::Queued, 0..3)], 1));
    assert_eq!(of_user.flush(now).unwrap().jobs.len(), 3);
}

#[test]
fn an_operation_comes_as_its_last_state_and_to_the_tenant_alone() {
    let came = |seq, state| Event {
        seq,
        at: OffsetDateTime::UNIX_EPOCH,
        what: What::Operation {
            operation: OperationId::from_uuid(Uuid::nil()),
            state,
        },
    };
    let events = [
        came(1, operation::State::Running),
        came(2, operation::State::Done),
    ];
    let mut jobs = view(&["jobs"]);
    assert!(jobs.folds(&events, 2));
    assert_eq!(jobs.waiting(), 1);
    let rows = jobs.flush(Instant::now()).unwrap();
    let last: Vec<_> = rows.operations.iter().map(|row| row.rev).collect();
    assert_eq!((last, rows.seq), (vec![2], 2));
    let ada = &Extent::User("ada".to_owned());
    let mut others = [
        view(&["batches", "usage"]),
        View::new(Topics::parse(["jobs"], ada).unwrap(), 0),
    ];
    for other in &mut others {
        assert!(other.folds(&events, 2));
        assert_eq!((other.waiting(), other.sent()), (0, 2));
    }
}

#[test]
fn a_ticket_watches_its_own_and_sees_no_cost() {
    let scope = &Extent::User("ada".to_owned());
    let mut own = View::new(Topics::parse(["jobs"], scope).unwrap(), 0);
    own.watch(vec![id(1)]);
    assert!(own.folds(&[event(1, State::Completed, [1])], 1));
    assert_eq!(own.flush(Instant::now()).unwrap().jobs[0].cost, None);
    let scope = &Extent::User("bob".to_owned());
    let mut other = View::new(Topics::parse(["jobs"], scope).unwrap(), 0);
    other.watch(vec![id(1)]);
    assert!(other.folds(&[event(1, State::Completed, [1])], 1));
    assert_eq!(other.flush(Instant::now()), None);
}

#[test]
fn batches_come_with_their_topic() {
    let mut all = view(&["batches"]);
    let moved = |seq, state| Event {
        seq,
        at: OffsetDateTime::UNIX_EPOCH,
        what: What::Batch {
            batch: BatchId::from_uuid(Uuid::nil()),
            state,
        },
    };
    let events = [
        moved(1, batch::State::Planned),
        moved(2, batch::State::Sending),
    ];
    assert!(all.folds(&events, 2));
    let rows = all.flush(Instant::now()).unwrap();
    assert_eq!(
        (rows.batches.len(), rows.batches[0].rev, rows.seq),
        (1, 2, 2)
    );
}

#[test]
fn changes_are_folded_and_kept_apart() {
    let now = Instant::now();
    let mut view = view(&["user:ada"]);
    assert!(view.folds(&[event(1, State::Queued, [1])], 1));
    assert_eq!(shown(view.flush(now)), Some((vec![1], 1)));
    let more = [
        event(2, State::Submitted, [1]),
        event(3, State::Processing, [1]),
    ];
    assert!(view.folds(&more, 3));
    assert_eq!(view.flush(now), None);
    let due = view.due(now).unwrap();
    assert_eq!(due, now + Duration::from_millis(50));
    assert_eq!(shown(view.flush(due)), Some((vec![3], 3)));
    assert_eq!(view.due(due), None);
}

#[test]
fn a_cursor_promises_no_more_than_was_sent() {
    let now = Instant::now();
    let mut view = view(&["user:ada"]);
    assert!(view.folds(&[event(1, State::Queued, 0..MAX_ROWS)], 1));
    assert!(view.folds(&[event(2, State::Queued, MAX_ROWS..MAX_ROWS + 5)], 9));
    assert_eq!(view.sent(), 0);
    let first = view.flush(now).unwrap();
    assert_eq!((first.jobs.len(), first.seq), (MAX_ROWS, 1));
    // The rest goes at once.
    let rest = view.flush(now).unwrap();
    assert_eq!((rest.jobs.len(), rest.seq), (5, 9));
}

#[test]
fn who_acknowledges_is_waited_for() {
    let (mut now, second) = (Instant::now(), Duration::from_secs(1));
    let mut view = view(&["user:ada"]);
    let mut seq = 0;
    let mut step = |view: &mut View, now| {
        seq += 1;
        assert!(view.folds(&[event(seq, State::Queued, [1])], seq));
        view.flush(now).map(|rows| rows.seq)
    };
    // Who never does gets everything.
    for expected in 1..=5 {
        assert_eq!(step(&mut view, now), Some(expected));
        now += second;
    }
    view.ack(5);
    assert_eq!(step(&mut view, now), Some(6));
    assert_eq!(step(&mut view, now + second), Some(7));
    now += 3 * second;
    assert_eq!(step(&mut view, now), None);
    assert!(view.is_blocked(now));
    assert_eq!(view.due(now), None);
    assert_eq!(step(&mut view, now), None);
    // Then it gets the last state.
    view.ack(7);
    assert_eq!(shown(view.flush(now)), Some((vec![9], 9)));
}

#[test]
fn too_much_is_dropped_and_said() {
    let mut view = view(&["user:ada"]);
    assert!(view.folds(&[event(1, State::Queued, 0..MAX_WAITING)], 1));
    assert!(!view.folds(&[event(2, State::Queued, [MAX_WAITING])], 3));
    assert_eq!((view.sent(), view.due(Instant::now())), (3, None));
    assert!(view.folds(&[event(4, State::Queued, [1])], 4));
    assert_eq!(shown(view.flush(Instant::now())), Some((vec![4], 4)));
}

#[test]
fn who_keeps_up_never_has_too_many() {
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let mut view = view(&["user:ada"]);
    // As pages come: each has about a frame's jobs.
    let mut seq = 0;
    while !view.is_full(now, false) {
        seq += 1;
        let first = 500 * usize::try_from(seq).unwrap();
        assert!(view.folds(&[event(seq, State::Submitted, first..first + 500)], seq));
    }
    assert!((FULL..MAX_WAITING).contains(&view.waiting()));
    while view.is_full(now, false) {
        assert!(view.flush(now).is_some());
    }
    // Who does not is told the last state, or that there is too much of it.
    view.acknowledges = true;
    let late = now + 3 * second;
    assert!(view.is_blocked(late) && !view.is_full(late, false));
    let mut first = 0;
    loop {
        (seq, first) = (seq + 1, first + 500);
        let more = [event(seq, State::Completed, first..first + 500)];
        if !view.fold(&more, seq, late, false) {
            break;
        }
        assert!(view.waiting() <= MAX_WAITING);
    }
    assert!(first > FULL);
    assert_eq!(view.waiting(), 0);
}

#[test]
fn where_memory_is_short_who_is_behind_reads_anew() {
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let mut view = view(&["user:ada"]);
    assert!(view.fold(&[event(1, State::Queued, 0..3)], 1, now, true));
    assert!(view.is_full(now, true) && !view.is_full(now, false));
    assert!(view.flush(now).is_some());
    view.ack(0);
    let late = now + 3 * second;
    assert!(!view.fold(&[event(2, State::Queued, 0..3)], 2, late, true));
    assert_eq!((view.waiting(), view.sent()), (0, 2));
}

#[test]
fn what_was_read_stands_against_older_events() {
    let now = Instant::now();
    let mut view = view(&["jobs"]);
    view.watch(vec![id(1)]);
    assert_eq!(view.asked(), Some(vec![id(1)]));
    view.found(vec![
        (id(1), row(5, State::Completed)),
        (id(2), row(5, State::Queued)),
    ]);
    // It catches up: these happened before the reading.
    assert!(view.folds(&[event(4, State::Submitted, [1])], 4));
    assert_eq!(shown(view.flush(now)), Some((vec![5], 4)));
}

/// What may happen, in any order.
#[derive(Clone, Debug)]
enum Step {
    Event(usize, Vec<usize>),
    Watch(Vec<usize>),
    /// The reading of what was asked for begins, and is done.
    Ask,
    Answer,
    Flush,
    Ack,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ids = || proptest::collection::vec(0_usize..8, 0..5);
    let step = prop_oneof![
        4 => (0..STATES.len(), ids()).prop_map(|(state, ids)| Step::Event(state, ids)),
        2 => ids().prop_map(Step::Watch),
        2 => Just(Step::Ask),
        2 => Just(Step::Answer),
        3 => Just(Step::Flush),
        2 => Just(Step::Ack),
        2 => (0_u64..3_000).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..80)
}

/// The client: a row counts only if it is newer than the one that is there.
#[derive(Default)]
struct Screen {
    rows: BTreeMap<String, (u64, offpeak_wire::JobState)>,
    cursor: u64,
}

impl Screen {
    fn apply(&mut self, rows: Rows) {
        assert!(rows.seq >= self.cursor);
        self.cursor = rows.seq;
        for row in rows.jobs {
            let known = self.rows.get(&row.id).map_or(0, |(rev, _)| *rev);
            if row.rev > known {
                self.rows.insert(row.id, (row.rev, row.state));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_last_rows_are_the_last_states(steps in steps()) {
        let mut view = view(&["jobs"]);
        let (mut now, mut head) = (Instant::now(), 0);
        let mut truth: BTreeMap<usize, State> = (0..8).map(|n| (n, State::Queued)).collect();
        let mut reading: Option<Vec<(JobId, Row)>> = None;
        let mut screen = Screen::default();
        let mut watched = Vec::new();
        let read = |view: &mut View, truth: &BTreeMap<usize, State>, head| {
            let asked = view.asked()?;
            let found = (0..8).filter(|n| asked.contains(&id(*n)));
            Some(found.map(|n| (id(n), row(head, truth[&n]))).collect::<Vec<_>>())
        };
        // The first event stands before the connection.
        head += 1;
        assert!(view.folds(&[event(head, State::Queued, 0..8)], head));
        for step in steps {
            match step {
                Step::Event(state, mut ids) => {
                    ids.sort_unstable();
                    ids.dedup();
                    head += 1;
                    truth.extend(ids.iter().map(|n| (*n, STATES[state])));
                    prop_assert!(view.folds(&[event(head, STATES[state], ids)], head));
                }
                Step::Watch(ids) => {
                    view.watch(ids.iter().map(|n| id(*n)).collect());
                    watched = ids;
                }
                Step::Ask => if reading.is_none() {
                    reading = read(&mut view, &truth, head);
                },
                Step::Answer => if let Some(rows) = reading.take() {
                    view.found(rows);
                },
                Step::Flush => if let Some(rows) = view.flush(now) {
                    screen.apply(rows);
                },
                Step::Ack => view.ack(screen.cursor),
                Step::Pass(millis) => now += Duration::from_millis(millis),
            }
        }
        // What is under way comes to its end.
        if let Some(rows) = reading.take() {
            view.found(rows);
        }
        if let Some(rows) = read(&mut view, &truth, head) {
            view.found(rows);
        }
        loop {
            view.ack(screen.cursor);
            now += Duration::from_secs(1);
            let Some(rows) = view.flush(now) else { break };
            screen.apply(rows);
        }
        for n in watched {
            let shown = screen.rows.get(&id(n).to_string()).map(|(_, state)| *state);
            prop_assert_eq!(shown, Some(crate::jobs::state(truth[&n])));
        }
        prop_assert_eq!(view.sent(), head);
    }
}

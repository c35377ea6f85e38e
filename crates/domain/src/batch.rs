//! The life of one batch: its states, and what each event makes of them.
//!
//! A batch is our grouping of jobs and, at the same time, the intent to send
//! it. The database judges every transition (`UPDATE … WHERE state = …`); this
//! table is what its statements are written against.

use crate::label::labels;

labels! {
    /// Where a batch stands.
    pub enum State as "batch state", as_str {
        /// Stored with its items; no byte of it has left.
        Planned = "planned",
        /// The intent to send is committed; bytes may have left.
        Sending = "sending",
        /// Sent, and nobody knows whether Anthropic stored it. Never sent again.
        Uncertain = "uncertain",
        /// Anthropic holds it and works on it.
        InProgress = "in_progress",
        /// As in progress, and asked to stop.
        Canceling = "canceling",
        /// Anthropic has finished; results are being read.
        Ended = "ended",
        /// Every result line has had its effect.
        Ingested = "ingested",
        /// Proven never to have been stored; its jobs are free again.
        Refuted = "refuted",
        /// Refused by Anthropic as a whole; its jobs are free again, in smaller batches.
        Rejected = "rejected",
    }
}

labels! {
    /// What can happen to a batch.
    pub enum Event as "batch event", as_str {
        /// The intent to send was committed.
        SendStarted = "send_started",
        /// The create call answered with an id.
        Created = "created",
        /// The create call had no clear answer, or its sender died.
        CreateUnknown = "create_unknown",
        /// The create call was refused for what the batch holds (400, 413).
        CreateRefused = "create_refused",
        /// The create call surely stored nothing (no connection, 429, 401, …).
        NotCreated = "not_created",
        /// A listed message batch was recognised as this one.
        Adopted = "adopted",
        /// Enough complete listings show that it was never stored.
        Refuted = "refuted",
        /// Somebody asked Anthropic to cancel it.
        CancelRequested = "cancel_requested",
        /// Anthropic reports it as ended.
        Ended = "ended",
        /// Its last result line has had its effect.
        IngestCompleted = "ingest_completed",
        /// The adopted message batch turned out to belong to somebody else.
        Disowned = "disowned",
        /// All of its jobs turned out to be in a message batch whose row was lost.
        Emptied = "emptied",
    }
}

/// An event that cannot happen to a batch in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a batch that is {state} cannot take the event {event}")]
pub struct InvalidTransition {
    /// Where the batch stands.
    pub state: State,
    /// What was said to have happened.
    pub event: Event,
}

impl State {
    /// The state after `event`.
    ///
    /// Each batch is sent once: from `uncertain` no road leads to another send
    /// except through proof. An answer that arrives after a second worker has
    /// declared the send uncertain is such a proof, so `uncertain` takes every
    /// answer that `sending` takes. `planned` takes what shows that it was stored
    /// all the same: an answer that said otherwise was wrong, or the intent was
    /// lost with the database that had it. The final states take nothing; an
    /// answer that comes so late is an orphan, and an incident.
    pub fn on(self, event: Event) -> Result<Self, InvalidTransition> {
        let invalid = Err(InvalidTransition { state: self, event });
        match self {
            Self::Planned => match event {
                Event::SendStarted => Ok(Self::Sending),
                Event::Created | Event::Adopted => Ok(Self::InProgress),
                Event::Emptied => Ok(Self::Rejected),
                Event::CreateUnknown
                | Event::CreateRefused
                | Event::NotCreated
                | Event::Refuted
                | Event::CancelRequested
                | Event::Ended
                | Event::IngestCompleted
                | Event::Disowned => invalid,
            },
            Self::Sending => match event {
                Event::Created => Ok(Self::InProgress),
                Event::CreateUnknown => Ok(Self::Uncertain),
                Event::CreateRefused => Ok(Self::Rejected),
                Event::NotCreated => Ok(Self::Planned),
                Event::SendStarted
                | Event::Adopted
                | Event::Refuted
                | Event::CancelRequested
                | Event::Ended
                | Event::IngestCompleted
                | Event::Disowned
                | Event::Emptied => invalid,
            },
            Self::Uncertain => match event {
                Event::Created | Event::Adopted => Ok(Self::InProgress),
                Event::CreateRefused => Ok(Self::Rejected),
                Event::NotCreated => Ok(Self::Planned),
                Event::Refuted => Ok(Self::Refuted),
                Event::SendStarted
                | Event::CreateUnknown
                | Event::CancelRequested
                | Event::Ended
                | Event::IngestCompleted
                | Event::Disowned
                | Event::Emptied => invalid,
            },
            Self::InProgress => match event {
                Event::CancelRequested => Ok(Self::Canceling),
                Event::Ended => Ok(Self::Ended),
                Event::Disowned => Ok(Self::Uncertain),
                Event::SendStarted
                | Event::Created
                | Event::CreateUnknown
                | Event::CreateRefused
                | Event::NotCreated
                | Event::Adopted
                | Event::Refuted
                | Event::IngestCompleted
                | Event::Emptied => invalid,
            },
            Self::Canceling => match event {
                // Asking twice changes nothing, here as at Anthropic.
                Event::CancelRequested => Ok(Self::Canceling),
                Event::Ended => Ok(Self::Ended),
                Event::Disowned => Ok(Self::Uncertain),
                Event::SendStarted
                | Event::Created
                | Event::CreateUnknown
                | Event::CreateRefused
                | Event::NotCreated
                | Event::Adopted
                | Event::Refuted
                | Event::IngestCompleted
                | Event::Emptied => invalid,
            },
            Self::Ended => match event {
                Event::IngestCompleted => Ok(Self::Ingested),
                // Custom ids can be read only now, so only now is it certain.
                Event::Disowned => Ok(Self::Uncertain),
                Event::SendStarted
                | Event::Created
                | Event::CreateUnknown
                | Event::CreateRefused
                | Event::NotCreated
                | Event::Adopted
                | Event::Refuted
                | Event::CancelRequested
                | Event::Ended
                | Event::Emptied => invalid,
            },
            Self::Ingested | Self::Refuted | Self::Rejected => invalid,
        }
    }

    /// Whether its jobs still depend on it.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Planned
            | Self::Sending
            | Self::Uncertain
            | Self::InProgress
            | Self::Canceling
            | Self::Ended => true,
            Self::Ingested | Self::Refuted | Self::Rejected => false,
        }
    }

    /// Whether its items count against the upstream's limit of queued items.
    ///
    /// A planned batch counts: its place is reserved by the plan. An uncertain
    /// one counts: it may be there.
    pub const fn holds_queue_slot(self) -> bool {
        match self {
            Self::Planned
            | Self::Sending
            | Self::Uncertain
            | Self::InProgress
            | Self::Canceling => true,
            Self::Ended | Self::Ingested | Self::Refuted | Self::Rejected => false,
        }
    }
}

labels! {
    /// Why a batch was closed when it was.
    pub enum CloseReason as "close reason", as_str {
        /// It holds as many items as one batch may.
        ItemLimit = "item_limit",
        /// It holds as many bytes as one batch may.
        ByteLimit = "byte_limit",
        /// Its oldest job has waited for the flush delay.
        Age = "age",
        /// Nothing new came for a while.
        Idle = "idle",
        /// A deadline is near.
        Urgency = "urgency",
        /// As age, but the delay had grown: too few creates for too many buckets.
        CreateRate = "create_rate",
        /// It was cut to what the upstream's queue still takes.
        QueueFull = "queue_full",
        /// A larger one would have answered later, or after a deadline.
        Turnaround = "turnaround",
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, State};

    /// The whole machine: events downwards, states across, and where each
    /// leads. A dot is a refusal.
    #[test]
    fn every_state_and_event() {
        let row = |name: &str, cell: &dyn Fn(State) -> String| {
            let cells = State::ALL
                .iter()
                .map(|state| format!(" {:<11}", cell(*state)));
            format!("{name:<16}{}", cells.collect::<String>())
                .trim_end()
                .to_owned()
        };
        let mut table = vec![row("", &|state| state.to_string())];
        for event in Event::ALL {
            table.push(row(event.as_str(), &|state| {
                state
                    .on(*event)
                    .map_or(".".to_owned(), |next| next.to_string())
            }));
        }
        table.push(row("(open)", &|state| state.is_open().to_string()));
        table.push(row("(queue slot)", &|state| {
            state.holds_queue_slot().to_string()
        }));
        insta::assert_snapshot!(table.join("\n"), @r"
                         planned     sending     uncertain   in_progress canceling   ended       ingested    refuted     rejected
        send_started     sending     .           .           .           .           .           .           .           .
        created          in_progress in_progress in_progress .           .           .           .           .           .
        create_unknown   .           uncertain   .           .           .           .           .           .           .
        create_refused   .           rejected    rejected    .           .           .           .           .           .
        not_created      .           planned     planned     .           .           .           .           .           .
        adopted          in_progress .           in_progress .           .           .           .           .           .
        refuted          .           .           refuted     .           .           .           .           .           .
        cancel_requested .           .           .           canceling   canceling   .           .           .           .
        ended            .           .           .           ended       ended       .           .           .           .
        ingest_completed .           .           .           .           .           ingested    .           .           .
        disowned         .           .           .           uncertain   uncertain   uncertain   .           .           .
        emptied          rejected    .           .           .           .           .           .           .           .
        (open)           true        true        true        true        true        true        false       false       false
        (queue slot)     true        true        true        true        true        false       false       false       false
        ");
    }

    #[test]
    fn a_refused_event_says_both() {
        let err = State::Ingested.on(Event::Created).unwrap_err();
        insta::assert_snapshot!(err, @"a batch that is ingested cannot take the event created");
    }

    /// Paid once: between two sends of one batch there is always proof that
    /// the first was not stored.
    #[test]
    fn nothing_is_sent_again_without_proof() {
        for state in State::ALL {
            for event in Event::ALL {
                if state.on(*event) == Ok(State::Planned) {
                    assert_eq!(*event, Event::NotCreated, "from {state}");
                }
                if state.on(*event) == Ok(State::Sending) {
                    assert_eq!(*state, State::Planned);
                }
            }
        }
    }
}

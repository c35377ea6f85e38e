use std::path::PathBuf;
use std::time::Duration;

use offpeak_domain::plan::Limits;
use offpeak_domain::retention::Days;
use offpeak_domain::room::Storage;
use offpeak_domain::settle::Rules;

/// How the loops behave. The defaults suit Anthropic's API; a stand-in with a
/// short turnaround wants shorter times.
#[derive(Clone, Debug)]
pub struct Options {
    /// When a batch is closed, and how large it may be.
    pub limits: Limits,
    /// How result lines are judged.
    pub rules: Rules,
    /// Term of the leases. A process that stopped renewing is replaced after it.
    pub lease: Duration,
    /// Longest time between two looks at the database, for what no hint announced.
    pub idle: Duration,
    /// Sends to one upstream that may be uncertain at once; then no more begin,
    /// since a stormy API must not pile up doubt.
    pub max_uncertain: u32,
    /// Whether a create that Anthropic answers by "overloaded" (529) may have
    /// been stored; otherwise it is sent again after a backoff.
    pub overloaded_is_uncertain: bool,
    /// Batches that are sent at the same time.
    pub parallel_sends: usize,
    /// Longest time that one create call may take, its body included.
    pub send_within: Duration,
    /// Direct calls to one upstream at the same time, of all processes together.
    pub parallel_calls: u32,
    /// Longest time that one direct call may take.
    pub call_within: Duration,
    /// How long before its deadline a job is called for at the latest, however
    /// fast direct calls are.
    pub escalate_before: Duration,
    /// Bytes of params that are read from the database at once while sending.
    pub upload_chunk: u64,
    /// From a batch's creation to the first look at it.
    pub first_poll: Duration,
    /// Between two looks at a young batch; an old one is looked at less often.
    pub poll_every: Duration,
    /// Result lines that are settled in one transaction.
    pub chunk_lines: usize,
    /// Bytes of result lines that are settled in one transaction.
    pub chunk_bytes: usize,
    /// How long nobody else reads a batch's results after a chunk was settled.
    pub ingest_term: Duration,
    /// Reads of a batch's results after which a missing line is given up.
    pub max_reads: u32,
    /// How long after a send a stored batch may take to appear in the list. A
    /// send is refuted only after that.
    pub settle_time: Duration,
    /// Between two listings for an uncertain send, at first.
    pub list_every: Duration,
    /// How long they go on like that.
    pub list_often_for: Duration,
    /// Between two listings after that.
    pub list_later: Duration,
    /// Between two listings for late twins in the first two days after a send
    /// that was believed to have stored nothing; afterwards a 24th as often.
    pub sweep_every: Duration,
    /// Nobody else creates message batches in our workspaces: what runs there
    /// and can only be a late twin may be canceled.
    pub dedicated_workspace: bool,
    /// From which fill of the disk on jobs are refused, and results not read.
    pub storage: Storage,
    /// Where the database keeps its data, if that is on this machine.
    pub data_folder: Option<PathBuf>,
    /// How long tenants' inputs and results are kept that have not said it themselves.
    pub retention: Days,
    /// How long an unfinished upload is kept.
    pub upload_patience: Duration,
    /// How long idempotency keys are remembered.
    pub key_age: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            rules: Rules::default(),
            lease: Duration::from_secs(15),
            idle: Duration::from_secs(5),
            max_uncertain: 4,
            overloaded_is_uncertain: false,
            parallel_sends: 2,
            send_within: Duration::from_mins(5),
            parallel_calls: 8,
            call_within: Duration::from_mins(10),
            escalate_before: Duration::from_mins(2),
            upload_chunk: 2 << 20,
            first_poll: Duration::from_secs(30),
            poll_every: Duration::from_mins(1),
            chunk_lines: 2000,
            chunk_bytes: 4 << 20,
            ingest_term: Duration::from_mins(2),
            max_reads: 5,
            settle_time: Duration::from_mins(15),
            list_every: Duration::from_secs(15),
            list_often_for: Duration::from_mins(2),
            list_later: Duration::from_mins(1),
            sweep_every: Duration::from_hours(1),
            dedicated_workspace: false,
            storage: Storage::default(),
            data_folder: None,
            retention: Days::default(),
            upload_patience: Duration::from_hours(1),
            key_age: Duration::from_hours(24 * 7),
        }
    }
}

//! What the torture harness needs inside a process: named points at which it
//! may be killed or stopped, and bugs put in on purpose, which the harness has
//! to notice. All of it exists only with the feature `torture`; without it
//! [`point!`](crate::point) is nothing and [`mutant!`](crate::mutant) is `false`.
//!
//! The environment chooses, so that one build serves every run:
//! `TORTURE_AT=name` ends the process at that point (`name:3` at the
//! third pass), `TORTURE_HOW=stop` stops it there instead, as a machine
//! that sleeps would; `TORTURE_TRACE=file` keeps the name of the last
//! point passed in that file; `TORTURE_MUTANT=name` puts a bug in.

/// Every crash point, in the order in which a job meets them.
pub const POINTS: &[&str] = &[
    "api.job",
    "api.chunk_open",
    "api.chunk",
    "api.cancel_open",
    "api.canceled",
    "api.retry_open",
    "api.retried",
    "form.led",
    "form.claimed",
    "form.planned",
    "submit.intent_open",
    "submit.intent",
    "submit.first_bytes",
    "submit.last_bytes",
    "submit.answered",
    "submit.stored_open",
    "submit.written",
    "direct.intent_open",
    "direct.intent",
    "direct.answered",
    "direct.released",
    "direct.results",
    "direct.settle_open",
    "direct.settled",
    "rescue.lost_call",
    "rescue.abandoned",
    "rescue.listed",
    "rescue.adopted",
    "rescue.refuted",
    "rescue.freeing",
    "rescue.freed",
    "poll.listed",
    "poll.ended_open",
    "poll.ended",
    "ingest.taken",
    "ingest.quarantined",
    "ingest.released",
    "ingest.results",
    "ingest.chunk_open",
    "ingest.chunk",
    "ingest.read",
    "ingest.finish_open",
    "ingest.finished",
    "relay.led",
    "relay.number_open",
    "relay.numbered",
    "fold.led",
    "fold.open",
    "fold.folded",
    "sweep.listed",
    "sweep.found",
    "sweep.booked",
    "sweep.read",
    "reconcile.listed",
    "reconcile.recovered",
    "tend.led",
];

/// Crash points that the work of the torture does not pass, since its jobs share
/// too little to be primed, and none of them asks what another does:
/// `crates/offpeak/tests/it/priming.rs` and `crates/offpeak/tests/it/share_races.rs`
/// show what is done about the rows that a death there leaves.
pub const UNPASSED: &[&str] = &[
    "share.open",
    "share.served",
    "prime.intent",
    "prime.answered",
    "prime.booked_open",
    "prime.booked",
];

/// Every bug that can be put in, and what it does.
pub const MUTANTS: &[(&str, &str)] = &[
    (
        "retry_create",
        "a create without a clear answer is sent again at once",
    ),
    (
        "skip_sending",
        "a create leaves before its intent is committed",
    ),
    (
        "trust_one_listing",
        "a create that one listing does not show was never stored",
    ),
    (
        "trust_one_404",
        "a batch that Anthropic says once that it does not know was never stored",
    ),
    (
        "abandon_never",
        "what a dead process was sending is remembered by that process alone",
    ),
    (
        "no_deadline_check",
        "a sender that wakes late sends all the same",
    ),
    (
        "no_epoch_check",
        "a leader that wakes late writes all the same",
    ),
    (
        "ack_before_commit",
        "a submit is answered while its transaction is still under way",
    ),
    ("no_idempotency", "an idempotency key is not looked up"),
    (
        "settle_without_row",
        "a job leaves flight before, in a transaction of its own",
    ),
    (
        "short_is_whole",
        "a download that ended early is taken for a whole one",
    ),
    ("late_line_free", "what a canceled job cost is not booked"),
    (
        "counts_from_memory",
        "counts are kept in memory until there are more",
    ),
    (
        "naive_event_cursor",
        "events are numbered by where they were told, and what commits late is passed by",
    ),
    (
        "no_reconcile",
        "after a restore or a failover everything goes on as before",
    ),
];

/// A place at which the torture harness may end this process. Nothing otherwise.
#[cfg(feature = "torture")]
#[macro_export]
macro_rules! point {
    ($name:literal) => {
        $crate::torture::pass($name)
    };
}

/// A place at which the torture harness may end this process. Nothing otherwise.
#[cfg(not(feature = "torture"))]
#[macro_export]
macro_rules! point {
    ($name:literal) => {};
}

/// Whether this bug is put in. Never, but under the torture harness.
#[cfg(feature = "torture")]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::torture::is_mutant($name)
    };
}

/// Whether this bug is put in. Never, but under the torture harness.
#[cfg(not(feature = "torture"))]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

/// The tenant that statements are bound to: the transaction's own. The walls' test binds
/// another, to see that row-level security stands alone.
#[cfg(not(feature = "torture"))]
pub(crate) const fn bound(own: offpeak_domain::id::TenantId) -> offpeak_domain::id::TenantId {
    own
}

#[cfg(feature = "torture")]
pub use armed::{bind, is_mutant, never_was, pass};
#[cfg(feature = "torture")]
pub(crate) use armed::{bound, held_back, pass_by};

#[cfg(feature = "torture")]
mod armed {
    use std::collections::BTreeMap;
    use std::fs::{File, OpenOptions};
    use std::os::unix::fs::FileExt as _;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

    use offpeak_domain::batch::State;
    use offpeak_domain::id::TenantId;
    use offpeak_domain::job;
    use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};

    use super::{MUTANTS, POINTS, UNPASSED};
    use crate::batch::Key;
    use crate::bounded::Connection;
    use crate::delta::{self, Change};
    use crate::{Result, System, event};

    /// Bytes of the trace: a name, filled up with blanks.
    const NAME: usize = 32;

    struct Orders {
        at: Option<(String, u32)>,
        signal: Signal,
        trace: Option<File>,
        mutant: Option<String>,
        passes: AtomicU32,
    }

    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "the harness speaks by the environment, and is wrong where this fails"
    )]
    fn orders() -> &'static Orders {
        static ORDERS: OnceLock<Orders> = OnceLock::new();
        ORDERS.get_or_init(|| {
            // Nobody is to be left over when the harness is killed.
            let _ = set_parent_process_death_signal(Some(Signal::KILL));
            let told = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
            let at = told("TORTURE_AT").map(|text| match text.split_once(':') {
                Some((name, pass)) => (name.to_owned(), pass.parse().expect("a number")),
                None => (text, 1),
            });
            let mutant = told("TORTURE_MUTANT");
            for (name, known) in [
                (at.as_ref().map(|at| &at.0), [POINTS, UNPASSED].concat()),
                (mutant.as_ref(), MUTANTS.iter().map(|one| one.0).collect()),
            ] {
                assert!(
                    name.is_none_or(|name| known.contains(&name.as_str())),
                    "nobody knows {name:?}"
                );
            }
            let signal = match told("TORTURE_HOW").as_deref() {
                Some("stop") => Signal::STOP,
                _ => Signal::KILL,
            };
            let trace = told("TORTURE_TRACE").map(|path| {
                OpenOptions::new()
                    .create(true)
                    .truncate(false)
                    .write(true)
                    .open(path)
                    .expect("a trace that can be written")
            });
            Orders {
                at,
                signal,
                trace,
                mutant,
                passes: AtomicU32::new(0),
            }
        })
    }

    /// Notes that the process came by here, and ends it here if it is to end.
    ///
    /// # Panics
    ///
    /// When the harness has said what cannot be done.
    #[expect(
        clippy::expect_used,
        reason = "a harness that cannot kill proves nothing"
    )]
    pub fn pass(name: &'static str) {
        let orders = orders();
        if let Some(trace) = &orders.trace {
            let mut line = [b' '; NAME];
            line[..name.len()].copy_from_slice(name.as_bytes());
            trace
                .write_all_at(&line, 0)
                .expect("a trace that can be written");
        }
        let Some((at, pass)) = &orders.at else { return };
        if at == name && orders.passes.fetch_add(1, Ordering::Relaxed) + 1 == *pass {
            kill_process(getpid(), orders.signal).expect("a process may kill itself");
            if orders.signal == Signal::KILL {
                loop {
                    std::thread::park();
                }
            }
        }
    }

    /// Of whom another tenant's id is bound to the statements, and whose.
    static BOUND: RwLock<BTreeMap<TenantId, TenantId>> = RwLock::new(BTreeMap::new());

    /// From now on statements of the first tenant's transactions are bound to the second;
    /// row-level security still knows whose they are.
    pub fn bind(caller: TenantId, victim: TenantId) {
        let mut bound = BOUND.write().unwrap_or_else(PoisonError::into_inner);
        bound.insert(caller, victim);
    }

    pub(crate) fn bound(own: TenantId) -> TenantId {
        let bound = BOUND.read().unwrap_or_else(PoisonError::into_inner);
        bound.get(&own).copied().unwrap_or(own)
    }

    /// With the bug put in: the counts before these, which are kept instead.
    pub(crate) fn held_back(tenant: TenantId, rows: Vec<Change>) -> Vec<Change> {
        static HELD: Mutex<BTreeMap<TenantId, Vec<Change>>> = Mutex::new(BTreeMap::new());
        if !is_mutant("counts_from_memory") {
            return rows;
        }
        let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(tenant, rows).unwrap_or_default()
    }

    /// With the bug put in: forgets what was told before what was numbered last.
    pub(crate) async fn pass_by(conn: &mut Connection) -> Result<()> {
        static LAST: Mutex<String> = Mutex::new(String::new());
        if !is_mutant("naive_event_cursor") {
            return Ok(());
        }
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sqlx::query("DELETE FROM event_in WHERE place <= nullif($1, '')::pg_lsn")
            .bind(last)
            .execute(&mut *conn)
            .await?;
        let seen: Option<String> = sqlx::query_scalar("SELECT max(place)::text FROM event_in")
            .fetch_one(conn)
            .await?;
        if let Some(seen) = seen {
            *LAST.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        }
        Ok(())
    }

    /// With the bug put in: one that is not known was never stored, and its jobs are
    /// free.
    ///
    /// # Errors
    ///
    /// Those of any statement.
    pub async fn never_was(system: &System, key: Key) -> Result<()> {
        let mut tx = system.begin().await?;
        let ended: Option<bool> = sqlx::query_scalar(
            "SELECT state = 'ended' FROM batch
              WHERE tenant_id = $1 AND id = $2 AND state IN ('in_progress', 'canceling', 'ended')
                FOR UPDATE",
        )
        .bind(key.tenant.as_uuid())
        .bind(key.batch.as_uuid())
        .fetch_optional(tx.conn())
        .await?;
        let Some(ended) = ended else { return Ok(()) };
        sqlx::query(
            "UPDATE batch
                SET state = 'refuted', upstream_batch_id = NULL, ended_at = NULL,
                    ingester = NULL, ingest_until = NULL
              WHERE tenant_id = $1 AND id = $2",
        )
        .bind(key.tenant.as_uuid())
        .bind(key.batch.as_uuid())
        .execute(tx.conn())
        .await?;
        let from = if ended {
            job::State::Processing
        } else {
            job::State::Submitted
        };
        delta::move_batch(tx.conn(), key.tenant, key.batch, from, job::State::Queued).await?;
        event::batch(tx.conn(), key, State::Refuted).await?;
        tx.commit().await
    }

    /// Whether this bug is put in.
    pub fn is_mutant(name: &'static str) -> bool {
        orders().mutant.as_deref() == Some(name)
    }
}

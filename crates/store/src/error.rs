use std::io;
use std::time::Duration;

use offpeak_domain::id::{BatchId, GroupId, JobId};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What can be wrong with a row or with the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL or the connection to it failed.
    #[error("database: {}", brief(.0))]
    Database(#[source] sqlx::Error),
    /// Nothing was heard for longer than the server would work at it. Whether it
    /// was done is unknown, the commit included.
    #[error(
        "the database did not answer within {} s; it may have done what it was asked: do the \
         same again, which changes nothing twice",
        .0.as_secs_f64()
    )]
    NoAnswer(Duration),
    /// A migration failed or the schema is newer than this program.
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The login role cannot do what `migrate` needs.
    #[error("{0}")]
    Bootstrap(String),
    /// Nothing would keep one tenant's rows from another.
    #[error("the walls between tenants do not stand: {0}")]
    Walls(String),
    /// No such job for this tenant.
    #[error("no job {0}")]
    NoJob(JobId),
    /// No such group for this tenant.
    #[error("no group {0}")]
    NoGroup(GroupId),
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used before with another body")]
    KeyReused,
    /// Another upload with the same idempotency key is under way.
    #[error("another upload with the same idempotency key is under way")]
    KeyBusy,
    /// A canceled job's attempt has not come back from upstream yet.
    #[error("job {0} is still in flight upstream")]
    StillInFlight(JobId),
    /// A hard budget has no room for a job.
    #[error("the budget {} has no room for it", .0.budget)]
    OverBudget(Box<crate::budget::Refusal>),
    /// All that the tenant has is being erased, or was.
    #[error("the tenant is being erased")]
    Erased,
    /// What the job was asked is gone: its retention is over.
    #[error("the input of job {0} is gone")]
    InputGone(JobId),
    /// The job has not ended, so it cannot be retried.
    #[error("job {0} has not ended")]
    NotEnded(JobId),
    /// The batch moved on while the caller was deciding.
    #[error("batch {0} moved on")]
    Moved(BatchId),
    /// Somebody else holds this lease now, or nobody does.
    #[error("the lease {0} is over: nothing was written")]
    Fenced(String),
    /// No partition for today: `tend` has not run, or the clock is far off.
    #[error("no partition for today; run `offpeak migrate` or start a worker")]
    NoPartition,
    /// Jobs are open that were accepted for another upstream.
    #[error(
        "jobs are still open that were accepted for {was}, and this process would send them to \
         {is}: let them end there first, cancel them, or use another database"
    )]
    OtherUpstream {
        /// Where they were to go.
        was: String,
        /// Where they would go now.
        is: String,
    },
    /// Something is encrypted, and the master key for it is missing or another one.
    #[error(
        "{keys} data keys are wrapped by the master key {master:?}, and it does not open them \
         ({why}): set it as [vault] keys or file, as it was before, and start again"
    )]
    Locked {
        /// Its id.
        master: String,
        /// How many it wraps.
        keys: u64,
        /// What is wrong with it.
        why: offpeak_domain::vault::Error,
    },
    /// The data key by which something was to be sealed is not in the database any more.
    #[error("the tenant's data key is gone: the same again makes another one")]
    NoDataKey,
    /// Something that is encrypted does not open.
    #[error(transparent)]
    Closed(#[from] offpeak_domain::vault::Error),
    /// Content that is sealed does not open: the same again fails in the same way.
    #[error("{place} cannot be read: {why}")]
    Unopened {
        /// Table, column, row and tenant.
        place: String,
        /// What is wrong with it.
        why: offpeak_domain::vault::Error,
    },
    /// A stored value is not one that this version knows.
    #[error("column {column} holds {value:?}, which this version does not know")]
    Unknown {
        /// Table and column.
        column: &'static str,
        /// What stands there; always one of our own words, never user text.
        value: String,
    },
}

/// The usual result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Io(error) = &error
            && let Some(silence) = error.get_ref().and_then(|cause| cause.downcast_ref())
        {
            let Silence(waited) = *silence;
            return Self::NoAnswer(waited);
        }
        // 23514 on a partitioned parent is "no partition of relation found for row".
        let no_partition = error.as_database_error().is_some_and(|db| {
            db.code().as_deref() == Some("23514") && db.message().starts_with("no partition")
        });
        // Its transaction began before the tenant's erasure did.
        let erased = error.as_database_error().is_some_and(|db| {
            db.code().as_deref() == Some("42501") && db.message().contains("\"not_erased\"")
        });
        if erased {
            Self::Erased
        } else if no_partition {
            Self::NoPartition
        } else {
            Self::Database(error)
        }
    }
}

impl Error {
    /// Whether the same call may succeed by itself later: connection lost or
    /// silent, server restarting, standby, closed to connections, out of slots,
    /// I/O error, statement timeout, deadlock, plan of another schema.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => match error {
                sqlx::Error::Io(_)
                // Of a stream that broke off, or that something else answered.
                | sqlx::Error::Protocol(_)
                | sqlx::Error::BeginFailed
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                sqlx::Error::Database(db) => {
                    db.code().is_some_and(|code| {
                        ["08", "53", "57", "58"]
                            .iter()
                            .any(|class| code.starts_with(class))
                            || ["25P03", "3D000", "40001", "40P01", "55000", "55P03"]
                                .contains(&code.as_ref())
                    }) && !self.is_damage()
                        || is_outdated(error)
                }
                _ => false,
            },
            Self::NoAnswer(_) | Self::NoPartition | Self::Fenced(_) | Self::NoDataKey => true,
            _ => false,
        }
    }

    /// Whether the database cannot read or write its own files (58030), or found
    /// them corrupted (XX001, XX002). That does not pass, and somebody has to know.
    pub fn is_damage(&self) -> bool {
        self.has_code(&["58030", "XX001", "XX002"])
    }

    /// Whether another transaction was in the way, and this one was undone: the
    /// same again, at once, is right.
    pub fn is_conflict(&self) -> bool {
        self.has_code(&["40001", "40P01"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(db))
            if db.code().is_some_and(|code| codes.contains(&code.as_ref())))
    }

    /// Whether the database refused the very values: they will never fit.
    pub fn is_about_data(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(db))
            if db.code().is_some_and(|code| code.starts_with("22") || code.starts_with("54")))
    }

    /// Whether the cause is that the server's disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(db)) if db.code().as_deref() == Some("53100"))
    }
}

/// Nothing was heard for so long.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f64())]
pub(crate) struct Silence(pub(crate) Duration);

/// In the shape in which an executor has to give it.
impl From<Silence> for sqlx::Error {
    fn from(silence: Silence) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::TimedOut, silence))
    }
}

/// Whether a connection that gave this error is of no use any more.
pub(crate) fn is_over(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(db) => {
            let ends = |db: &PgDatabaseError| {
                matches!(db.severity(), PgSeverity::Fatal | PgSeverity::Panic)
            };
            db.try_downcast_ref().is_some_and(ends) || is_outdated(error)
        }
        _ => false,
    }
}

/// Whether it shows that every connection is of no use any more: they lead to a
/// server that became a standby, or hold plans of another schema.
pub(crate) fn is_outdated(error: &sqlx::Error) -> bool {
    let Some(db) = error.as_database_error() else {
        return false;
    };
    match db.code().as_deref() {
        Some("25006" | "26000") => true,
        // The same code is said of what PostgreSQL cannot do at all. The text
        // depends on its language, the place in its source does not.
        Some("0A000") => db
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|db| db.routine() == Some("RevalidateCachedQuery")),
        _ => false,
    }
}

/// A database error without its DETAIL line, which quotes row contents.
fn brief(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(db) => match db.code() {
            Some(code) => format!("{} ({code})", db.message()),
            None => db.message().to_owned(),
        },
        other => other.to_string(),
    }
}

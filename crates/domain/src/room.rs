//! Whether there is room: for a tenant's jobs in the queue, and on the disk.

use crate::label::labels;

labels! {
    /// How full the database's disk is.
    pub enum Level as "storage level", as_str {
        /// There is room.
        Ok = "ok",
        /// No more jobs are taken; what was taken goes on.
        Full = "full",
        /// Results are not read any more either. Anthropic keeps them for weeks.
        Critical = "critical",
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Size of the database.
    pub database_bytes: u64,
    /// What is free where it stands; unknown on another machine.
    pub free_bytes: Option<u64>,
}

/// Limits of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// Size of the database from which no more jobs are taken; 0 = none. A tenth
    /// above it, results are not read any more either.
    pub max_database_bytes: u64,
    /// Free bytes below which no more jobs are taken; 0 = none. Below a quarter
    /// of it, results are not read any more either.
    pub min_free_bytes: u64,
}

impl Storage {
    /// How full it is.
    pub fn level(&self, measured: Measured) -> Level {
        let limit = self.max_database_bytes;
        let size = measured.database_bytes;
        let least = self.min_free_bytes;
        let free = measured.free_bytes.filter(|_| least > 0);
        if limit > 0 && size >= limit.saturating_add(limit / 10)
            || free.is_some_and(|free| free < least / 4)
        {
            Level::Critical
        } else if limit > 0 && size >= limit || free.is_some_and(|free| free < least) {
            Level::Full
        } else {
            Level::Ok
        }
    }
}

/// Limits of what one tenant may have waiting; 0 = none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Jobs.
    pub max_jobs: u64,
    /// Bytes of their params.
    pub max_bytes: u64,
}

/// Which limit of the queue is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The number of jobs.
    Jobs,
    /// The sum of their lengths.
    Bytes,
}

impl Queue {
    /// Whether so many jobs of so many bytes may wait, or what forbids it.
    pub fn allows(&self, jobs: u64, bytes: u64) -> Result<(), Beyond> {
        if self.max_jobs > 0 && jobs > self.max_jobs {
            Err(Beyond::Jobs)
        } else if self.max_bytes > 0 && bytes > self.max_bytes {
            Err(Beyond::Bytes)
        } else {
            Ok(())
        }
    }

    /// Whether it is so far from any limit that older counts do as well.
    pub fn is_far(&self, jobs: u64, bytes: u64) -> bool {
        self.allows(jobs.saturating_mul(2), bytes.saturating_mul(2))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_size_and_by_what_is_free() {
        let storage = Storage {
            max_database_bytes: 1000,
            min_free_bytes: 400,
        };
        let level = |database_bytes, free_bytes| {
            storage.level(Measured {
                database_bytes,
                free_bytes,
            })
        };
        for (size, free, expected) in [
            (999, None, Level::Ok),
            (1000, None, Level::Full),
            (1099, None, Level::Full),
            (1100, None, Level::Critical),
            (0, Some(400), Level::Ok),
            (0, Some(399), Level::Full),
            (0, Some(100), Level::Full),
            (0, Some(99), Level::Critical),
            (1000, Some(99), Level::Critical),
        ] {
            assert_eq!(level(size, free), expected, "{size} {free:?}");
        }
        let none = Storage::default().level(Measured {
            database_bytes: u64::MAX,
            free_bytes: Some(0),
        });
        assert_eq!(none, Level::Ok);
    }

    #[test]
    fn a_queue_up_to_its_limits() {
        let queue = Queue {
            max_jobs: 10,
            max_bytes: 100,
        };
        assert_eq!(queue.allows(10, 100), Ok(()));
        assert_eq!(queue.allows(11, 0), Err(Beyond::Jobs));
        assert_eq!(queue.allows(0, 101), Err(Beyond::Bytes));
        assert_eq!(Queue::default().allows(u64::MAX, u64::MAX), Ok(()));
        assert!(queue.is_far(5, 50) && !queue.is_far(6, 0) && !queue.is_far(0, 51));
    }
}

//! How many files, and so connections, this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process needs beside its live connections: the database, requests,
/// calls upstream, files.
const OTHERS: u64 = 200;

/// Takes as many as the system lets us have without asking; none is without end.
pub fn raise() -> std::io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        )?;
    }
    Ok(limit.maximum)
}

/// How many connections there may be of those that are asked for.
pub fn connections(limit: Option<u64>, asked: usize) -> usize {
    let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(OTHERS).max(1));
    asked.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// Whether so many live connections find room; what to do if not.
pub fn check(limit: Option<u64>, max_connections: usize) -> Result<String, String> {
    let needed = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHERS);
    match limit {
        Some(limit) if limit < needed => Err(format!(
            "{limit} open files are allowed, but max_connections in [live] needs {needed}: raise \
             the limit (`ulimit -n`, `LimitNOFILE=` of systemd), or lower max_connections"
        )),
        Some(_) | None => Ok("enough are allowed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{check, connections, raise};

    #[test]
    fn what_is_allowed_is_taken_and_judged() {
        let limit = raise().unwrap();
        assert_eq!(raise().unwrap(), limit);
        assert!(check(Some(20_200), 20_000).is_ok());
        assert!(check(Some(20_199), 20_000).is_err());
        assert!(check(None, usize::MAX).is_ok());
        assert_eq!(connections(Some(1_200), 30_000), 1_000);
        assert_eq!(connections(Some(100_000), 30_000), 30_000);
        assert_eq!(connections(Some(10), 30_000), 1);
        assert_eq!(connections(None, 30_000), 30_000);
    }
}

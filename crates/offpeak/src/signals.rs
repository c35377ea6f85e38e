//! SIGTERM, Ctrl-C and the terminal's end: the first asks for a clean stop, a
//! second Ctrl-C or SIGTERM ends at once.

use std::sync::OnceLock;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// Returns once one of them has come, even if that was between two calls. From
/// then on another one ends the process on the spot: what it was doing is found
/// again by the next start.
pub async fn stop() {
    static STOPPED: OnceLock<CancellationToken> = OnceLock::new();
    STOPPED.get_or_init(listen).cancelled().await;
}

/// Listens from the first call on, once for the whole process: a signal that
/// came while nobody waited would be lost, now that it no longer ends us by itself.
fn listen() -> CancellationToken {
    let stopped = CancellationToken::new();
    // Before SIGHUP is asked for, which undoes what `nohup` did.
    let hangs_up = hangs_up();
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without them, the system's own way of ending holds.
        return stopped;
    };
    let mut hup = hangs_up
        .then(|| signal(SignalKind::hangup()).ok())
        .flatten();
    let told = stopped.clone();
    tokio::spawn(async move {
        let hung_up = async {
            match &mut hup {
                Some(hup) => drop(hup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = either(&mut term, &mut int) => {}
            () = hung_up => {}
        }
        told.cancel();
        // A terminal that closes may say so twice, through its shell and by itself:
        // only the other two are somebody's second wish.
        either(&mut term, &mut int).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    stopped
}

async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Whether SIGHUP is for us: who starts us under `nohup` wants it ignored.
fn hangs_up() -> bool {
    std::fs::read_to_string("/proc/self/status").map_or(true, |status| !ignores_hangup(&status))
}

/// SIGHUP is signal 1, the lowest bit of the mask.
fn ignores_hangup(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn knows_nohup() {
        assert!(ignores_hangup("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("Name:\tx\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup("Name:\tx\n"));
    }
}

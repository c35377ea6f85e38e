//! SIGTERM, Ctrl-C and the terminal's end: the first asks for a clean stop, a
//! second Ctrl-C or SIGTERM ends at once.

use std::sync::OnceLock;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// Returns at the first of them. From then on another one ends the process on
/// the spot: what it was doing is found again by the next start.
pub async fn stop() {
    let hangs_up = hangs_up();
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without them, the system's own way of ending holds.
        return std::future::pending().await;
    };
    let mut hup = hangs_up
        .then(|| signal(SignalKind::hangup()).ok())
        .flatten();
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
    // A terminal that closes may say so twice, through its shell and by itself:
    // only the other two are somebody's second wish.
    tokio::spawn(async move {
        either(&mut term, &mut int).await;
        std::process::exit(Exit::Interrupted as i32);
    });
}

async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Whether SIGHUP is for us: who starts us under `nohup` wants it ignored. Asked
/// once, before we listen for it ourselves.
fn hangs_up() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        std::fs::read_to_string("/proc/self/status").map_or(true, |status| !ignores_hangup(&status))
    })
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

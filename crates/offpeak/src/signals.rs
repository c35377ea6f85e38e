//! SIGTERM and Ctrl-C: the first asks for a clean stop, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// Returns at the first of them. From then on another one ends the process on
/// the spot: what it was doing is found again by the next start.
pub async fn stop() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without them, the system's own way of ending holds.
        return std::future::pending().await;
    };
    either(&mut term, &mut int).await;
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

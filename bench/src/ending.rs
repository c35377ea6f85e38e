//! However a bench ends, by itself, by an error or by Ctrl-C, its servers end
//! with it. Only `kill -9` leaves one running, which the next bench adopts.

use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Servers that this process has started or adopted.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// Longer than a server takes that only has to roll back.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that does not outlive this.
#[derive(Debug)]
pub struct Bound(u32);

impl Bound {
    /// Binds a server's life to ours.
    pub fn to(pid: u32) -> Self {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| {
            tokio::spawn(async {
                offpeak::signals::stop().await;
                let running = std::mem::take(&mut *running());
                running.into_iter().for_each(end);
                crate::say("interrupted: nothing was measured");
                std::process::exit(130);
            });
        });
        running().push(pid);
        Self(pid)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let mut running = running();
        running.retain(|pid| *pid != self.0);
        drop(running);
        end(self.0);
    }
}

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a server; one that has ended is fine.
fn end(pid: u32) {
    let Some(to) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let begun = Instant::now();
    while is_server(pid) && begun.elapsed() < PATIENCE {
        if kill_process(to, Signal::INT).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the number is still a server's, and not another process's by now.
fn is_server(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (name, rest) = stat.rsplit_once(')').unwrap_or_default();
    name.ends_with("(postgres") && !rest.trim_start().starts_with('Z')
}

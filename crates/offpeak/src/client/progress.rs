//! Progress of a group: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use offpeak_wire::Group;

use crate::output::{count, visible};

/// Between two plain lines that say no more than a change of numbers.
const QUIET: Duration = Duration::from_secs(5);

/// Shows how far something is. Dropped, it leaves the terminal clean.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    last: Option<(String, Instant)>,
}

impl Progress {
    /// Nothing shown yet. `quiet` shows nothing at all.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self {
            bar,
            quiet,
            last: None,
        }
    }

    /// So many of so many, in which way.
    pub fn at(&mut self, done: u64, all: u64, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(all);
            bar.set_position(done);
            bar.set_message(text.to_owned());
            return;
        }
        if self.quiet {
            return;
        }
        let line = format!("{} of {}: {text}", count(done), count(all));
        let now = Instant::now();
        let worth_it = self.last.as_ref().is_none_or(|(last, at)| {
            *last != line && (done == all || now.duration_since(*at) >= QUIET)
        });
        if worth_it {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
            self.last = Some((line, now));
        }
    }

    /// Where a group stands.
    pub fn group(&mut self, group: &Group) {
        let counts = &group.counts;
        let ended = counts.completed + counts.failed + counts.canceled;
        self.at(ended, group.jobs, &states(group));
    }

    /// A line beside it.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(visible::lines(text)),
            None => {
                let _ = writeln!(std::io::stderr().lock(), "{}", visible::lines(text));
            }
        }
    }

    /// Takes a bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// `3 queued, 2 submitted`, in the order of a job's life.
pub(super) fn states(group: &Group) -> String {
    let counts = &group.counts;
    let parts: Vec<String> = [
        ("queued", counts.queued),
        ("submitted", counts.submitted),
        ("processing", counts.processing),
        ("completed", counts.completed),
        ("failed", counts.failed),
        ("canceled", counts.canceled),
    ]
    .into_iter()
    .filter(|(_, number)| *number > 0)
    .map(|(name, number)| format!("{} {name}", count(number)))
    .collect();
    if parts.is_empty() {
        "nothing".to_owned()
    } else {
        parts.join(", ")
    }
}

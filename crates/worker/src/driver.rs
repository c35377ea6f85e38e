//! Runs the loops: each in a task of its own, woken by a hint, by the time that
//! its last tick named, or, every idle time, by one look at the whole database.
//! A loop that none of these wakes runs by itself now and then all the same. It
//! turns outcomes into metrics, log lines and wake-ups, so that the loops need not.
//!
//! If a loop's task panics, the process stops: half a worker is worse than a
//! restart.

use std::sync::Arc;
use std::time::Duration;

use offpeak_store::notify::{self, Heard};
use offpeak_store::{lease, look};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::measure::{OfLoop, Tick};
use crate::outcome::{Outcome, Wait, rest};
use crate::worker::{Loop, Worker};

/// Hints that something was told are sent no more often than this.
const APART: Duration = Duration::from_millis(25);

/// Between two tries of a tick that failed, at most.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Idle times after which a loop runs that nothing has woken.
const UNWOKEN: u32 = 12;

/// How long a stopping process waits for a create that is under way.
const SEND_GRACE: Duration = Duration::from_secs(25);
/// How long it tries to say that it is gone.
const RESIGN: Duration = Duration::from_secs(5);

/// What wakes one loop.
#[derive(Default)]
struct Bell {
    /// There is something new.
    news: Notify,
    /// A look found something to do, which may be what the last tick failed at.
    seen: Notify,
}

/// One for each loop.
#[derive(Default)]
struct Bells([Bell; Loop::ALL.len()]);

impl Bells {
    fn of(&self, which: Loop) -> &Bell {
        &self.0[which as usize]
    }
}

/// Runs every loop until `stop`.
pub(crate) async fn run(worker: &Worker, stop: CancellationToken) {
    let bells = Arc::new(Bells::default());
    let mut tasks = JoinSet::new();
    for which in Loop::ALL {
        for _ in 0..copies(worker, which) {
            let one = One {
                worker: Worker {
                    setting: Arc::clone(&worker.setting),
                    measure: Arc::clone(&worker.measure),
                },
                which,
                bells: Arc::clone(&bells),
                stop: stop.clone(),
            };
            tasks.spawn(one.run());
        }
    }
    tasks.spawn(listen(
        worker.setting.system.clone(),
        Arc::clone(&bells),
        stop.clone(),
    ));
    tasks.spawn(tell(worker.setting.system.clone(), stop.clone()));
    tasks.spawn(look_around(
        Arc::clone(&worker.setting),
        Arc::clone(&bells),
        stop.clone(),
    ));
    // Outlives the loops: a send that is let finish needs its process alive.
    let alive = tokio::spawn(stay_alive(Arc::clone(&worker.setting)));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a loop broke: stopping");
            stop.cancel();
        }
    }
    alive.abort();
    let setting = &worker.setting;
    let resigned = lease::resign(&setting.system, setting.process);
    match tokio::time::timeout(RESIGN, resigned).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "leases not resigned: they run out by themselves"),
        Err(_) => tracing::warn!("leases not resigned in time: they run out by themselves"),
    }
}

/// Loops whose ticks wait on the network run several at once; every other one alone.
fn copies(worker: &Worker, which: Loop) -> usize {
    match which {
        Loop::Submit => worker.setting.options.parallel_sends.max(1),
        Loop::Direct => {
            let calls = worker.setting.options.parallel_calls.max(1);
            usize::try_from(calls).unwrap_or(usize::MAX)
        }
        Loop::Ingest => 2,
        Loop::Form
        | Loop::Escalate
        | Loop::Poll
        | Loop::Share
        | Loop::Operate
        | Loop::Enroll
        | Loop::Reconcile
        | Loop::Rescue
        | Loop::Sweep
        | Loop::Relay
        | Loop::Fold
        | Loop::Tend
        | Loop::Purge => 1,
    }
}

/// One loop in its task.
struct One {
    worker: Worker,
    which: Loop,
    bells: Arc<Bells>,
    stop: CancellationToken,
}

impl One {
    async fn run(self) {
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            // Registered before the tick reads, so that no hint falls between.
            let bell = self.bells.of(self.which);
            let (news, seen) = (bell.news.notified(), bell.seen.notified());
            let begun = Instant::now();
            let outcome = tokio::select! {
                biased;
                outcome = self.tick() => outcome,
                () = self.patience_over() => return,
            };
            let took = begun.elapsed();
            self.measure(&outcome, took);
            let failed = outcome.is_err();
            let wait = match outcome {
                Ok(outcome) => {
                    failures = 0;
                    for woken in &outcome.wakes {
                        self.bells.of(*woken).news.notify_waiters();
                        self.bells.of(*woken).news.notify_one();
                    }
                    match outcome.wait {
                        Wait::Now => Duration::ZERO,
                        Wait::Rested => rest(took),
                        Wait::For(wait) => wait.min(self.idle() * UNWOKEN),
                        Wait::Idle => self.idle() * UNWOKEN,
                    }
                }
                Err(error) => {
                    failures += 1;
                    let name = self.which.name();
                    if failures == 1 && error.is_damage() {
                        tracing::error!(
                            r#loop = name, %error,
                            "the database cannot read or write its files, or they are corrupted: \
                             look at its log and its disk before anything else"
                        );
                    } else {
                        tracing::warn!(r#loop = name, %error, failures, "tick failed");
                    }
                    self.idle().saturating_mul(failures).min(MAX_BACKOFF)
                }
            };
            if wait.is_zero() {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                () = news => {}
                // After a failure, what still stands there does not cut the rest short.
                () = seen, if !failed => {}
                () = sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn tick(&self) -> Result<Outcome, Error> {
        match tokio::time::timeout(self.longest(), self.worker.tick(self.which)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TooLong(self.longest())),
        }
    }

    /// When a stopping process no longer waits for the present tick. Each may be
    /// dropped anywhere, that is what crash safety means; but a create that is
    /// let go has to be searched for later, so sends get some time.
    async fn patience_over(&self) {
        self.stop.cancelled().await;
        if matches!(self.which, Loop::Submit | Loop::Direct) {
            sleep(SEND_GRACE).await;
        }
    }

    fn idle(&self) -> Duration {
        self.worker.setting.options.idle
    }

    /// No tick may hang for ever; one that sends or reads a batch may be long.
    fn longest(&self) -> Duration {
        let options = &self.worker.setting.options;
        match self.which {
            Loop::Submit => options.send_within + Duration::from_mins(1),
            Loop::Direct => options.call_within + Duration::from_mins(1),
            Loop::Ingest | Loop::Reconcile | Loop::Sweep => Duration::from_hours(6),
            Loop::Form
            | Loop::Escalate
            | Loop::Poll
            | Loop::Share
            | Loop::Operate
            | Loop::Enroll
            | Loop::Rescue
            | Loop::Relay
            | Loop::Fold
            | Loop::Tend => Duration::from_mins(2),
            // Up to fifty calls, which may be slow.
            Loop::Purge => Duration::from_mins(30),
        }
    }

    fn measure(&self, outcome: &Result<Outcome, Error>, took: Duration) {
        let measure = &*self.worker.measure;
        let name = self.which.name();
        let word = if outcome.is_ok() { "ok" } else { "error" };
        measure
            .ticks
            .get_or_create(&Tick {
                r#loop: name,
                outcome: word,
            })
            .inc();
        measure
            .seconds
            .get_or_create(&OfLoop { r#loop: name })
            .observe(took.as_secs_f64());
        let Ok(outcome) = outcome else { return };
        measure
            .done
            .get_or_create(&OfLoop { r#loop: name })
            .inc_by(outcome.done);
        if self.which == Loop::Form {
            // Whoever does not lead says nothing, rather than what it knew last.
            let queue = outcome.queue.unwrap_or_default();
            measure
                .queue_jobs
                .set(i64::try_from(queue.jobs).unwrap_or(i64::MAX));
            measure.queue_age.set(queue.oldest.as_secs_f64());
        }
        measure.seen(&outcome.seen);
    }
}

/// Turns the database's hints into rings. While it cannot listen, the idle time
/// stands in for it.
async fn listen(system: offpeak_store::System, bells: Arc<Bells>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let heard = async {
            let mut listener = notify::Listener::of_worker(&system).await?;
            // Also right after (re)connecting: hints may have been missed.
            let mut heard = Heard::Anything;
            loop {
                bells.of(Loop::Relay).news.notify_one();
                if heard != Heard::Told {
                    bells.of(Loop::Form).news.notify_one();
                    bells.of(Loop::Direct).news.notify_one();
                    bells.of(Loop::Share).news.notify_one();
                    bells.of(Loop::Operate).news.notify_one();
                    bells.of(Loop::Enroll).news.notify_one();
                }
                heard = listener.heard().await?;
            }
        };
        let lost: Result<(), offpeak_store::Error> = tokio::select! {
            lost = heard => lost,
            () = stop.cancelled() => return,
        };
        if let Err(error) = lost {
            tracing::warn!(%error, "not listening for hints");
        }
        tokio::select! {
            () = sleep(Duration::from_secs(1)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Passes on to whoever numbers events, in whichever process, that some were told.
async fn tell(system: offpeak_store::System, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = system.told() => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = notify::told(&system).await {
            tracing::debug!(%error, "a hint was lost");
        }
        tokio::select! {
            () = sleep(APART) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Every idle time, rings for the loops that have something to do: what no hint
/// announced, such as the end of a backoff, or the work of a process that died.
async fn look_around(
    setting: Arc<crate::worker::Setting>,
    bells: Arc<Bells>,
    stop: CancellationToken,
) {
    let idle = setting.options.idle;
    while !stop.is_cancelled() {
        match tokio::time::timeout(MAX_BACKOFF, look::look(&setting.system)).await {
            Ok(Ok(work)) => {
                for which in with_work(work) {
                    bells.of(which).seen.notify_waiters();
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "could not look around"),
            Err(_) => tracing::warn!("looking around took too long"),
        }
        tokio::select! {
            () = sleep(idle) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The loops that a look found something to do for. `tend` is none of them: it
/// keeps its own time.
fn with_work(work: look::Work) -> impl Iterator<Item = Loop> {
    let look::Work {
        form,
        submit,
        poll,
        ingest,
        rescue,
        relay,
        fold,
        direct,
        escalate,
        share,
        reconcile,
        operate,
        enroll,
    } = work;
    [
        (Loop::Form, form),
        (Loop::Submit, submit),
        (Loop::Poll, poll),
        (Loop::Ingest, ingest),
        (Loop::Rescue, rescue),
        (Loop::Relay, relay),
        (Loop::Fold, fold),
        (Loop::Direct, direct),
        (Loop::Escalate, escalate),
        (Loop::Share, share),
        (Loop::Reconcile, reconcile),
        (Loop::Operate, operate),
        (Loop::Enroll, enroll),
    ]
    .into_iter()
    .filter_map(|(which, has_work)| has_work.then_some(which))
}

/// Renews the lease by which others see that this process lives, also while a
/// long send is under way, until it is aborted. A renewal that hangs is given
/// up for the next one.
async fn stay_alive(setting: Arc<crate::worker::Setting>) {
    let third = setting.options.lease / 3;
    loop {
        match tokio::time::timeout(third, setting.is_alive()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not renew this process's lease"),
            Err(_) => tracing::warn!("renewing this process's lease took too long"),
        }
        sleep(third).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver is where the worker waits"
)]
async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

#[cfg(test)]
mod tests {
    use super::with_work;
    use crate::worker::Loop;
    use offpeak_store::look::Work;

    #[test]
    fn each_kind_of_work_rings_for_its_loop() {
        let none = Work::default();
        assert_eq!(with_work(none).count(), 0);
        #[rustfmt::skip]
        let table = [
            (Work { form: true, ..none }, Loop::Form),
            (Work { submit: true, ..none }, Loop::Submit),
            (Work { poll: true, ..none }, Loop::Poll),
            (Work { ingest: true, ..none }, Loop::Ingest),
            (Work { rescue: true, ..none }, Loop::Rescue),
            (Work { relay: true, ..none }, Loop::Relay),
            (Work { fold: true, ..none }, Loop::Fold),
            (Work { direct: true, ..none }, Loop::Direct),
            (Work { escalate: true, ..none }, Loop::Escalate),
            (Work { share: true, ..none }, Loop::Share),
            (Work { reconcile: true, ..none }, Loop::Reconcile),
            (Work { operate: true, ..none }, Loop::Operate),
            (Work { enroll: true, ..none }, Loop::Enroll),
        ];
        for (work, which) in table {
            assert_eq!(with_work(work).collect::<Vec<_>>(), [which]);
        }
    }
}

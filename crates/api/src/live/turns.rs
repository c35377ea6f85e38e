//! Who reads the database next: each tenant stands in line once, whatever number of
//! its connections want to read, so that none of them keeps another tenant waiting
//! for longer than one reading of each. Whoever leaves gives up the place in line.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many read at once.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

/// One tenant's place in line.
#[derive(Clone, Debug)]
pub(super) struct Own(Arc<Semaphore>);

/// May read, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _slot: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a turn; dropped before, it stands in line no more. None would mean
    /// that there are no turns any more.
    pub(super) async fn next(&self, own: &Own) -> Option<Turn> {
        let own = Arc::clone(&own.0).acquire_owned().await.ok()?;
        let slot = Arc::clone(&self.0).acquire_owned().await.ok()?;
        Some(Turn {
            _slot: slot,
            _own: own,
        })
    }
}

impl Default for Own {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Own, Turn, Turns};
    use futures_util::future::{BoxFuture, FutureExt as _};

    type Waiting = BoxFuture<'static, Option<Turn>>;

    fn waiting(turns: &Turns, own: &Own) -> Waiting {
        let (turns, own) = (turns.clone(), own.clone());
        async move { turns.next(&own).await }.boxed()
    }

    fn has(waiting: &mut Waiting) -> Option<Turn> {
        waiting.now_or_never().flatten()
    }

    #[test]
    fn one_tenant_does_not_stand_in_line_twice() {
        let (turns, busy, calm) = (Turns::new(1), Own::default(), Own::default());
        let mut of_busy: Vec<Waiting> = (0..1_000).map(|_| waiting(&turns, &busy)).collect();
        let first = has(&mut of_busy[0]);
        assert!(first.is_some());
        for one in &mut of_busy[1..] {
            assert!(has(one).is_none());
        }
        // It came last of all, and is the next one.
        let mut of_calm = waiting(&turns, &calm);
        assert!(has(&mut of_calm).is_none());
        drop(first);
        assert!(has(&mut of_busy[1]).is_none());
        assert!(has(&mut of_calm).is_some());
    }

    #[test]
    fn who_leaves_is_not_waited_for() {
        let (turns, own) = (Turns::new(1), Own::default());
        let mut line: Vec<Waiting> = (0..1_000).map(|_| waiting(&turns, &own)).collect();
        let first = has(&mut line[0]);
        for one in &mut line[1..] {
            assert!(has(one).is_none());
        }
        line.drain(1..999);
        drop(first);
        assert!(has(&mut line[1]).is_some());
    }
}

//! Bugs put in on purpose, one at a time: each has to be noticed by a scenario
//! that is clean without it. One that nobody notices says that the harness proves
//! nothing about what it breaks. A scenario that breaks off shows nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream};
use offpeak_store::torture::MUTANTS;

use super::{failover, freezes, scenes};
use crate::behavior::{self, Behavior};
use crate::ground::Ground;
use crate::judge::Verdict;
use crate::say;
use crate::scenario::{self, REST};

/// How long a scenario with a bug in it is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a scene is played that shows nothing.
const TRIES: u32 = 3;

/// What would show a bug.
#[derive(Clone, Copy, Debug)]
pub enum Scene {
    /// The usual work.
    Work(Behavior),
    /// The usual work, and death at this point.
    Death(&'static str, Behavior),
    /// A worker that freezes at this point.
    Freeze(&'static str),
    /// Jobs that are canceled while they are at Anthropic.
    LateCancel,
    /// A commit that cannot come to its end.
    NoCommit,
    /// A commit that comes to its end long after others that began later.
    LateCommit,
    /// A backup that is restored.
    Restore,
}

/// Which scene shows which bug.
const SCENES: &[(&str, Scene)] = &[
    ("retry_create", Scene::Work(behavior::LOST)),
    (
        "skip_sending",
        Scene::Death("submit.answered", behavior::PLAIN),
    ),
    ("trust_one_listing", Scene::Work(behavior::LOST_LATE)),
    ("trust_one_404", Scene::Work(behavior::NOT_FOUND)),
    (
        "abandon_never",
        Scene::Death("submit.intent", behavior::PLAIN),
    ),
    ("no_deadline_check", Scene::Freeze("submit.first_bytes")),
    ("no_epoch_check", Scene::Freeze("fold.led")),
    ("ack_before_commit", Scene::NoCommit),
    ("no_idempotency", Scene::Death("api.job", behavior::PLAIN)),
    (
        "settle_without_row",
        Scene::Death("ingest.results", behavior::PLAIN),
    ),
    ("short_is_whole", Scene::Work(behavior::SHORT)),
    ("late_line_free", Scene::LateCancel),
    ("counts_from_memory", Scene::Work(behavior::PLAIN)),
    ("naive_event_cursor", Scene::LateCommit),
    ("no_reconcile", Scene::Restore),
];

/// By what a bug was noticed: the worst of what the judge says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Items that were billed beyond the attempts of their job.
    PaidTwice(u64),
    /// Promised jobs without a result.
    Lost(u64),
    /// Something else that must hold and does not.
    Violation(String),
    /// The work does not end, as it does without the bug in the same time.
    NotAtRest(String),
}

impl By {
    fn of(verdict: &Verdict) -> Option<Self> {
        if verdict.paid_twice > 0 {
            return Some(Self::PaidTwice(verdict.paid_twice));
        }
        if verdict.lost > 0 {
            return Some(Self::Lost(verdict.lost));
        }
        // Of one that is not at rest the rest of the verdict may be half a truth.
        let unrest = verdict.unrest.first().cloned().map(Self::NotAtRest);
        unrest.or_else(|| verdict.violations.first().cloned().map(Self::Violation))
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PaidTwice(items) => write!(f, "paid twice: {items}"),
            Self::Lost(jobs) => write!(f, "lost: {jobs}"),
            Self::Violation(what) | Self::NotAtRest(what) => {
                f.write_str(&what.chars().take(160).collect::<String>())
            }
        }
    }
}

/// What became of one.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Its name.
    pub mutant: &'static str,
    /// By what it was noticed; nothing if by nothing.
    pub by: Option<By>,
}

/// Puts in each bug in turn whose name begins so.
pub async fn run(ground: &Arc<Ground>, named: &str, at_once: usize) -> Result<Vec<Caught>> {
    let mutants = MUTANTS.iter().map(|mutant| mutant.0);
    let mut came: Vec<Caught> = stream::iter(mutants.filter(|mutant| mutant.starts_with(named)))
        .map(|mutant| async move {
            let scene = SCENES.iter().find(|(name, _)| *name == mutant);
            let (_, scene) = scene.with_context(|| format!("no scene for {mutant}"))?;
            let by = noticed(ground, *scene, mutant).await;
            anyhow::Ok(Caught { mutant, by })
        })
        .buffer_unordered(at_once)
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_>>()?;
    came.sort_by_key(|one| one.mutant);
    Ok(came)
}

/// Plays a scene until it shows the bug; some show only in one order of things.
async fn noticed(ground: &Arc<Ground>, scene: Scene, mutant: &str) -> Option<By> {
    for _ in 0..TRIES {
        match shown(ground, scene, mutant).await {
            Ok(Some(by)) => {
                say(&format!("mutant {mutant}: {by}"));
                return Some(by);
            }
            Ok(None) => say(&format!("mutant {mutant}: nothing is wrong")),
            Err(error) => say(&format!("mutant {mutant}: nothing is shown: {error:#}")),
        }
    }
    say(&format!("WRONG mutant {mutant} is NOT NOTICED"));
    None
}

/// What a scene shows of a bug. What is the matter with the harness, or with the
/// machine, is an error.
async fn shown(ground: &Arc<Ground>, scene: Scene, mutant: &str) -> Result<Option<By>> {
    let by = By::of(&play(ground, scene, mutant).await?);
    if matches!(by, Some(By::NotAtRest(_))) {
        is_clean(scene, &play(ground, scene, "").await?)?;
    }
    Ok(by)
}

/// The scenes that are nobody else's part.
pub const OWN: [Scene; 3] = [Scene::LateCancel, Scene::NoCommit, Scene::LateCommit];

/// Those scenes without any bug: they have to be clean.
pub async fn clean(ground: &Arc<Ground>) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for scene in OWN {
        let came = play(ground, scene, "").await;
        verdict.add(Verdict::of(&format!("{scene:?} without a bug"), came));
    }
    Ok(verdict)
}

/// Where something is wrong without the bug, nothing is shown by what is wrong
/// with it.
fn is_clean(scene: Scene, verdict: &Verdict) -> Result<()> {
    let by = By::of(verdict).map(|by| by.to_string());
    ensure!(
        verdict.is_clean(),
        "{scene:?} is not clean without the bug: {}",
        by.unwrap_or_default()
    );
    Ok(())
}

async fn play(ground: &Arc<Ground>, scene: Scene, mutant: &str) -> Result<Verdict> {
    let put_in = [("TORTURE_MUTANT", mutant)];
    match scene {
        Scene::Work(behavior) => {
            let plain = scenario::run(ground, &behavior, &[], &[], REST).await?;
            is_clean(scene, &plain.verdict)?;
            let came = scenario::run(ground, &behavior, &put_in, &put_in, PATIENCE).await?;
            Ok(came.compared_with(&plain.image))
        }
        Scene::Death(point, behavior) => {
            let orders = [put_in[0], ("TORTURE_AT", point)];
            let came = scenario::run(ground, &behavior, &orders, &put_in, PATIENCE).await?;
            ensure!(came.died_at(point), "nobody died at {point}");
            Ok(came.verdict)
        }
        Scene::Freeze(point) => freezes::freeze(ground, point, &put_in).await,
        Scene::LateCancel => scenes::late_cancel(ground, &put_in).await,
        Scene::NoCommit => scenes::no_commit(ground, &put_in).await,
        Scene::LateCommit => scenes::late_commit(ground, &put_in).await,
        Scene::Restore => failover::restore(ground, &put_in, "", PATIENCE).await,
    }
}

#[cfg(test)]
mod tests {
    use super::By;
    use crate::judge::Verdict;

    #[test]
    fn the_worst_is_what_a_bug_is_noticed_by() {
        let mut verdict = Verdict::default();
        assert_eq!(By::of(&verdict), None);
        verdict.violations.push("a".to_owned());
        assert_eq!(By::of(&verdict), Some(By::Violation("a".to_owned())));
        verdict.unrest.push("b".to_owned());
        assert_eq!(By::of(&verdict), Some(By::NotAtRest("b".to_owned())));
        verdict.lost = 1;
        assert_eq!(By::of(&verdict), Some(By::Lost(1)));
        verdict.paid_twice = 2;
        assert_eq!(By::of(&verdict), Some(By::PaidTwice(2)));
    }
}

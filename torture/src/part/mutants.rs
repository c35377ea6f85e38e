//! Bugs put in on purpose, one at a time: each has to be noticed by a scenario
//! that is clean without it. One that nobody notices says that the harness proves
//! nothing about what it breaks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use offpeak_store::torture::MUTANTS;

use super::{failover, freezes};
use crate::behavior::{self, Behavior};
use crate::client::{Client, Door, Promises};
use crate::ground::Ground;
use crate::judge::{Hidden, Verdict, judge};
use crate::say;
use crate::scenario::{self, REST};
use crate::wait::until;
use crate::world::{Role, World};

/// How long a scenario with a bug in it is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

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
    ("skip_sending", Scene::Work(behavior::PLAIN)),
    ("trust_one_listing", Scene::Work(behavior::LOST_LATE)),
    ("adopt_for_certain", Scene::Work(behavior::FOREIGN)),
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

/// What became of one.
#[derive(Clone, Debug)]
pub struct Caught {
    /// Its name.
    pub mutant: &'static str,
    /// By what it was noticed; nothing if by nothing.
    pub by: Option<String>,
}

/// Puts in each bug in turn whose name begins so.
pub async fn run(ground: &Arc<Ground>, named: &str, at_once: usize) -> Result<Vec<Caught>> {
    let mutants = MUTANTS.iter().map(|mutant| mutant.0);
    let mut came: Vec<Caught> = stream::iter(mutants.filter(|mutant| mutant.starts_with(named)))
        .map(|mutant| async move {
            let scene = SCENES.iter().find(|(name, _)| *name == mutant);
            let (_, scene) = scene.with_context(|| format!("no scene for {mutant}"))?;
            let mut by = None;
            // Some show only in one order of things: the scene is played again.
            for _ in 0..TRIES {
                by = match play(ground, *scene, mutant).await {
                    Ok(verdict) if verdict.is_clean() => None,
                    Ok(verdict) => Some(in_words(&verdict)),
                    // It does not come to its end: that is noticed, too.
                    Err(error) => Some(format!("{error:#}")),
                };
                if by.is_some() {
                    break;
                }
            }
            let caught = by.as_deref().unwrap_or("NOT NOTICED");
            say(&format!(
                "mutant {mutant}: {}",
                caught.chars().take(160).collect::<String>()
            ));
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

/// The scenes that are nobody else's part.
pub const OWN: [Scene; 3] = [Scene::LateCancel, Scene::NoCommit, Scene::LateCommit];

/// Those scenes without any bug: they have to be clean.
pub async fn clean(ground: &Arc<Ground>) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for scene in OWN {
        let came = play(ground, scene, "").await;
        verdict.add(came.with_context(|| format!("{scene:?} without a bug"))?);
    }
    Ok(verdict)
}

fn in_words(verdict: &Verdict) -> String {
    let first = verdict.violations.first().map_or("", String::as_str);
    format!(
        "lost {}, paid twice {}: {first}",
        verdict.lost, verdict.paid_twice
    )
}

async fn play(ground: &Arc<Ground>, scene: Scene, mutant: &str) -> Result<Verdict> {
    let put_in = [("TORTURE_MUTANT", mutant)];
    match scene {
        Scene::Work(behavior) => {
            let plain = scenario::run(ground, &behavior, &[], &[], REST).await?;
            let came = scenario::run(ground, &behavior, &put_in, &put_in, PATIENCE).await?;
            Ok(came.compared_with(&plain.image))
        }
        Scene::Death(point, behavior) => {
            let orders = [put_in[0], ("TORTURE_AT", point)];
            let came = scenario::run(ground, &behavior, &orders, &put_in, PATIENCE).await?;
            Ok(came.verdict)
        }
        Scene::Freeze(point) => freezes::freeze(ground, point, &put_in).await,
        Scene::LateCancel => late_cancel(ground, &put_in).await,
        Scene::NoCommit => no_commit(ground, &put_in).await,
        Scene::LateCommit => late_commit(ground, &put_in).await,
        Scene::Restore => failover::restore(ground, &put_in, "", PATIENCE).await,
    }
}

/// Every job is canceled once it is at Anthropic, where it is done all the same.
async fn late_cancel(ground: &Arc<Ground>, orders: &[(&str, &str)]) -> Result<Verdict> {
    let world = scenario::world(ground, &behavior::SLOW).await?;
    let (door, promises) = (Door::default(), Promises::default());
    let program = world.start(Role::All, orders).await?;
    door.set(vec![program.url.clone()]);
    let client = Client::new(&world, &door, &promises);
    let group = client.submit_group("late", 4).await?;
    until("the batch to be sent", PATIENCE, || async {
        let sent = "SELECT count(*) FROM offpeak.batch WHERE state = 'in_progress'";
        Ok(world.number(sent).await? > 0)
    })
    .await?;
    client.change("groups", &group, "cancel").await?;
    world.at_rest(PATIENCE).await?;
    let verdict = judge(&world, &promises, Hidden::Never).await;
    program.stop().await?;
    verdict
}

/// What makes every commit that opens a group wait for somebody who never comes.
const STUCK: &str = "
    CREATE FUNCTION public.wait_for_ever() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock(4711);
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER stuck AFTER INSERT OR UPDATE ON offpeak.job_group
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (NEW.opened_at IS NOT NULL) EXECUTE FUNCTION public.wait_for_ever();";

/// The database does not come to the end of a commit, the API's process dies, and
/// the transaction is rolled back: who was told that it is stored was lied to.
async fn no_commit(ground: &Arc<Ground>, orders: &[(&str, &str)]) -> Result<Verdict> {
    let world = scenario::world(ground, &behavior::PLAIN).await?;
    let (door, promises) = (Door::default(), Promises::default());
    let mut program = world.start(Role::Api, orders).await?;
    door.set(vec![program.url.clone()]);
    sqlx::raw_sql(STUCK).execute(&world.root).await?;
    let mut holder = world.root.acquire().await?;
    sqlx::query("SELECT pg_advisory_lock(4711)")
        .execute(&mut *holder)
        .await?;
    let client = Client::new(&world, &door, &promises);
    let (url, lines) = (program.url.clone(), crate::client::lines("stuck", 3));
    let asked = client.ask_once(&url, "/v1/jobs/bulk?name=stuck", Some("stuck"), Some(lines));
    let answer = tokio::select! {
        answer = asked => answer,
        () = stuck(&world) => None,
    };
    if let Some(answer) = answer.filter(|answer| answer.status < 300) {
        client.promised_group("stuck", 3, crate::client::text(&answer.body, "/group"))?;
    }
    program.kill().await?;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event = 'advisory'",
    )
    .execute(&mut *holder)
    .await?;
    sqlx::query("SELECT pg_advisory_unlock(4711)")
        .execute(&mut *holder)
        .await?;
    sqlx::raw_sql("DROP TRIGGER stuck ON offpeak.job_group")
        .execute(&mut *holder)
        .await?;
    drop(holder);
    let after = world.start(Role::All, &[]).await?;
    door.set(vec![after.url.clone()]);
    client.submit("s-0").await?;
    world.at_rest(PATIENCE).await?;
    let verdict = judge(&world, &promises, Hidden::Never).await;
    after.stop().await?;
    verdict
}

/// A group has told of its jobs and is not committed while others are, and are
/// numbered: it counts nevertheless.
async fn late_commit(ground: &Arc<Ground>, orders: &[(&str, &str)]) -> Result<Verdict> {
    let world = scenario::world(ground, &behavior::PLAIN).await?;
    let (door, promises) = (Door::default(), Promises::default());
    let program = world.start(Role::All, orders).await?;
    door.set(vec![program.url.clone()]);
    let client = Client::new(&world, &door, &promises);
    // The first job of its kind opens what later ones share, and who commits that
    // late holds the others up.
    client.submit("s-0").await?;
    sqlx::raw_sql(STUCK).execute(&world.root).await?;
    let mut holder = world.root.acquire().await?;
    sqlx::query("SELECT pg_advisory_lock(4711)")
        .execute(&mut *holder)
        .await?;
    let others = async {
        stuck(&world).await;
        client.submit("s-1").await?;
        until("the other to be numbered", PATIENCE, || async {
            let queued = "SELECT count(*) FROM offpeak.event, unnest(ids)
                           WHERE kind = 'job' AND state = 'queued'";
            Ok(world.number(queued).await? >= 2)
        })
        .await?;
        sqlx::query("SELECT pg_advisory_unlock(4711)")
            .execute(&mut *holder)
            .await?;
        anyhow::Ok(())
    };
    tokio::try_join!(client.submit_group("late", 3), others)?;
    sqlx::raw_sql("DROP TRIGGER stuck ON offpeak.job_group")
        .execute(&mut *holder)
        .await?;
    drop(holder);
    world.at_rest(PATIENCE).await?;
    let verdict = judge(&world, &promises, Hidden::Never).await;
    program.stop().await?;
    verdict
}

/// Waits until a commit has been waiting for a while, so that an answer would
/// have come by now.
async fn stuck(world: &World) {
    let waiting = until("a commit to wait", PATIENCE, || async {
        let asked = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND wait_event = 'advisory'
                AND state_change < clock_timestamp() - interval '1 second'",
        );
        Ok(asked.fetch_one(&world.root).await? > 0)
    });
    if waiting.await.is_err() {
        say("no commit waits: nothing is shown");
    }
}

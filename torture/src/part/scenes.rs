//! Scenes of the mutants' own: what shows a bug that no other part would meet.

use std::sync::Arc;

use anyhow::Result;

use super::mutants::PATIENCE;
use crate::behavior;
use crate::client::{Client, Door, Promises};
use crate::ground::Ground;
use crate::judge::{Hidden, Verdict, judge};
use crate::scenario;
use crate::wait::until;
use crate::world::{Role, World};

/// Every job is canceled once it is at Anthropic, where it is done all the same.
pub(super) async fn late_cancel(ground: &Arc<Ground>, orders: &[(&str, &str)]) -> Result<Verdict> {
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
    let rest = world.at_rest(PATIENCE).await;
    let verdict = judge(&world, &promises, Hidden::Never, rest).await;
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
pub(super) async fn no_commit(ground: &Arc<Ground>, orders: &[(&str, &str)]) -> Result<Verdict> {
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
        waits = stuck(&world) => {
            waits?;
            None
        }
    };
    if answer.is_some_and(|answer| answer.status < 300) {
        client.promised_group("stuck", 3);
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
    let rest = world.at_rest(PATIENCE).await;
    let verdict = judge(&world, &promises, Hidden::Never, rest).await;
    after.stop().await?;
    verdict
}

/// A group has told of its jobs and is not committed while others are, and are
/// numbered: it counts nevertheless.
pub(super) async fn late_commit(ground: &Arc<Ground>, orders: &[(&str, &str)]) -> Result<Verdict> {
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
        stuck(&world).await?;
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
    let rest = world.at_rest(PATIENCE).await;
    let verdict = judge(&world, &promises, Hidden::Never, rest).await;
    program.stop().await?;
    verdict
}

/// Waits until a commit has been waiting for a while, so that an answer would
/// have come by now. Where none does, nothing is shown.
async fn stuck(world: &World) -> Result<()> {
    until("a commit to wait", PATIENCE, || async {
        let asked = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_stat_activity
              WHERE datname = current_database() AND wait_event = 'advisory'
                AND state_change < clock_timestamp() - interval '1 second'",
        );
        Ok(asked.fetch_one(&world.root).await? > 0)
    })
    .await
}

//! A process is stopped at a point, as a machine that sleeps; another one takes
//! over and finishes; then the first one wakes. It may write nothing, and send
//! nothing but what it was just writing to the socket.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::behavior::{self, Behavior};
use crate::client::{Client, Door, Promises};
use crate::ground::Ground;
use crate::judge::{Hidden, Verdict, judge};
use crate::say;
use crate::scenario::{self, REST};
use crate::wait::{moments, until};
use crate::world::{Program, Role, World};

/// Points at which nothing is held locked that the other one would wait for.
pub const POINTS: &[&str] = &[
    "form.led",
    "submit.intent",
    "submit.first_bytes",
    "submit.last_bytes",
    "submit.answered",
    "direct.intent",
    "direct.answered",
    "poll.listed",
    "ingest.taken",
    "ingest.chunk",
    "ingest.read",
    "fold.led",
    "tend.led",
];

/// After the last look at deadline and lease, between it and the socket: what no
/// check can close. It is found, canceled and absorbed.
const AT_THE_WRITE: &str = "submit.last_bytes";

/// How often it is tried to hold the leases.
const TRIES: u32 = 3;

/// Looks, half a second apart, at what a process that woke late has written.
const LATE: u32 = 8;

/// Freezes a worker there; gives the verdict. Where the harness itself was held up
/// for so long that a lease slipped from it, nothing is shown: then once more.
pub async fn freeze(ground: &Arc<Ground>, point: &str, later: &[(&str, &str)]) -> Result<Verdict> {
    for _ in 0..TRIES {
        if let Some(verdict) = once(ground, point, later).await? {
            return Ok(verdict);
        }
        say(&format!("frozen at {point}: a lease slipped; once more"));
    }
    bail!("the leases could not be held in {TRIES} tries: too much else is going on")
}

async fn once(
    ground: &Arc<Ground>,
    point: &str,
    later: &[(&str, &str)],
) -> Result<Option<Verdict>> {
    let behavior = Behavior {
        hidden: if point == AT_THE_WRITE {
            Hidden::AtTheWrite
        } else {
            Hidden::Never
        },
        ..behavior::PLAIN
    };
    let world = scenario::world(ground, &behavior).await?;
    let (door, promises) = (Door::default(), Promises::default());
    let mut orders = vec![("TORTURE_AT", point), ("TORTURE_HOW", "stop")];
    orders.extend_from_slice(later);
    let api = world.start(Role::Api, &[]).await?;
    door.set(vec![api.url.clone()]);
    let mut sleeper = world.start(Role::Worker, &orders).await?;
    let client = Client::new(&world, &door, &promises);
    client.submit_group("a", 6).await?;
    client.submit("s-0").await?;
    if point.starts_with("direct.") {
        client.make_type().await?;
        client.submit_urgent("now-1").await?;
    }
    until("the worker to freeze", REST, || async {
        Ok(sleeper.is_stopped())
    })
    .await?;
    let other = world.start(Role::Worker, &[]).await?;
    world.at_rest(REST).await?;
    other.stop().await?;
    // Nobody may lead from here on, so whatever happens is the sleeper's doing. A
    // term that is longer than anybody takes counts as none: they are renewed.
    let watched = tokio::select! {
        watched = watch(&world, &sleeper) => watched?,
        broke = keep_holding(&world) => {
            broke?;
            return Ok(None);
        }
    };
    let mut late = Verdict::default();
    if let Some(written) = watched {
        late.violations
            .push(format!("it woke late and wrote: {written}"));
    }
    ensure!(!sleeper.has_ended()?, "the frozen worker died");
    sleeper.kill().await?;
    free_leases(&world).await?;
    let last = world.start(Role::Worker, &[]).await?;
    let mut rest = world.at_rest(REST).await;
    if behavior.hidden != Hidden::Never && rest.is_ok() {
        rest = scenario::all_found(&world, REST).await;
    }
    late.add(judge(&world, &promises, behavior.hidden, rest).await?);
    last.stop().await?;
    Ok(Some(late))
}

/// Lets the sleeper wake; gives what it has written by then, if anything.
async fn watch(world: &World, sleeper: &Program) -> Result<Option<String>> {
    // The leases are held before anything is there to be done.
    hold_leases(&mut *world.root.acquire().await?).await?;
    sqlx::query(
        "INSERT INTO offpeak.delta (tenant_id, scope, key, name)
         SELECT id, 'tenant', '00000000-0000-0000-0000-000000000000', 'queued' FROM offpeak.tenant",
    )
    .execute(&world.root)
    .await?;
    let before = everything_led(world).await?;
    sleeper.signal(Signal::CONT)?;
    woken(world).await?;
    // What it was about to do takes moments, and on a busy machine seconds.
    for _ in 0..LATE {
        moments(20).await;
        let after = everything_led(world).await?;
        if before != after {
            // Time to find out that a lease has slipped, if one has.
            moments(20).await;
            return Ok(Some(differing(&before, &after)));
        }
    }
    Ok(None)
}

/// Waits until the sleeper says that it lives.
async fn woken(world: &World) -> Result<()> {
    const ALIVE: &str = "SELECT count(*) FROM offpeak.lease
                          WHERE name LIKE 'process/%' AND expires_at > now()";
    until("the worker to wake", REST, || async {
        Ok(world.number(ALIVE).await? > 0)
    })
    .await
}

/// Renews what [`hold_leases`] took, until somebody else has one of them.
async fn keep_holding(world: &World) -> Result<()> {
    // Taken once for all, so that it waits for nobody in this world.
    let mut conn = world.root.acquire().await?;
    hold_leases(&mut conn).await?;
    loop {
        moments(8).await;
        if slipped(&mut conn).await? {
            return Ok(());
        }
        hold_leases(&mut conn).await?;
    }
}

/// Whether a process has taken a lease although all are held.
async fn slipped(conn: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM offpeak.lease
                         WHERE name NOT LIKE 'process/%'
                           AND holder <> '00000000-0000-0000-0000-000000000001')",
    )
    .fetch_one(conn)
    .await?)
}

/// Takes every lease for somebody who does nothing.
async fn hold_leases(conn: &mut PgConnection) -> Result<()> {
    // Those too that nobody needed until now.
    sqlx::query(
        "INSERT INTO offpeak.lease (name, holder, epoch, expires_at)
         SELECT name, '00000000-0000-0000-0000-000000000001'::uuid, 1, now() + interval '3 seconds'
           FROM (SELECT name FROM offpeak.lease WHERE name NOT LIKE 'process/%'
                 UNION
                 SELECT of || '/ups_' || repeat('0', 26)
                   FROM unnest(ARRAY['form', 'poll', 'rescue', 'sweep', 'reconcile']) AS of) AS t
             ON CONFLICT (name) DO UPDATE
            SET holder = excluded.holder, epoch = lease.epoch + 1,
                expires_at = excluded.expires_at",
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn free_leases(world: &World) -> Result<()> {
    sqlx::query("UPDATE offpeak.lease SET expires_at = now() - interval '1 hour'")
        .execute(&world.root)
        .await?;
    Ok(())
}

/// Every table but the leases, with its rows as text.
async fn everything_led(world: &World) -> Result<Vec<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
          WHERE c.relnamespace = 'offpeak'::regnamespace AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition AND c.relname NOT IN ('lease', 'api_key', 'storage')
          ORDER BY 1",
    )
    .fetch_all(&world.root)
    .await?;
    let mut rows = Vec::new();
    for table in tables {
        let sql = format!("SELECT '{table} ' || t::text FROM offpeak.{table} t ORDER BY 1");
        let text: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&world.root)
            .await?;
        rows.extend(text);
    }
    Ok(rows)
}

fn differing(before: &[String], after: &[String]) -> String {
    let only = |some: &[String], other: &[String]| {
        let line = some.iter().find(|line| !other.contains(line));
        line.map_or_else(String::new, |line| line.chars().take(200).collect())
    };
    format!("{} → {}", only(before, after), only(after, before))
}

/// Freezes at each of the points; so many worlds at once. Gives where a process was
/// frozen.
pub async fn run(
    ground: &Arc<Ground>,
    points: &[&'static str],
    at_once: usize,
) -> Result<(Verdict, BTreeSet<&'static str>)> {
    let (mut verdict, mut hit) = (Verdict::default(), BTreeSet::new());
    let mut runs = stream::iter(points.iter().copied())
        .map(|point| async move {
            let came = tokio::time::timeout(Duration::from_mins(3), freeze(ground, point, &[]));
            (point, came.await)
        })
        .buffer_unordered(at_once);
    while let Some((point, came)) = runs.next().await {
        let came = came.unwrap_or_else(|_| Err(anyhow!("nothing more happened")));
        // Without a process that froze there is no verdict.
        if came.is_ok() {
            hit.insert(point);
        }
        verdict.add(Verdict::of(&format!("frozen at {point}"), came));
    }
    Ok((verdict, hit))
}

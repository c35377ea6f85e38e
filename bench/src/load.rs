//! Loads: bodies to upload, and calls at a fixed rate. A call's time counts from
//! when it was due, so a server that stalls cannot hide it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::stream;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::figures::Samples;
use crate::texts::Texts;
use crate::upload::{Client, line};

/// Lines that one piece of a body holds.
const PIECE: usize = 100;
/// Connections that bare inserts share: as many as the API has.
const CONNECTIONS: u32 = 10;

/// The body of an upload, made beforehand. Each round has other texts.
pub fn body(
    texts: &Texts,
    round: usize,
    rounds: usize,
    lines: usize,
    length: usize,
) -> Result<reqwest::Body> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for place in 0..lines {
        piece.push_str(&line(texts.cut(
            place * rounds + round,
            lines * rounds,
            length,
        ))?);
        piece.push('\n');
        if place % PIECE == PIECE - 1 {
            pieces.push(Bytes::from(std::mem::take(&mut piece)));
        }
    }
    pieces.push(piece.into());
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    Ok(reqwest::Body::wrap_stream(pieces))
}

/// A long body, made while it is sent.
pub fn stream(texts: Texts, lines: usize, length: usize) -> reqwest::Body {
    let pieces = (0..lines.div_ceil(PIECE)).map(move |piece| {
        let mut text = String::new();
        for place in piece * PIECE..lines.min((piece + 1) * PIECE) {
            text.push_str(&line(texts.cut(place, lines, length))?);
            text.push('\n');
        }
        anyhow::Ok(Bytes::from(text))
    });
    reqwest::Body::wrap_stream(stream::iter(pieces))
}

/// The UUID in an id of the API.
pub fn uuid(id: &str) -> Result<Uuid> {
    let group: offpeak_domain::id::GroupId = id.parse().ok().context("not a group's id")?;
    Ok(group.as_uuid())
}

/// What calls at a fixed rate came to.
#[derive(Debug)]
pub struct Outcome {
    /// Milliseconds from when each was due to its answer.
    pub times: Samples,
    /// Calls that did not do what they should.
    pub failed: u64,
    /// Calls in a second, as it came out.
    pub rate: f64,
}

/// Submits one job after the other, the tenants in turn.
pub async fn posts(
    clients: &[Client],
    bodies: &[String],
    rate: u32,
    seconds: u32,
) -> Result<Outcome> {
    let bodies: Arc<[String]> = bodies.into();
    let clients: Arc<[Client]> = clients.into();
    at_rate(rate, seconds, move |number| {
        let (bodies, clients) = (Arc::clone(&bodies), Arc::clone(&clients));
        async move {
            let client = &clients[number % clients.len()];
            client.post(&bodies[number % bodies.len()]).await
        }
    })
    .await
}

/// Inserts one row after the other, each in a transaction of its own.
pub async fn inserts(
    connect: &PgConnectOptions,
    bodies: &[String],
    rate: u32,
    seconds: u32,
) -> Result<Outcome> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .min_connections(CONNECTIONS)
        // A question before each insert would flatter what is held against it.
        .test_before_acquire(false)
        .connect_with(connect.clone())
        .await?;
    sqlx::raw_sql("TRUNCATE public.bare").execute(&pool).await?;
    let bodies: Arc<[String]> = bodies.into();
    let using = pool.clone();
    let outcome = at_rate(rate, seconds, move |number| {
        let (bodies, pool) = (Arc::clone(&bodies), using.clone());
        async move {
            sqlx::query("INSERT INTO public.bare (id, body) VALUES ($1, $2)")
                .bind(i64::try_from(number)?)
                .bind(bodies[number % bodies.len()].as_bytes())
                .execute(&pool)
                .await?;
            Ok(true)
        }
    })
    .await;
    pool.close().await;
    outcome
}

async fn at_rate<F>(rate: u32, seconds: u32, call: impl Fn(usize) -> F) -> Result<Outcome>
where
    F: Future<Output = Result<bool>> + Send + 'static,
{
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let total = usize::try_from(rate * seconds)?;
    let mut next = 0;
    while next < total {
        ticks.tick().await;
        loop {
            let due = begun + Duration::from_secs(1) * u32::try_from(next)? / rate;
            if next >= total || due > Instant::now() {
                break;
            }
            let answer = call(next);
            calls.spawn(async move {
                let good = answer.await;
                (good, due.elapsed().as_secs_f64() * 1e3)
            });
            next += 1;
        }
    }
    let (mut times, mut failed) = (Samples::default(), 0);
    while let Some(ended) = calls.join_next().await {
        let (good, time) = ended?;
        failed += u64::from(!good?);
        times.push(time);
    }
    let rate = f64::from(u32::try_from(total)?) / begun.elapsed().as_secs_f64();
    Ok(Outcome {
        times,
        failed,
        rate,
    })
}

//! The day that `bench-bill` sends three ways, and the ways.

pub mod by_hand;
pub mod mix;
pub mod through;

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use offpeak_domain::job::Lane;
use offpeak_domain::price::{Bill, Prices};
use offpeak_standin::{Behavior, Billed, Manual, Standin};
use offpeak_worker::usage;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::net::TcpListener;

/// When the first day begins; only its price list depends on it.
pub const MORNING: OffsetDateTime = datetime!(2026-11-27 09:00 UTC);

/// How long the stand-in takes for a batch.
const TURNAROUND: Range<Duration> = Duration::from_mins(3)..Duration::from_mins(50);

/// A stand-in in virtual time.
pub struct Upstream {
    /// It.
    pub standin: Standin,
    /// Its clock.
    pub clock: Manual,
    /// Where it listens.
    pub url: String,
}

impl Upstream {
    /// One with an empty folder, whose clock stands at `now`; of a batch's items
    /// so many find what is warm, from 0 to 1.
    pub async fn start(data: &Path, now: OffsetDateTime, hit_rate: f64) -> Result<Self> {
        if data.exists() {
            std::fs::remove_dir_all(data)?;
        }
        let clock = Manual::new(now);
        let standin = Standin::open(offpeak_standin::Options {
            clock: offpeak_standin::Clock::Manual(clock.clone()),
            turnaround: TURNAROUND,
            ..offpeak_standin::Options::new(data)
        })?;
        standin.set_behavior(Behavior {
            cache_hit_rate: hit_rate,
            ..Behavior::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(standin.clone().serve(listener, std::future::pending()));
        Ok(Self {
            standin,
            clock,
            url,
        })
    }

    /// What it has billed.
    pub fn bill(&self, prices: &Prices) -> Result<Bill> {
        let journal = self.standin.journal()?;
        ensure!(!journal.is_empty(), "nothing was billed");
        let mut sum = Bill::default();
        for item in &journal {
            let one = bill_of(prices, item)?;
            sum.cost += one.cost;
            sum.sync += one.sync;
            sum.saved_batch += one.saved_batch;
            sum.saved_cache += one.saved_cache;
        }
        Ok(sum)
    }
}

fn bill_of(prices: &Prices, item: &Billed) -> Result<Bill> {
    let lane = match item.batch_id {
        Some(_) => Lane::Batch,
        None => Lane::Direct,
    };
    prices
        .bill(&usage(&item.usage), &item.model, MORNING.date(), lane)
        .with_context(|| item.model.clone())
}

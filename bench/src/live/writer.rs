//! Who makes jobs change their state, in transactions of the store as the API
//! has them, and remembers when each was committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use offpeak_domain::id::{JobId, Minter, TenantId};
use offpeak_store::job::{self, Entry, NewJob};
use offpeak_store::{System, Tenants, notify, upstream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::Database;

/// Hints are sent no more often than this, as by the API and the worker.
const APART: Duration = Duration::from_millis(25);

/// See the module.
#[derive(Clone, Debug)]
pub struct Writer {
    tenants: Tenants,
    commits: Arc<Mutex<HashMap<JobId, Instant>>>,
    _hints: Arc<Hints>,
}

#[derive(Debug)]
struct Hints(Vec<AbortHandle>);

impl Drop for Hints {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Writer {
    /// One that hints at what it, and whoever else uses these pools, has told.
    pub fn new(database: &Database) -> Self {
        let (tenants, system) = (database.tenants.clone(), database.system.clone());
        let hints = [
            tokio::spawn(hint_jobs(tenants.clone())).abort_handle(),
            tokio::spawn(hint_events(system)).abort_handle(),
        ];
        Self {
            tenants,
            commits: Arc::default(),
            _hints: Arc::new(Hints(hints.into())),
        }
    }

    /// When the transaction of a job was sent its COMMIT.
    pub fn committed(&self, job: JobId) -> Option<Instant> {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        commits.get(&job).copied()
    }

    /// Commits one transaction with jobs of these users.
    pub async fn commit(
        &self,
        tenant: TenantId,
        users: impl Iterator<Item = usize> + Send,
    ) -> Result<()> {
        let mut tx = self.tenants.begin(tenant).await?;
        let jobs: Vec<NewJob> = {
            let mut minter = Minter::new(tx.now(), offpeak::entropy::source()?);
            users.map(|user| new_job(minter.mint(), user)).collect()
        };
        job::insert_chunk(&mut tx, &jobs, Entry::Ready).await?;
        let now = Instant::now();
        {
            let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            commits.extend(jobs.iter().map(|job| (job.id, now)));
        }
        Ok(tx.commit().await?)
    }

    /// Commits so many transactions a second with so many jobs each, users in
    /// turn. It fails when the database could not keep up.
    pub async fn at_rate(&self, tenant: TenantId, load: &Load) -> Result<usize> {
        let mut ticks = interval(Duration::from_secs(1) / load.transactions);
        // Late ones follow at once: what is asked for is a rate.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut open = JoinSet::new();
        let begun = Instant::now();
        let mut user = 0;
        for _ in 0..load.transactions * load.seconds {
            ticks.tick().await;
            let (writer, first, load) = (self.clone(), user, *load);
            user += load.jobs;
            open.spawn(async move {
                let users = (first..first + load.jobs).map(|user| user % load.users);
                writer.commit(tenant, users).await
            });
        }
        while let Some(ended) = open.join_next().await {
            ended??;
        }
        let took = begun.elapsed().as_secs_f64() / f64::from(load.seconds);
        ensure!(took < 1.2, "the writers needed {took:.2} times the time");
        Ok(user)
    }
}

/// Changes at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// In a second.
    pub transactions: u32,
    /// In a transaction.
    pub jobs: usize,
    /// Whose jobs they are.
    pub users: usize,
    /// For how long.
    pub seconds: u32,
}

/// A small job of the user of this number.
pub fn new_job(id: JobId, user: usize) -> NewJob {
    let params = br#"{"model":"claude-haiku-5-5","max_tokens":100,"messages":[{"role":"user","content":"Sum it up."}]}"#;
    NewJob {
        id,
        group: None,
        job_type: None,
        user: Some(format!("user-{user}")),
        model: "claude-haiku-5-5".to_owned(),
        upstream: upstream::OWN,
        lane: offpeak_domain::job::Lane::Batch,
        terms: offpeak_domain::deliver::Terms::default(),
        priority: 0,
        metadata: None,
        params: params.to_vec(),
        structured: false,
        prefix: None,
        sharing: None,
        expected: None,
    }
}

async fn hint_jobs(tenants: Tenants) {
    let mut ticks = interval(APART);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tenants.told().await;
        // One that is lost costs seconds, which the figures show.
        let _ = notify::ready(&tenants).await;
        ticks.reset();
        ticks.tick().await;
    }
}

async fn hint_events(system: System) {
    let mut ticks = interval(APART);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        system.told().await;
        let _ = notify::told(&system).await;
        ticks.reset();
        ticks.tick().await;
    }
}

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use offpeak_anthropic::shape::{MessageBatch, Page};
use offpeak_anthropic::{Answered, Client, Error, Line, Results};
use offpeak_domain::breaker::{Call as Kind, Permit};
use offpeak_domain::id::{TenantId, UpstreamId};
use offpeak_store::upstream::OWN;
use offpeak_store::upstream_key::{Alive, ways};
use rand::rngs::StdRng;
use secrecy::SecretString;
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::gate::Gates;
use crate::measure::{Call, Shared};
use crate::options::Options;
use crate::pause::{CREATE, News};
use crate::their_clock::{CLOCKS_APART, TheirClock};

/// One upstream as the loops call it: the client behind its breakers, with each
/// call counted. What a breaker holds back is [`Error::Held`].
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its row.
    pub id: UpstreamId,
    /// Of a tenant's own: which of its keys, from 1.
    pub(crate) version: Option<i32>,
    client: Client,
    watch: Option<Watch>,
}

/// How far Anthropic's clock is ahead of ours, where that is known.
pub(crate) type Ahead = Option<time::Duration>;

/// What watches the calls of a worker's upstream.
#[derive(Clone, Debug)]
struct Watch {
    measure: Shared,
    gates: Arc<Gates>,
    news: Arc<News>,
    theirs: Arc<TheirClock>,
    /// A message batch that this credential knows.
    seen: Arc<Mutex<Option<String>>>,
}

/// The right to make one create, or one direct call.
#[derive(Debug)]
pub(crate) struct MayCreate(Option<Arc<Gates>>, Kind);

impl Drop for MayCreate {
    fn drop(&mut self) {
        if let Some(gates) = self.0.take() {
            gates.unmade(self.1);
        }
    }
}

impl Upstream {
    /// The upstream `id`, reached through `client`.
    pub fn new(id: UpstreamId, client: Client) -> Self {
        Self {
            id,
            version: None,
            client,
            watch: None,
        }
    }

    /// A tenant's own, with this version of its key, at the same place as this one.
    pub(crate) fn with_key(&self, key: Alive, secret: &SecretString) -> Result<Self, Error> {
        Ok(Self {
            version: Some(key.version),
            ..Self::new(ways::of_tenant(key.tenant), self.client.with_key(secret)?)
        })
    }

    /// Whose it is, unless the deployment's.
    pub(crate) fn owner(&self) -> Option<TenantId> {
        (self.id != OWN).then(|| TenantId::from_uuid(self.id.as_uuid()))
    }

    /// Whether nobody else makes message batches there. Of a tenant's own workspace
    /// nobody can know.
    pub(crate) fn is_dedicated(&self, options: &Options) -> bool {
        self.owner().is_none() && options.dedicated_workspace
    }

    /// Where it is.
    pub(crate) fn base_url(&self) -> &str {
        self.client.base_url()
    }

    /// Asks for the newest message batch, beside breakers and counters: what a key that
    /// is not in use yet is told says nothing about others.
    pub(crate) async fn try_list(&self) -> Result<Answered<Page<MessageBatch>>, Error> {
        self.client.batches(1, None, None).await
    }

    /// The same for one message batch.
    pub(crate) async fn try_batch(&self, id: &str) -> Result<MessageBatch, Error> {
        self.client.batch(id).await
    }

    pub(crate) fn watched(mut self, measure: &Shared, clock: &Clock, rng: StdRng) -> Self {
        let gates = Gates::new(self.id, Arc::clone(measure), clock.clone(), rng);
        self.watch = Some(Watch {
            measure: Arc::clone(measure),
            gates: Arc::new(gates),
            news: Arc::default(),
            theirs: Arc::new(TheirClock::new(clock.clone())),
            seen: Arc::default(),
        });
        self
    }

    /// How long no call of this kind will be let through, if so.
    pub(crate) fn held(&self, kind: Kind) -> Option<Duration> {
        self.gates().and_then(|gates| gates.held(kind))
    }

    /// Shows whether nothing is sent for this reason.
    pub(crate) fn show_held(&self, reason: &'static str, held: bool) {
        if let Some(gates) = self.gates() {
            gates.show_held(reason, held);
        }
    }

    /// What time it is, and how far Anthropic's clock is ahead of that, as far as
    /// its answers have said.
    pub(crate) async fn now(&self, clock: &Clock) -> crate::Result<(OffsetDateTime, Ahead)> {
        let before = self.local();
        let now = clock.now().await?;
        let watch = self.watch.as_ref();
        let ahead = watch.filter(|_| self.local().saturating_sub(before) < CLOCKS_APART);
        let theirs = ahead.and_then(|watch| watch.theirs.at(before));
        Ok((now, theirs.map(|theirs| theirs - now)))
    }

    /// Whether this credential has known this message batch.
    pub(crate) fn has_seen(&self, id: &str) -> bool {
        self.watch.as_ref().is_some_and(|watch| {
            let seen = watch.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.as_deref() == Some(id)
        })
    }

    /// Remembers that it does, for as long as this process runs.
    pub(crate) fn saw(&self, id: String) {
        if let Some(watch) = &self.watch {
            *watch.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        }
    }

    fn local(&self) -> Duration {
        let watch = self.watch.as_ref();
        watch.map_or(Duration::ZERO, |watch| watch.theirs.local())
    }

    fn hear<T>(&self, asked: Duration, answer: &Result<Answered<T>, Error>) {
        if let Some(watch) = &self.watch {
            watch.theirs.hear(asked, answer);
        }
    }

    /// Asks for one create, before anything is written down about it.
    pub(crate) async fn may_create(&self) -> Result<MayCreate, Error> {
        self.admit(Kind::Create).await?;
        Ok(MayCreate(self.gates().cloned(), Kind::Create))
    }

    /// Asks for one direct call, before anything is written down about it.
    pub(crate) async fn may_call(&self) -> Result<MayCreate, Error> {
        self.admit(Kind::Message).await?;
        Ok(MayCreate(self.gates().cloned(), Kind::Message))
    }

    /// Calls for one message. Gives it as it came.
    pub(crate) async fn message(
        &self,
        mut may: MayCreate,
        params: Bytes,
        within: Duration,
    ) -> Result<Bytes, Error> {
        let answer = self.client.message(params, within).await;
        may.0 = None;
        let answer = self.done(Kind::Message, "message", answer)?;
        Ok(answer.value)
    }

    pub(crate) async fn create_batch<S, E>(
        &self,
        mut may: MayCreate,
        length: u64,
        body: S,
        within: Duration,
    ) -> Result<Answered<MessageBatch>, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let asked = self.local();
        let answer = self.client.create_batch(length, body, within).await;
        self.hear(asked, &answer);
        may.0 = None;
        self.done(Kind::Create, CREATE, answer)
    }

    /// Sends what goes ahead of a batch. That messages are refused says nothing
    /// about creates, so no breaker hears of it.
    pub(crate) async fn prime(&self, body: Bytes, within: Duration) -> Result<Bytes, Error> {
        let asked = self.local();
        let answer = self.client.message(body, within).await;
        self.hear(asked, &answer);
        self.count("prime", &answer);
        Ok(answer?.value)
    }

    pub(crate) async fn batch(&self, id: &str) -> Result<MessageBatch, Error> {
        self.admit(Kind::Read).await?;
        self.done(Kind::Read, "retrieve", self.client.batch(id).await)
    }

    pub(crate) async fn cancel_batch(&self, id: &str) -> Result<MessageBatch, Error> {
        self.admit(Kind::Read).await?;
        self.done(Kind::Read, "cancel", self.client.cancel_batch(id).await)
    }

    /// Deletes an ended message batch with its results.
    pub(crate) async fn delete_batch(&self, id: &str) -> Result<(), Error> {
        self.admit(Kind::Read).await?;
        self.done(Kind::Read, "delete", self.client.delete_batch(id).await)
    }

    pub(crate) async fn batches(
        &self,
        after: Option<&str>,
    ) -> Result<Answered<Page<MessageBatch>>, Error> {
        self.admit(Kind::Read).await?;
        let asked = self.local();
        let answer = self.client.batches(1000, after, None).await;
        self.hear(asked, &answer);
        self.done(Kind::Read, "list", answer)
    }

    pub(crate) async fn results(&self, batch: &MessageBatch) -> Result<Download, Error> {
        self.admit(Kind::Results).await?;
        let answer = self.client.results(batch).await;
        self.count("results", &answer);
        if answer.is_err()
            && let Some(gates) = self.gates()
        {
            gates.went(Kind::Results, &answer);
        }
        Ok(Download {
            results: answer?,
            gates: self.gates().cloned(),
        })
    }

    /// Lets a call through, or says how long it has to wait. What was down is
    /// probed by a list before.
    async fn admit(&self, kind: Kind) -> Result<(), Error> {
        let Some(gates) = self.gates() else {
            return Ok(());
        };
        match gates.ask(kind) {
            Permit::Go => return Ok(()),
            Permit::Wait(wait) => return Err(Error::Held { wait }),
            Permit::Probe => {}
        }
        let probe = self.client.batches(1, None, None).await;
        self.count("list", &probe);
        if kind != Kind::Read {
            gates.went(Kind::Read, &probe);
        }
        gates.probed(kind, &probe);
        match gates.ask(kind) {
            Permit::Go => Ok(()),
            Permit::Wait(wait) => Err(Error::Held { wait }),
            Permit::Probe => Err(Error::Held {
                wait: Duration::ZERO,
            }),
        }
    }

    fn done<T>(
        &self,
        kind: Kind,
        call: &'static str,
        answer: Result<T, Error>,
    ) -> Result<T, Error> {
        self.count(call, &answer);
        if let Some(gates) = self.gates() {
            gates.went(kind, &answer);
        }
        answer
    }

    fn count<T>(&self, call: &'static str, answer: &Result<T, Error>) {
        if let Some(watch) = &self.watch {
            let outcome = if answer.is_ok() { "ok" } else { "error" };
            let calls = &watch.measure.calls;
            calls.get_or_create(&Call { call, outcome }).inc();
            watch.news.note(call, answer);
        }
    }

    /// What its calls have said about a pause.
    pub(crate) fn news(&self) -> Option<&News> {
        self.watch.as_ref().map(|watch| &*watch.news)
    }

    fn gates(&self) -> Option<&Arc<Gates>> {
        self.watch.as_ref().map(|watch| &watch.gates)
    }
}

/// Results on their way. How the download went is known at its end.
#[derive(Debug)]
pub(crate) struct Download {
    results: Results,
    gates: Option<Arc<Gates>>,
}

impl Download {
    pub(crate) async fn next_line(&mut self) -> Result<Option<Line>, Error> {
        let line = self.results.next_line().await;
        if matches!(line, Err(_) | Ok(None))
            && let Some(gates) = self.gates.take()
        {
            gates.went(Kind::Results, &line);
        }
        line
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // Not read to its end for reasons of our own.
        if let Some(gates) = self.gates.take() {
            gates.unmade(Kind::Results);
        }
    }
}

use bytes::Bytes;
use futures_util::Stream;
use std::time::Duration;

use offpeak_anthropic::shape::{MessageBatch, Page};
use offpeak_anthropic::{Answered, Client, Error, Results};
use offpeak_domain::id::UpstreamId;

use crate::measure::{Call, Shared};

/// One upstream as the loops call it: the client, with each call counted.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its row.
    pub id: UpstreamId,
    client: Client,
    measure: Option<Shared>,
}

impl Upstream {
    /// The upstream `id`, reached through `client`.
    pub fn new(id: UpstreamId, client: Client) -> Self {
        Self {
            id,
            client,
            measure: None,
        }
    }

    pub(crate) fn counted(mut self, measure: Shared) -> Self {
        self.measure = Some(measure);
        self
    }

    pub(crate) async fn create_batch<S, E>(
        &self,
        length: u64,
        body: S,
        within: Duration,
    ) -> Result<Answered<MessageBatch>, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.count(
            "create",
            self.client.create_batch(length, body, within).await,
        )
    }

    pub(crate) async fn batch(&self, id: &str) -> Result<MessageBatch, Error> {
        self.count("retrieve", self.client.batch(id).await)
    }

    pub(crate) async fn cancel_batch(&self, id: &str) -> Result<MessageBatch, Error> {
        self.count("cancel", self.client.cancel_batch(id).await)
    }

    pub(crate) async fn batches(
        &self,
        after: Option<&str>,
    ) -> Result<Answered<Page<MessageBatch>>, Error> {
        self.count("list", self.client.batches(1000, after, None).await)
    }

    pub(crate) async fn results(&self, batch: &MessageBatch) -> Result<Results, Error> {
        self.count("results", self.client.results(batch).await)
    }

    fn count<T>(&self, call: &'static str, answer: Result<T, Error>) -> Result<T, Error> {
        if let Some(measure) = &self.measure {
            let outcome = if answer.is_ok() { "ok" } else { "error" };
            measure.calls.get_or_create(&Call { call, outcome }).inc();
        }
        answer
    }
}

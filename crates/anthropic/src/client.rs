//! The calls.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT,
};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::API_VERSION;
use crate::answer::{Answered, Told};
use crate::error::{ApiError, Error};
use crate::results::{Pace, Results};
use crate::shape::{ErrorEnvelope, MessageBatch, ModelInfo, Page};
use crate::upload::Upload;

const KEY: &str = "x-api-key";
/// Largest answer that is read as a whole, in bytes; results are streamed instead.
const MAX_ANSWER: usize = 64 << 20;
/// Largest error body that is read, in bytes.
const MAX_ERROR: usize = 1 << 20;

/// How to reach the API.
#[derive(Debug, Clone)]
pub struct Config {
    /// `https://api.anthropic.com`, or wherever else the API is; a path prefix is kept.
    pub base_url: String,
    /// The API key, sent as `x-api-key` to the base URL's host and no other.
    pub key: SecretString,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Time to a connection. 5 s.
    pub connect_timeout: Duration,
    /// Time to the whole answer of a short call (all but create, message, results). 60 s.
    pub call_timeout: Duration,
    /// Longest silence within a results download. 2 min.
    pub silence_timeout: Duration,
    /// Fewest bytes of results within [`pace_window`](Self::pace_window); a
    /// download that brings less is given up. 30,000, which is 1 kB/s.
    pub pace_bytes: u64,
    /// 30 s of waiting for results. What the reader does meanwhile is not counted.
    pub pace_window: Duration,
    /// Longest result line that is kept, in bytes. 32 MiB.
    pub max_line: usize,
}

impl Config {
    /// The defaults with this base URL and key.
    pub fn new(base_url: impl Into<String>, key: SecretString) -> Self {
        Self {
            base_url: base_url.into(),
            key,
            user_agent: concat!("offpeak/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_mins(1),
            silence_timeout: Duration::from_mins(2),
            pace_bytes: 30_000,
            pace_window: Duration::from_secs(30),
            max_line: 32 << 20,
        }
    }
}

/// The client. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    base: Url,
    /// Marked as sensitive.
    key: HeaderValue,
    call_timeout: Duration,
    max_line: usize,
    pace: Pace,
    /// Short calls, over kept connections.
    calls: reqwest::Client,
    /// Calls that create something. Each has a connection of its own: one from a
    /// pool may be closed by the other side just then, which would make the
    /// outcome of the call unknown for nothing.
    creates: reqwest::Client,
    /// Results downloads.
    downloads: reqwest::Client,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Builds the client; nothing is sent.
    pub fn new(config: Config) -> Result<Self, Error> {
        let Config {
            base_url,
            key,
            user_agent,
            connect_timeout,
            call_timeout,
            silence_timeout,
            pace_bytes,
            pace_window,
            max_line,
        } = config;
        let base = parse_base(&base_url)?;
        let headers = headers(&user_agent)?;
        // Another part of the process may have installed it already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let common = || {
            let builder = reqwest::Client::builder()
                .default_headers(headers.clone())
                .connect_timeout(connect_timeout)
                .tcp_keepalive(Duration::from_mins(1))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .http1_only();
            // A server on this machine is never behind a proxy.
            let builder = if is_loopback(&base) {
                builder.no_proxy()
            } else {
                builder
            };
            if base.scheme() == "http" {
                // No TLS, so a machine without certificates is fine.
                builder.tls_certs_only([])
            } else {
                builder
            }
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|_| Error::Config {
                what: "HTTP client (system certificates?)",
            })
        };
        Ok(Self {
            calls: build(common())?,
            creates: build(common().pool_max_idle_per_host(0))?,
            downloads: build(common().read_timeout(silence_timeout))?,
            call_timeout,
            max_line,
            pace: Pace::new(pace_bytes, pace_window),
            key: of_key(&key)?,
            base,
        })
    }

    /// The same API with another key, over the same connections.
    pub fn with_key(&self, key: &SecretString) -> Result<Self, Error> {
        Ok(Self {
            key: of_key(key)?,
            ..self.clone()
        })
    }

    /// Where the API is.
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Creates a message batch from a streamed body of exactly `content_length`
    /// bytes. Sent once; what an error means is told by
    /// [`of_create`](crate::disposition::of_create). The deadline spans from
    /// connecting to the last byte of the answer.
    pub async fn create_batch<S, E>(
        &self,
        content_length: u64,
        body: S,
        deadline: Duration,
    ) -> Result<Answered<MessageBatch>, Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = self
            .send(
                &["v1", "messages", "batches"],
                content_length,
                body,
                deadline,
            )
            .await?;
        decode(answer)
    }

    /// One message batch.
    pub async fn batch(&self, id: &str) -> Result<MessageBatch, Error> {
        let url = self.url(&["v1", "messages", "batches", id]);
        Ok(self.call(Method::GET, url).await?.value)
    }

    /// A page of message batches, newest first. `limit` is 1 to 1000; `after` =
    /// older than that id, `before` = newer than it; not both.
    pub async fn batches(
        &self,
        limit: u32,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<Answered<Page<MessageBatch>>, Error> {
        let mut url = self.url(&["v1", "messages", "batches"]);
        page_query(&mut url, limit, after, before);
        let answer: Answered<Page<_>> = self.call(Method::GET, url).await?;
        if answer.value.breaks_off() {
            return Err(Error::Unreadable {
                status: 200,
                retry_after: None,
                request_id: answer.request_id,
            });
        }
        Ok(answer)
    }

    /// Asks for a batch to be canceled; what runs already may still complete.
    pub async fn cancel_batch(&self, id: &str) -> Result<MessageBatch, Error> {
        let url = self.url(&["v1", "messages", "batches", id, "cancel"]);
        Ok(self.call(Method::POST, url).await?.value)
    }

    /// Deletes an ended batch with its results.
    pub async fn delete_batch(&self, id: &str) -> Result<(), Error> {
        let url = self.url(&["v1", "messages", "batches", id]);
        let _deleted: Answered<serde::de::IgnoredAny> = self.call(Method::DELETE, url).await?;
        Ok(())
    }

    /// Opens the results of an ended batch. Path and query are those of its
    /// `results_url`, scheme, host and port always the configured ones.
    pub async fn results(&self, batch: &MessageBatch) -> Result<Results, Error> {
        let url = batch.results_url.as_deref().ok_or(Error::NotEnded)?;
        let url = self.own(url).ok_or(Error::Config {
            what: "results_url of the batch",
        })?;
        let response = self
            .downloads
            .get(url)
            .header(KEY, self.key.clone())
            .send()
            .await
            .map_err(|error| Error::transport(error, true))?;
        let told = Told::read(response.headers());
        let plain = response
            .headers()
            .get(CONTENT_ENCODING)
            .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        match response.status().as_u16() {
            200 if plain => Ok(Results::new(response, self.max_line, self.pace)),
            status @ 200..=299 => Err(unreadable(status, told)),
            status => Err(refusal(status, told, response).await),
        }
    }

    /// Sends one message at the normal price; `params` is the whole body. Sent
    /// once, as [`create_batch`](Self::create_batch). The value is the raw message.
    pub async fn message(
        &self,
        params: Bytes,
        deadline: Duration,
    ) -> Result<Answered<Bytes>, Error> {
        let length = params.len() as u64;
        let body = stream::iter([Ok::<_, std::convert::Infallible>(params)]);
        let (_, answer) = self
            .send(&["v1", "messages"], length, body, deadline)
            .await?;
        Ok(answer)
    }

    /// Counts the input tokens of a Messages body without `max_tokens`. Free, an
    /// estimate.
    pub async fn count_tokens(&self, params: Bytes) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Count {
            input_tokens: u64,
        }
        let url = self.url(&["v1", "messages", "count_tokens"]);
        let request = self
            .calls
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(params);
        let count: Answered<Count> = self.answer(request).await?;
        Ok(count.value.input_tokens)
    }

    /// A page of models, newest first; cursors as in [`batches`](Self::batches).
    pub async fn models(
        &self,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Answered<Page<ModelInfo>>, Error> {
        let mut url = self.url(&["v1", "models"]);
        page_query(&mut url, limit, after, None);
        self.call(Method::GET, url).await
    }

    /// One model, by id or alias.
    pub async fn model(&self, id: &str) -> Result<ModelInfo, Error> {
        Ok(self
            .call(Method::GET, self.url(&["v1", "models", id]))
            .await?
            .value)
    }

    /// A short call without a body.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
    ) -> Result<Answered<T>, Error> {
        self.answer(self.calls.request(method, url)).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Answered<T>, Error> {
        let response = request
            .header(KEY, self.key.clone())
            .timeout(self.call_timeout)
            .send()
            .await
            .map_err(|error| Error::transport(error, true))?;
        decode(receive(response).await?)
    }

    /// A call that creates something: the body is streamed once, and an error
    /// knows whether its last byte was handed over.
    async fn send<S, E>(
        &self,
        path: &[&str],
        length: u64,
        body: S,
        deadline: Duration,
    ) -> Result<(u16, Answered<Bytes>), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (upload, progress) = Upload::new(body, length);
        let sent = self
            .creates
            .post(self.url(path))
            .header(KEY, self.key.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, length)
            .body(reqwest::Body::wrap_stream(upload))
            .timeout(deadline)
            .send()
            .await;
        match sent {
            Ok(response) => receive(response).await,
            Err(error) => Err(match progress.take_failure() {
                Some(source) => Error::Body { source },
                None => Error::transport(error, progress.close()),
            }),
        }
    }

    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The path and query of a URL that the API gave, on the configured origin.
    fn own(&self, given: &str) -> Option<Url> {
        let given = self.base.join(given).ok()?;
        let mut url = self.base.clone();
        url.set_path(given.path());
        url.set_query(given.query());
        Some(url)
    }
}

fn parse_base(text: &str) -> Result<Url, Error> {
    let mut url = Url::parse(text).map_err(|_| Error::Config { what: "base URL" })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Error::Config {
            what: "base URL (http or https is needed)",
        });
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn of_key(key: &SecretString) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(key.expose_secret().trim())
        .map_err(|_| Error::Config { what: "API key" })?;
    value.set_sensitive(true);
    Ok(value)
}

fn headers(user_agent: &str) -> Result<HeaderMap, Error> {
    let agent =
        HeaderValue::from_str(user_agent).map_err(|_| Error::Config { what: "user agent" })?;
    let mut headers = HeaderMap::new();
    headers.insert("anthropic-version", HeaderValue::from_static(API_VERSION));
    headers.insert(USER_AGENT, agent);
    Ok(headers)
}

fn page_query(url: &mut Url, limit: u32, after: Option<&str>, before: Option<&str>) {
    let mut query = url.query_pairs_mut();
    query.append_pair("limit", &limit.to_string());
    for (name, id) in [("after_id", after), ("before_id", before)] {
        if let Some(id) = id {
            query.append_pair(name, id);
        }
    }
}

/// Reads an answer as a whole: a 2xx body, or the error that it is.
async fn receive(response: reqwest::Response) -> Result<(u16, Answered<Bytes>), Error> {
    let status = response.status().as_u16();
    let told = Told::read(response.headers());
    if !(200..300).contains(&status) {
        return Err(refusal(status, told, response).await);
    }
    match whole(response, MAX_ANSWER)
        .await
        .map_err(|error| Error::transport(error, true))?
    {
        Some(body) => Ok((status, told.with(body))),
        None => Err(unreadable(status, told)),
    }
}

/// The error that a non-2xx answer is.
async fn refusal(status: u16, told: Told, response: reqwest::Response) -> Error {
    // A body that cannot be read changes nothing about the status.
    let body = whole(response, MAX_ERROR).await.ok().flatten();
    match body.and_then(|body| serde_json::from_slice::<ErrorEnvelope>(&body).ok()) {
        Some(envelope) => ApiError::told(status, told, envelope).into(),
        None => unreadable(status, told),
    }
}

fn unreadable(status: u16, told: Told) -> Error {
    Error::Unreadable {
        status,
        retry_after: told.retry_after,
        request_id: told.request_id,
    }
}

/// A body up to a bound, `None` beyond it.
async fn whole(response: reqwest::Response, bound: usize) -> reqwest::Result<Option<Bytes>> {
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > bound {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

fn decode<T: DeserializeOwned>(
    (status, answer): (u16, Answered<Bytes>),
) -> Result<Answered<T>, Error> {
    let Answered {
        value,
        request_id,
        date,
        workspace,
    } = answer;
    match serde_json::from_slice(&value) {
        Ok(value) => Ok(Answered {
            value,
            request_id,
            date,
            workspace,
        }),
        Err(_) => Err(Error::Unreadable {
            status,
            retry_after: None,
            request_id,
        }),
    }
}

#[cfg(test)]
mod tests;

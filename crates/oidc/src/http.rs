//! The calls, each bounded in time and bytes.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::http;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::Error;

/// Bytes of an answer, at most.
const MAX_ANSWER: usize = 1 << 20;
/// Time to a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Time to the end of an answer.
const CALL: Duration = Duration::from_secs(10);

/// Why there is no answer: said without an address or a body.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("its address is not https, as its issuer's is")]
    Plain,
    #[error("no connection")]
    Connect,
    #[error("no answer in time")]
    Slow,
    #[error("the connection broke")]
    Broke,
    #[error("the answer is too long")]
    Long,
    #[error("no valid answer")]
    Form,
}

/// A client that follows no redirect: the code and the client's secret go to the address
/// that the server's description names, and nowhere else.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    /// Only for a server on this machine.
    plain: bool,
}

impl Http {
    pub(crate) fn new(plain: bool) -> Result<Self, Error> {
        // Another part of the process may have installed it already, which is as good.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(CALL)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only();
        let builder = if plain {
            // A server on this machine: no TLS, and never behind a proxy.
            builder.no_proxy().tls_certs_only([])
        } else {
            builder
        };
        let client = builder.build().map_err(|_| {
            Error::setting(
                "issuer",
                "needs the system's certificates, which cannot be read",
            )
        })?;
        Ok(Self { client, plain })
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Failed> {
        if !self.plain && request.uri().scheme_str() != Some("https") {
            return Err(Failed::Plain);
        }
        let request = request.try_into().map_err(|_| Failed::Form)?;
        let mut answer = self
            .client
            .execute(request)
            .await
            .map_err(|error| failed(&error))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(bytes) = answer.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + bytes.len() > MAX_ANSWER {
                return Err(Failed::Long);
            }
            body.extend_from_slice(&bytes);
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = status;
        *whole.headers_mut() = headers;
        Ok(whole)
    }
}

fn failed(error: &reqwest::Error) -> Failed {
    if error.is_timeout() {
        Failed::Slow
    } else if error.is_connect() {
        Failed::Connect
    } else {
        Failed::Broke
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Failed>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

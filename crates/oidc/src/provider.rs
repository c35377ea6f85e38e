//! One identity server, and the two steps of a sign-in with it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenVerifier,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, SubjectIdentifier, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use tokio::sync::{Mutex, Semaphore};

use crate::error::may_be_rotated;
use crate::http::Http;
use crate::{Error, Identity, Unproven};

/// How long its description and keys are kept.
const KEPT: Duration = Duration::from_hours(1);
/// How long a failure to get them is, and how old they must be to be asked for anew
/// because of a key that is not among them.
const AGAIN: Duration = Duration::from_secs(5);
/// By how much its clock and ours may differ.
const SKEW: Duration = Duration::from_mins(1);
/// People who are identified at once, at most: who makes us ask it cannot make us flood it.
const AT_ONCE: usize = 16;
/// Who is asked for: a subject, and an address.
const SCOPES: [&str; 1] = ["email"];

/// The signatures that are taken. None by a secret that both sides have, and never none.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// How to reach it.
#[derive(Clone, Debug)]
pub struct Options {
    /// As its tokens have it: `https://login.example.com/realms/staff`. `http` only on
    /// this machine.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// And our secret.
    pub client_secret: SecretString,
    /// Where it sends browsers back to, exactly as it is written down there.
    pub redirect: String,
}

/// What goes with one sign-in, and must come back with it. Random to everybody but us.
#[derive(Clone)]
pub struct Proof {
    /// In the address that the browser goes to, and in the one that it comes back to.
    pub state: String,
    /// In the ID token.
    pub nonce: String,
    /// Shown when the code is redeemed; its hash went with the browser. 43 to 128 letters,
    /// digits, `-`, `.`, `_`, `~`.
    pub verifier: String,
}

/// An identity server. Cheap to clone; clones share what it said of itself.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: SecretString,
    redirect: RedirectUrl,
    http: Http,
    known: Mutex<Option<Known>>,
    at_once: Semaphore,
}

/// What it said of itself, with its keys, or how it failed to.
struct Known {
    said: Result<Box<CoreProviderMetadata>, Error>,
    since: Instant,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.0.issuer.as_str())
            .finish_non_exhaustive()
    }
}

impl Provider {
    /// Checks the settings; nothing is sent.
    pub fn new(options: Options) -> Result<Self, Error> {
        let issuer = IssuerUrl::new(options.issuer)
            .map_err(|_| Error::setting("issuer", "is no address"))?;
        let plain = issuer.url().scheme() == "http" && is_loopback(&issuer);
        if issuer.url().scheme() != "https" && !plain {
            let why = "must begin with https:// (http:// is for a server on this machine alone)";
            return Err(Error::setting("issuer", why));
        }
        if issuer.url().query().is_some() || issuer.url().fragment().is_some() {
            return Err(Error::setting("issuer", "must end before any `?` or `#`"));
        }
        if options.client_id.is_empty() {
            return Err(Error::setting("client_id", "is not set"));
        }
        if options.client_secret.expose_secret().is_empty() {
            return Err(Error::setting("client_secret", "is not set"));
        }
        let redirect = RedirectUrl::new(options.redirect)
            .map_err(|_| Error::setting("redirect", "is no address"))?;
        Ok(Self(Arc::new(Inner {
            http: Http::new(plain)?,
            issuer,
            client_id: ClientId::new(options.client_id),
            client_secret: options.client_secret,
            redirect,
            known: Mutex::new(None),
            at_once: Semaphore::new(AT_ONCE),
        })))
    }

    /// Its name in tokens.
    pub fn issuer(&self) -> &str {
        self.0.issuer.as_str()
    }

    /// Where it has to send browsers back to.
    pub fn redirect(&self) -> &str {
        self.0.redirect.as_str()
    }

    /// Whether it answers, and says of itself what a sign-in needs.
    pub async fn check(&self) -> Result<(), Error> {
        self.said(KEPT).await.map(drop)
    }

    /// First step: the address to which the browser goes.
    pub async fn authorize(&self, proof: &Proof) -> Result<String, Error> {
        let client = self.client(&*self.said(KEPT).await?);
        let verifier = PkceCodeVerifier::new(proof.verifier.clone());
        let (state, nonce) = (proof.state.clone(), proof.nonce.clone());
        let request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(SCOPES.map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        let (url, ..) = request.url();
        Ok(url.into())
    }

    /// Second step: who came back with this code. Whether the state is the one that went
    /// out is for the caller to see first.
    pub async fn redeem(
        &self,
        code: String,
        proof: &Proof,
        now: OffsetDateTime,
    ) -> Result<Identity, Error> {
        let _turn = self.0.at_once.try_acquire().map_err(|_| Error::Busy)?;
        let client = self.client(&*self.said(KEPT).await?);
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| missing("token_endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(proof.verifier.clone()))
            .request_async(&self.0.http)
            .await
            .map_err(Error::of_token)?;
        let token = tokens.id_token().ok_or(Error::Unproven(Unproven::Form))?;
        let claims = self.verified(token, &client, proof, now).await?;
        let (address, verified) = match (claims.email, claims.email_verified) {
            // Many say it only where they are asked once more.
            (None, _) => {
                self.user_info(&client, tokens.access_token(), &claims.subject)
                    .await?
            }
            (address, verified) => (address, verified),
        };
        let issuer = self.0.issuer.as_str();
        Ok(Identity::new(
            issuer,
            claims.subject.as_str(),
            address.as_deref(),
            verified,
        ))
    }

    /// As if it had last been asked long ago.
    #[cfg(test)]
    pub(crate) async fn grow_old(&self) {
        if let Some(known) = self.0.known.lock().await.as_mut() {
            known.since -= KEPT;
        }
    }

    /// What the token claims, once signature, issuer, audience, time and nonce are right.
    async fn verified(
        &self,
        token: &CoreIdToken,
        client: &Client,
        proof: &Proof,
        now: OffsetDateTime,
    ) -> Result<Claims, Error> {
        let nonce = Nonce::new(proof.nonce.clone());
        let claims = token.claims(&verifier(client, now), &nonce);
        // It may sign by a key that it did not have when it was asked.
        let claims = match claims {
            Err(error) if may_be_rotated(&error) => {
                let client = self.client(&*self.said(AGAIN).await?);
                token.claims(&verifier(&client, now), &nonce).cloned()
            }
            claims => claims.cloned(),
        };
        let claims = claims.map_err(|error| Error::of_claims(&error))?;
        Ok(Claims {
            subject: claims.subject().clone(),
            email: claims.email().map(|email| email.as_str().to_owned()),
            email_verified: claims.email_verified() == Some(true),
        })
    }

    /// The address, and whether it is verified: where the server has nobody to ask about
    /// it, there is none. That it speaks of the same subject is checked by the library.
    async fn user_info(
        &self,
        client: &Client,
        token: &AccessToken,
        subject: &SubjectIdentifier,
    ) -> Result<(Option<String>, bool), Error> {
        let Ok(request) = client.user_info(token.clone(), Some(subject.clone())) else {
            return Ok((None, false));
        };
        let said: CoreUserInfoClaims = request
            .request_async(&self.0.http)
            .await
            .map_err(Error::of_user_info)?;
        let email = said.email().map(|email| email.as_str().to_owned());
        Ok((email, said.email_verified() == Some(true)))
    }

    fn client(&self, said: &CoreProviderMetadata) -> Client {
        let secret = ClientSecret::new(self.0.client_secret.expose_secret().to_owned());
        let methods = said.token_endpoint_auth_methods_supported();
        let by_header = methods.is_none_or(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                || !methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let auth = if by_header {
            AuthType::BasicAuth
        } else {
            AuthType::RequestBody
        };
        CoreClient::from_provider_metadata(said.clone(), self.0.client_id.clone(), Some(secret))
            .set_redirect_uri(self.0.redirect.clone())
            .set_auth_type(auth)
    }

    /// What it says of itself, no older than this. One asks, and the others wait for that;
    /// a failure is an answer for a moment, so that nobody waits in line for a dead server.
    async fn said(&self, fresh: Duration) -> Result<Box<CoreProviderMetadata>, Error> {
        let mut known = self.0.known.lock().await;
        if let Some(Known { said, since }) = known.as_ref() {
            let holds = if said.is_ok() { fresh } else { AGAIN };
            if since.elapsed() < holds {
                return said.clone();
            }
        }
        let asked = CoreProviderMetadata::discover_async(self.0.issuer.clone(), &self.0.http).await;
        let said = match asked.map_err(Error::of_discovery) {
            Ok(said) if said.token_endpoint().is_none() => Err(missing("token_endpoint")),
            asked => asked.map(Box::new),
        };
        *known = Some(Known {
            said: said.clone(),
            since: Instant::now(),
        });
        said
    }
}

struct Claims {
    subject: SubjectIdentifier,
    email: Option<String>,
    email_verified: bool,
}

/// The library's, with our clock and the difference that clocks may have.
fn verifier(client: &Client, now: OffsetDateTime) -> CoreIdTokenVerifier<'_> {
    let now = SystemTime::from(now);
    client
        .id_token_verifier()
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || (now - SKEW).into())
        .set_issue_time_verifier_fn(move |issued| {
            if SystemTime::from(issued) > now + SKEW {
                return Err("issued in the future".to_owned());
            }
            Ok(())
        })
}

fn missing(what: &str) -> Error {
    Error::Description {
        why: format!("{what} is missing"),
    }
}

fn is_loopback(issuer: &IssuerUrl) -> bool {
    let host = issuer.url().host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

//! What no real identity server can be brought to do: tokens that are signed, and wrong.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::net::TcpListener;

use crate::{Error, Identity, Options, Proof, Provider, Unproven};

const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);
const REDIRECT: &str = "https://offpeak.example/sign-in/oidc";

/// A server that answers what it is told to.
#[derive(Clone)]
struct Fake {
    url: String,
    says: Arc<Mutex<Says>>,
}

struct Says {
    description: Value,
    claims: Value,
    header: Value,
    /// Which key signs, and which is published.
    signs: u8,
    published: u8,
    token_status: u16,
    token_error: Option<&'static str>,
    user_info: Value,
    described: u32,
}

fn proof() -> Proof {
    Proof {
        state: "state-of-this-sign-in".to_owned(),
        nonce: "nonce-of-this-sign-in".to_owned(),
        verifier: "v".repeat(64),
    }
}

/// An Ed25519 key of one repeated byte, in PKCS #8.
fn key(seed: u8) -> CoreEdDsaPrivateSigningKey {
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend([seed; 32]);
    let word = "PRIVATE KEY";
    let pem = format!(
        "-----BEGIN {word}-----\n{}\n-----END {word}-----\n",
        BASE64_STANDARD.encode(der)
    );
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(format!("k{seed}"))))
        .unwrap()
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let says = Says {
            description: json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
                "userinfo_endpoint": format!("{url}/userinfo"),
                "jwks_uri": format!("{url}/jwks"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["EdDSA", "none", "ES512"],
            }),
            claims: json!({
                "iss": url, "aud": "offpeak", "sub": "248289761001",
                "nonce": proof().nonce,
                "iat": NOW.unix_timestamp(), "exp": NOW.unix_timestamp() + 300,
                "email": "Ada@Example.com", "email_verified": true,
            }),
            header: json!({"alg": "EdDSA", "kid": "k1"}),
            signs: 1,
            published: 1,
            token_status: 200,
            token_error: None,
            user_info: Value::Null,
            described: 0,
        };
        let fake = Self {
            url,
            says: Arc::new(Mutex::new(says)),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        fake
    }

    fn with<T>(&self, change: impl FnOnce(&mut Says) -> T) -> T {
        change(&mut self.says.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn claim(&self, name: &str, value: Value) {
        self.with(|says| says.claims[name] = value);
    }

    fn provider(&self) -> Provider {
        Provider::new(options(&self.url)).unwrap()
    }

    async fn redeem(&self) -> Result<Identity, Error> {
        self.provider()
            .redeem("code".to_owned(), &proof(), NOW)
            .await
    }
}

fn options(issuer: &str) -> Options {
    Options {
        issuer: issuer.to_owned(),
        client_id: "offpeak".to_owned(),
        client_secret: SecretString::from("s3cret"),
        redirect: REDIRECT.to_owned(),
    }
}

async fn describe(State(fake): State<Fake>) -> Response {
    let said = fake.with(|says| {
        says.described += 1;
        says.description.clone()
    });
    Json(said).into_response()
}

async fn keys(State(fake): State<Fake>) -> Json<Value> {
    let published = fake.with(|says| says.published);
    Json(json!({ "keys": [key(published).as_verification_key()] }))
}

async fn token(State(fake): State<Fake>, body: String) -> Response {
    assert!(
        body.contains(&format!("code_verifier={}", proof().verifier)),
        "{body}"
    );
    assert!(body.contains("redirect_uri=https%3A%2F%2Foffpeak.example%2Fsign-in%2Foidc"));
    fake.with(|says| {
        let status = StatusCode::from_u16(says.token_status).unwrap();
        if let Some(error) = says.token_error {
            return (status, Json(json!({ "error": error }))).into_response();
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&says.header), part(&says.claims));
        let signature = key(says.signs)
            .sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes())
            .unwrap();
        let id_token = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
        let answer = json!({"access_token": "a", "token_type": "Bearer", "id_token": id_token});
        (status, Json(answer)).into_response()
    })
}

async fn user_info(State(fake): State<Fake>) -> Response {
    let said = fake.with(|says| says.user_info.to_string());
    ([(header::CONTENT_TYPE, "application/json")], said).into_response()
}

#[tokio::test]
async fn who_is_vouched_for_is_known_again() {
    let fake = Fake::start().await;
    let provider = fake.provider();
    let url = provider.authorize(&proof()).await.unwrap();
    for part in [
        format!("{}/authorize?", fake.url),
        "response_type=code".to_owned(),
        "client_id=offpeak".to_owned(),
        "state=state-of-this-sign-in".to_owned(),
        "nonce=nonce-of-this-sign-in".to_owned(),
        "code_challenge_method=S256".to_owned(),
        "scope=openid+email".to_owned(),
        "redirect_uri=https%3A%2F%2Foffpeak.example%2Fsign-in%2Foidc".to_owned(),
    ] {
        assert!(url.contains(&part), "{part} in {url}");
    }
    assert!(!url.contains(&proof().verifier), "{url}");
    let first = provider
        .redeem("code".to_owned(), &proof(), NOW)
        .await
        .unwrap();
    assert_eq!(first.address.as_deref(), Some("ada@example.com"));
    let again = provider
        .redeem("code".to_owned(), &proof(), NOW)
        .await
        .unwrap();
    assert_eq!(first, again);
    // All of that by one look at what it says of itself.
    assert_eq!(fake.with(|says| says.described), 1);
    assert!(!format!("{provider:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_token_that_proves_nothing_says_why() {
    let at = |minutes: i64| json!(NOW.unix_timestamp() + minutes * 60);
    for (claim, value, why) in [
        ("nonce", json!("nonce-of-another"), Unproven::Nonce),
        ("nonce", Value::Null, Unproven::Nonce),
        ("aud", json!("another"), Unproven::Audience),
        ("aud", json!(["offpeak", "another"]), Unproven::Audience),
        ("iss", json!("https://evil.example"), Unproven::Issuer),
        ("exp", at(-2), Unproven::Time),
        ("iat", at(2), Unproven::Time),
        ("sub", Value::Null, Unproven::Form),
    ] {
        let fake = Fake::start().await;
        fake.claim(claim, value.clone());
        let refused = fake.redeem().await.unwrap_err();
        assert_eq!(refused, Error::Unproven(why), "{claim} {value}");
    }
}

#[tokio::test]
async fn clocks_may_differ_by_less_than_a_minute() {
    let fake = Fake::start().await;
    fake.claim("exp", json!(NOW.unix_timestamp() - 50));
    fake.claim("iat", json!(NOW.unix_timestamp() + 50));
    fake.redeem().await.unwrap();
}

#[tokio::test]
async fn only_the_servers_own_signature_counts() {
    let fake = Fake::start().await;
    fake.with(|says| says.signs = 2);
    let refused = fake.redeem().await.unwrap_err();
    assert_eq!(refused, Error::Unproven(Unproven::Signature));
    // Unsigned, or by the secret that both sides know.
    for alg in ["none", "HS256"] {
        let fake = Fake::start().await;
        fake.with(|says| says.header = json!({ "alg": alg }));
        let refused = fake.redeem().await.unwrap_err();
        assert_eq!(refused, Error::Unproven(Unproven::Signature), "{alg}");
    }
}

#[tokio::test]
async fn a_server_may_change_its_keys() {
    let fake = Fake::start().await;
    let provider = fake.provider();
    provider.check().await.unwrap();
    fake.with(|says| {
        (says.signs, says.published) = (2, 2);
        says.header["kid"] = json!("k2");
    });
    // Asked a moment ago, it is not asked again at once, however often somebody tries.
    for _ in 0..3 {
        let refused = provider.redeem("code".to_owned(), &proof(), NOW).await;
        assert_eq!(refused.unwrap_err(), Error::Unproven(Unproven::Signature));
    }
    assert_eq!(fake.with(|says| says.described), 1);
    provider.grow_old().await;
    provider
        .redeem("code".to_owned(), &proof(), NOW)
        .await
        .unwrap();
    assert_eq!(fake.with(|says| says.described), 2);
}

#[tokio::test]
async fn an_address_may_come_by_userinfo_and_of_the_same_subject_alone() {
    let fake = Fake::start().await;
    fake.claim("email", Value::Null);
    let of = |sub: &str, verified: Value| {
        let said = json!({"sub": sub, "email": "ada@example.com", "email_verified": verified});
        fake.with(|says| says.user_info = said);
    };
    // One well-known server says `true` in quotes.
    for yes in [json!(true), json!("true")] {
        of("248289761001", yes);
        assert_eq!(
            fake.redeem().await.unwrap().address.as_deref(),
            Some("ada@example.com")
        );
    }
    of("248289761001", json!(false));
    assert_eq!(fake.redeem().await.unwrap().address, None);
    of("another", json!(true));
    assert_eq!(
        fake.redeem().await.unwrap_err(),
        Error::Unproven(Unproven::Form)
    );
}

#[tokio::test]
async fn what_the_server_refuses_is_told_apart() {
    for (status, word, error) in [
        (401, Some("invalid_client"), Error::Client),
        (400, Some("invalid_grant"), Error::Code),
        (
            400,
            Some("<b>shout</b>"),
            Error::Unavailable {
                what: "token: an error of its own".to_owned(),
            },
        ),
    ] {
        let fake = Fake::start().await;
        fake.with(|says| (says.token_status, says.token_error) = (status, word));
        assert_eq!(fake.redeem().await.unwrap_err(), error);
    }
}

#[tokio::test]
async fn a_server_that_is_down_or_another_one_is_said() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let provider = Provider::new(options(&url)).unwrap();
    let down = provider.check().await.unwrap_err();
    assert_eq!(
        down.to_string(),
        "the identity server does not answer (discovery: no connection)"
    );

    let fake = Fake::start().await;
    fake.with(|says| says.description["issuer"] = json!("https://evil.example"));
    let other = fake.provider().check().await.unwrap_err();
    assert!(matches!(other, Error::Description { .. }), "{other}");
    let fake = Fake::start().await;
    fake.with(|says| says.description["token_endpoint"] = Value::Null);
    let none = fake.provider().check().await.unwrap_err();
    let why = "the identity server's own description cannot be used: token_endpoint is missing";
    assert_eq!(none.to_string(), why);
}

#[test]
fn settings_that_cannot_be_used_say_which() {
    let wrong = |change: fn(&mut Options)| {
        let mut options = options("https://login.example");
        change(&mut options);
        Provider::new(options).unwrap_err().to_string()
    };
    assert_eq!(
        wrong(|o| o.issuer = "login.example".to_owned()),
        "issuer is no address"
    );
    for plain in ["http://login.example", "ftp://login.example"] {
        let mut options = options("https://login.example");
        options.issuer = plain.to_owned();
        let why = Provider::new(options).unwrap_err().to_string();
        assert!(why.starts_with("issuer must begin with https://"), "{why}");
    }
    let query = wrong(|o| o.issuer.push_str("?a=b"));
    assert_eq!(query, "issuer must end before any `?` or `#`");
    assert_eq!(wrong(|o| o.client_id.clear()), "client_id is not set");
    let secret = wrong(|o| o.client_secret = SecretString::from(""));
    assert_eq!(secret, "client_secret is not set");
    assert!(Provider::new(options("http://localhost:5556/dex")).is_ok());
}

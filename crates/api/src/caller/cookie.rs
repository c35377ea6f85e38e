//! The cookie of a session, and when it counts.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use offpeak_domain::origin::Origin;
use offpeak_domain::secret::{Kind, Secret};

use super::refuse;
use crate::State;
use crate::error::{Code, Error, Result};

/// Of whoever works within a tenant.
pub(crate) const SESSION: &str = "offpeak_session";
/// Of an operator, who may look at a tenant at the same time.
pub(crate) const OPERATOR: &str = "offpeak_operator";
/// Of a browser that was sent to the identity server. By its prefix a browser takes it from
/// this host alone, over TLS (or from this machine).
pub(crate) const SIGN_IN: &str = "__Host-offpeak_signin";
const OF_HOST: &str = "__Host-";

/// The secret that the cookie holds; none without such a cookie.
pub(crate) fn read<K: Kind>(headers: &HeaderMap, wanted: &str) -> Result<Option<Secret<K>>> {
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == wanted)
        .map(|(_, value)| value);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Another site under the same domain may have set one beside ours.
    if values.next().is_some() {
        return Err(refuse(format!(
            "the cookie `{wanted}` is there twice: remove this site's cookies and sign in again"
        )));
    }
    match Secret::parse(value) {
        Ok(secret) => Ok(Some(secret)),
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// An error unless a cookie counts on this request. The browser sends it with
/// whatever any page asks for; that the page is one of ours is told by `origin`,
/// which a page cannot forge. Only reading may go without, since browsers leave it
/// out there.
pub(super) fn expect_own_page(parts: &Parts, public: Option<&Origin>) -> Result<()> {
    let headers = &parts.headers;
    let reads = [Method::GET, Method::HEAD].contains(&parts.method);
    let own = match (only(headers, header::ORIGIN), public) {
        (Some(origin), Some(public)) => origin == public.as_str(),
        (Some(origin), None) => only(headers, header::HOST)
            .is_some_and(|host| is_of(origin.as_bytes(), scheme(headers), host.as_bytes())),
        (None, _) => reads && !headers.contains_key(header::ORIGIN),
    };
    if own {
        return Ok(());
    }
    Err(Error::new(
        Code::OriginNotAllowed,
        "a session counts only on requests of this server's own pages: the header `origin` must \
         be scheme and host by which browsers reach it (behind a proxy, set `public_url` in \
         [server]); programs send an API key instead",
    ))
}

/// A request of one of this server's own pages: what it asks sets a cookie, and no
/// other page may sign anybody in.
#[derive(Debug)]
pub(crate) struct OwnPage;

impl FromRequestParts<State> for OwnPage {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self> {
        expect_own_page(parts, state.public_url())?;
        Ok(Self)
    }
}

/// By which scheme the browser came: by that of the proxy in front, if there is one
/// that says so. A page cannot: this header is none that it may set unasked.
fn scheme(headers: &HeaderMap) -> &'static [u8] {
    let says = only(
        headers,
        header::HeaderName::from_static("x-forwarded-proto"),
    );
    match says {
        Some(scheme) if scheme.as_bytes().eq_ignore_ascii_case(b"https") => b"https",
        _ => b"http",
    }
}

/// Whether an origin is this scheme and this host, port included.
fn is_of(origin: &[u8], scheme: &[u8], host: &[u8]) -> bool {
    let rest = origin
        .strip_prefix(scheme)
        .and_then(|rest| rest.strip_prefix(b"://"));
    !host.is_empty() && rest == Some(host)
}

/// A header that is there exactly once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut given = headers.get_all(name).iter();
    given.next().filter(|_| given.next().is_none())
}

/// `set-cookie` of a new session, or of a sign-in under way.
pub(crate) fn set<K: Kind>(
    name: &str,
    secret: &Secret<K>,
    lifetime: Duration,
    asked: &HeaderMap,
    public: Option<&Origin>,
) -> HeaderValue {
    written(name, secret.expose(), lifetime, asked, public)
}

/// `set-cookie` after a session's end.
pub(crate) fn clear(name: &str, asked: &HeaderMap, public: Option<&Origin>) -> HeaderValue {
    written(name, "", Duration::ZERO, asked, public)
}

fn written(
    name: &str,
    value: &str,
    lifetime: Duration,
    asked: &HeaderMap,
    public: Option<&Origin>,
) -> HeaderValue {
    let secure = name.starts_with(OF_HOST)
        || public.is_some_and(|own| own.as_str().starts_with("https://"))
        || scheme(asked) == b"https";
    let text = format!(
        "{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{}",
        lifetime.as_secs(),
        if secure { "; Secure" } else { "" },
    );
    // Of letters and digits only; an empty one would set no cookie.
    let mut header = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::{expect_own_page, read, set};
    use axum::http::{HeaderMap, HeaderValue, Request};
    use offpeak_domain::origin::Origin;
    use offpeak_domain::secret::{OfSession, SessionSecret, SignInSecret};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::time::Duration;

    fn session() -> SessionSecret {
        SessionSecret::generate(StdRng::seed_from_u64(1))
    }

    #[test]
    fn a_cookie_is_found_among_others_and_only_once() {
        let with = |cookies: &[&str]| {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append("cookie", HeaderValue::from_str(cookie).unwrap());
            }
            read::<OfSession>(&headers, super::SESSION)
        };
        let own = format!("offpeak_session={}", session().expose());
        assert_eq!(with(&[]).unwrap(), None);
        assert_eq!(with(&["a=b; xoffpeak_session=1", "c"]).unwrap(), None);
        assert_eq!(with(&[&format!("a=b;{own}")]).unwrap(), Some(session()));
        assert_eq!(with(&["a=b", &own]).unwrap(), Some(session()));
        assert!(with(&[&own, &own]).is_err());
        assert!(with(&[&format!("{own}x")]).is_err());
        assert!(with(&["offpeak_session="]).is_err());
    }

    fn counts(method: &str, headers: &[(&str, &str)], public: Option<&str>) -> bool {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let public = public.map(|own| Origin::parse(own).unwrap());
        expect_own_page(&request.body(()).unwrap().into_parts().0, public.as_ref()).is_ok()
    }

    #[test]
    fn a_cookie_counts_on_own_pages_alone() {
        let host = ("host", "offpeak.example:8080");
        let plain = "http://offpeak.example:8080";
        let secure = "https://offpeak.example:8080";
        let by_tls = ("x-forwarded-proto", "https");
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
            let reads = ["GET", "HEAD"].contains(&method);
            let counts = |headers: &[(&str, &str)]| counts(method, headers, None);
            assert!(counts(&[host, ("origin", plain)]), "{method}");
            assert!(counts(&[host, by_tls, ("origin", secure)]), "{method}");
            // The other scheme is another origin.
            assert!(!counts(&[host, ("origin", secure)]), "{method}");
            assert!(!counts(&[host, by_tls, ("origin", plain)]), "{method}");
            assert!(!counts(&[host, by_tls, by_tls, ("origin", secure)]));
            assert_eq!(counts(&[host]), reads, "{method}");
            for foreign in [
                "http://offpeak.example",
                "http://offpeak.example:8080/",
                "http://OFFPEAK.example:8080",
                "http://evil.example",
                "http://x.offpeak.example:8080",
                "offpeak.example:8080",
                "null",
                "",
            ] {
                assert!(!counts(&[host, ("origin", foreign)]), "{foreign}");
            }
            let own = ("origin", plain);
            assert!(!counts(&[host, own, own]), "{method}");
            assert!(!counts(&[own]), "{method}");
            assert!(!counts(&[("host", ""), ("origin", "http://")]));
        }
    }

    #[test]
    fn behind_a_proxy_the_public_url_alone_counts() {
        let public = Some("https://offpeak.example");
        // Whatever the proxy makes of host and scheme.
        for host in ["offpeak.example", "10.0.0.7:8080"] {
            let counts = |origin| counts("POST", &[("host", host), ("origin", origin)], public);
            assert!(counts("https://offpeak.example"), "{host}");
            assert!(!counts("http://offpeak.example"), "{host}");
            assert!(!counts("http://10.0.0.7:8080"), "{host}");
        }
        assert!(!counts("POST", &[("host", "offpeak.example")], public));
        assert!(counts("GET", &[("host", "offpeak.example")], public));
    }

    #[test]
    fn a_cookie_is_secure_where_the_way_is() {
        let mut asked = HeaderMap::new();
        let text = |asked: &HeaderMap| {
            let header = set(
                super::SESSION,
                &session(),
                Duration::from_mins(1),
                asked,
                None,
            );
            assert!(header.is_sensitive());
            header.to_str().unwrap().to_owned()
        };
        let plain = format!(
            "offpeak_session={}; HttpOnly; SameSite=Strict; Path=/; Max-Age=60",
            session().expose()
        );
        assert_eq!(text(&asked), plain);
        asked.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(text(&asked), format!("{plain}; Secure"));
        let public = Origin::parse("https://offpeak.example").unwrap();
        let asked = HeaderMap::new();
        let secret = SignInSecret::generate(StdRng::seed_from_u64(1));
        let minute = Duration::from_mins(1);
        let header = set(super::SIGN_IN, &secret, minute, &asked, None);
        // What the prefix asks for, and no browser takes it without.
        let text = header.to_str().unwrap();
        assert!(
            text.contains("; Path=/;") && text.ends_with("; Secure"),
            "{text}"
        );
        let header = set(
            super::SESSION,
            &session(),
            Duration::from_mins(1),
            &asked,
            Some(&public),
        );
        assert!(header.to_str().unwrap().ends_with("; Secure"));
    }
}

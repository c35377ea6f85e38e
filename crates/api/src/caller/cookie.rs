//! The cookie of a session, and when it counts.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use offpeak_domain::secret::SessionSecret;

use super::refuse;
use crate::error::{Code, Error, Result};

const NAME: &str = "offpeak_session";

/// The session that the cookie holds; none without such a cookie.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<SessionSecret>> {
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == NAME)
        .map(|(_, value)| value);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // Another site under the same domain may have set one beside ours.
    if values.next().is_some() {
        return Err(refuse(format!(
            "the cookie `{NAME}` is there twice: remove this site's cookies and sign in again"
        )));
    }
    match SessionSecret::parse(value) {
        Ok(session) => Ok(Some(session)),
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// An error unless a cookie counts on this request. The browser sends it with
/// whatever any page asks for; that the page is one of ours is told by `origin`,
/// which a page cannot forge. Only reading may go without, since browsers leave it
/// out there.
pub(super) fn expect_own_page(parts: &Parts) -> Result<()> {
    let reads = [Method::GET, Method::HEAD].contains(&parts.method);
    let own = match only(&parts.headers, header::ORIGIN) {
        Some(origin) => only(&parts.headers, header::HOST)
            .is_some_and(|host| is_of(origin.as_bytes(), host.as_bytes())),
        None => reads && !parts.headers.contains_key(header::ORIGIN),
    };
    if own {
        return Ok(());
    }
    Err(Error::new(
        Code::OriginNotAllowed,
        "a session counts only on requests of this server's own pages: the header `origin` must \
         be scheme and host of this server; programs send an API key instead",
    ))
}

/// Whether an origin is `http://` or `https://` and the host, port included.
fn is_of(origin: &[u8], host: &[u8]) -> bool {
    let rest = origin
        .strip_prefix(b"https://")
        .or_else(|| origin.strip_prefix(b"http://"));
    !host.is_empty() && rest == Some(host)
}

/// A header that is there exactly once.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut given = headers.get_all(name).iter();
    given.next().filter(|_| given.next().is_none())
}

/// `set-cookie` of a new session.
pub(crate) fn set(session: &SessionSecret, lifetime: Duration, asked: &HeaderMap) -> HeaderValue {
    written(session.expose(), lifetime, asked)
}

/// `set-cookie` after a session's end.
pub(crate) fn clear(asked: &HeaderMap) -> HeaderValue {
    written("", Duration::ZERO, asked)
}

fn written(value: &str, lifetime: Duration, asked: &HeaderMap) -> HeaderValue {
    let secure = only(asked, header::HeaderName::from_static("x-forwarded-proto"))
        .is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"));
    let text = format!(
        "{NAME}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{}",
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
    use offpeak_domain::secret::SessionSecret;
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
            read(&headers)
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

    #[test]
    fn a_cookie_counts_on_own_pages_alone() {
        let counts = |method: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            expect_own_page(&request.body(()).unwrap().into_parts().0).is_ok()
        };
        let host = ("host", "offpeak.example:8080");
        let own = ("origin", "https://offpeak.example:8080");
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
            let reads = ["GET", "HEAD"].contains(&method);
            assert!(counts(method, &[host, own]), "{method}");
            assert!(counts(
                method,
                &[host, ("origin", "http://offpeak.example:8080")]
            ));
            assert_eq!(counts(method, &[host]), reads, "{method}");
            for foreign in [
                "https://offpeak.example",
                "https://offpeak.example:8080/",
                "https://OFFPEAK.example:8080",
                "https://evil.example",
                "https://x.offpeak.example:8080",
                "offpeak.example:8080",
                "null",
                "",
            ] {
                assert!(!counts(method, &[host, ("origin", foreign)]), "{foreign}");
            }
            assert!(!counts(method, &[host, own, own]), "{method}");
            assert!(!counts(method, &[own]), "{method}");
            assert!(!counts(method, &[("host", ""), ("origin", "http://")]));
        }
    }

    #[test]
    fn a_cookie_is_secure_where_the_way_is() {
        let mut asked = HeaderMap::new();
        let text = |asked: &HeaderMap| {
            let header = set(&session(), Duration::from_mins(1), asked);
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
    }
}

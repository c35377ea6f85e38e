//! Origins: where a page in a browser came from.

use std::net::Ipv6Addr;

/// Characters of an origin, at most: `https://`, a name of the DNS, a port.
const MAX: usize = 8 + 253 + 6;

/// `https://host[:port]` or `http://host[:port]`, spelled as browsers spell it,
/// so that equal origins are equal texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

/// Why a text is no such origin, as the end of a sentence that begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither of the two schemes.
    #[error("must begin with https:// or http://, in lower case")]
    Scheme,
    /// Something behind the host and port.
    #[error("must end after host and port: no path, no query, no slash at the end")]
    Path,
    /// A star.
    #[error("must name one host: there are no wildcards, list each origin")]
    Wildcard,
    /// Upper case, or letters beyond ASCII.
    #[error("must be in lower case, and a name beyond ASCII in its xn-- form, as browsers send it")]
    Case,
    /// No name of a host.
    #[error("must have a host name or an address, without a user")]
    Host,
    /// No port.
    #[error("must have a port from 1 to 65535, or none")]
    Port,
    /// A port that goes without saying.
    #[error("must leave out the port that its scheme has anyway, as browsers do")]
    DefaultPort,
}

impl Origin {
    /// Reads an origin.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (rest, default_port) =
            match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
                (Some(rest), _) => (rest, "443"),
                (_, Some(rest)) => (rest, "80"),
                (None, None) => return Err(Malformed::Scheme),
            };
        if rest.contains('*') {
            return Err(Malformed::Wildcard);
        }
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(Malformed::Path);
        }
        if rest
            .chars()
            .any(|c| !c.is_ascii() || c.is_ascii_uppercase())
        {
            return Err(Malformed::Case);
        }
        let after_host = if let Some(address) = rest.strip_prefix('[') {
            let (address, after) = address.split_once(']').ok_or(Malformed::Host)?;
            address.parse::<Ipv6Addr>().map_err(|_| Malformed::Host)?;
            after
        } else {
            let (host, after) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
            if !is_name(host) {
                return Err(Malformed::Host);
            }
            after
        };
        if !after_host.is_empty() {
            let port = after_host.strip_prefix(':').ok_or(Malformed::Host)?;
            let digits = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
            if !digits || port.parse::<u16>().is_err() {
                return Err(Malformed::Port);
            }
            if port == default_port {
                return Err(Malformed::DefaultPort);
            }
        }
        if text.len() > MAX {
            return Err(Malformed::Host);
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Labels of letters, digits, hyphens and underscores between single dots.
fn is_name(host: &str) -> bool {
    host.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Origin};

    #[test]
    fn what_browsers_send_passes() {
        for good in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "https://[::1]:8443",
            "https://xn--mnchen-3ya.example",
            "http://a_b-c.example:443",
        ] {
            assert_eq!(Origin::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_they_would_never_send_says_why() {
        let long = format!("https://{}", ["a"; 200].join("."));
        for (bad, why) in [
            ("", Malformed::Scheme),
            ("*", Malformed::Scheme),
            ("null", Malformed::Scheme),
            ("app.example.com", Malformed::Scheme),
            ("HTTPS://app.example.com", Malformed::Scheme),
            ("ftp://app.example.com", Malformed::Scheme),
            ("https://*.example.com", Malformed::Wildcard),
            ("https://app.example.com/", Malformed::Path),
            ("https://app.example.com?a", Malformed::Path),
            ("https://App.example.com", Malformed::Case),
            ("https://münchen.example", Malformed::Case),
            ("https://", Malformed::Host),
            ("https://.", Malformed::Host),
            ("https://me@app.example.com", Malformed::Host),
            ("https://a b", Malformed::Host),
            ("https://[::1", Malformed::Host),
            ("https://[::1]x", Malformed::Host),
            ("https://[localhost]", Malformed::Host),
            (&long, Malformed::Host),
            ("https://app.example.com:", Malformed::Port),
            ("https://app.example.com:0", Malformed::Port),
            ("https://app.example.com:+80", Malformed::Port),
            ("https://app.example.com:65536", Malformed::Port),
            ("https://app.example.com:443", Malformed::DefaultPort),
            ("http://app.example.com:80", Malformed::DefaultPort),
        ] {
            assert_eq!(Origin::parse(bad), Err(why), "{bad}");
        }
    }
}

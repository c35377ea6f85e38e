//! From where a request came, and by which id it is spoken of.

use std::convert::Infallible;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use offpeak_domain::audit::ActorKind;
use offpeak_store::audit::Actor;

use crate::State;
use crate::edge::RequestId;
use crate::line::Line;

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is noted of a request beside who sent it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The client's address, as far as it can be trusted.
    pub(crate) address: Option<IpAddr>,
    /// As the header `x-request-id` of the answer has it.
    pub(crate) request: String,
}

impl Asked {
    pub(crate) fn of(parts: &Parts, state: &State) -> Self {
        let line = parts.extensions.get::<ConnectInfo<Line>>();
        let request = parts.extensions.get::<RequestId>();
        Self {
            address: line
                .and_then(|ConnectInfo(line)| line.from())
                .map(|peer| state.proxies.client(peer, &parts.headers)),
            request: request.map_or_else(String::new, |id| id.as_str().to_owned()),
        }
    }
}

impl Asked {
    /// Somebody as the audit log notes them.
    pub(crate) fn actor(&self, kind: ActorKind, id: String, name: &str) -> Actor {
        let address = self.address.map(|address| address.to_string());
        Actor {
            kind,
            id,
            name: name.to_owned(),
            address: address.unwrap_or_default(),
            request: self.request.clone(),
        }
    }
}

impl FromRequestParts<State> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}

/// The networks whose proxies are believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    /// Who sent a request: the connection's other side, or, where that is a proxy of
    /// ours, the last hop of `x-forwarded-for` that is none. What stands before that
    /// hop anybody may have written.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(','))
            .collect();
        while self.trusts(client)
            && let Some(hop) = hops.pop()
        {
            match hop.trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// Networks by commas, as in `10.0.0.0/8, 192.0.2.7`; a single address is a network.
impl FromStr for Proxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(|one| {
                one.parse::<IpNet>()
                    .or_else(|_| one.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| {
                        format!("{one:?} is no network: write 10.0.0.0/8, or a single address")
                    })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(|nets| Self(nets.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::{FORWARDED_FOR, Proxies};
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn the_last_hop_that_is_no_proxy_of_ours_is_the_client() {
        let proxies: Proxies = "10.0.0.0/8, 192.0.2.7,fd00::/8".parse().unwrap();
        for (peer, forwarded, client) in [
            // Nobody but our own proxies is believed.
            ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
            ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
            ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
            // What the client wrote itself stands first.
            ("10.1.2.3", "127.0.0.1, 198.51.100.1", "198.51.100.1"),
            (
                "10.1.2.3",
                "198.51.100.1, 192.0.2.7, 10.9.9.9",
                "198.51.100.1",
            ),
            ("fd00::1", "2001:db8::1", "2001:db8::1"),
            ("10.1.2.3", "", "10.1.2.3"),
            ("10.1.2.3", "unknown", "10.1.2.3"),
            ("10.1.2.3", "198.51.100.1, unknown", "10.1.2.3"),
            ("10.1.2.3", "10.4.4.4", "10.4.4.4"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(FORWARDED_FOR, HeaderValue::from_static(forwarded));
            let found = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(found.to_string(), client, "{peer} {forwarded}");
        }
        // Several headers count as one.
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("127.0.0.1"));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("198.51.100.2"));
        let found = proxies.client("10.0.0.1".parse().unwrap(), &headers);
        assert_eq!(found.to_string(), "198.51.100.2");
    }

    #[test]
    fn what_is_no_network_is_said() {
        assert!("".parse::<Proxies>().is_ok());
        let wrong = "10.0.0.0/8, proxy".parse::<Proxies>().unwrap_err();
        assert_eq!(
            wrong,
            "\"proxy\" is no network: write 10.0.0.0/8, or a single address"
        );
    }
}

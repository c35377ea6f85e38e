//! `[server]`

use offpeak_api::{Patience, Proxies};
use offpeak_domain::origin::Origin;
use serde::Deserialize;

use super::values::{origin, parsed};

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// Where metrics and health are, or empty for nowhere; port 0 takes a free one.
    pub metrics_listen: String,
    /// Connections at once, at most.
    pub max_connections: usize,
    /// What the process does.
    pub role: Role,
    /// By which browsers reach it, or none where that is how they reach `listen`.
    #[serde(deserialize_with = "origin")]
    pub public_url: Option<Origin>,
    /// Networks whose proxies say truly who asks.
    #[serde(deserialize_with = "parsed")]
    pub trusted_proxies: Proxies,
}

impl Server {
    /// How many connections there may be, and how slow each.
    pub fn patience(&self) -> Patience {
        Patience {
            connections: self.max_connections,
            ..Patience::default()
        }
    }
}

/// What a `serve` process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// HTTP only.
    Api,
    /// The loops only.
    Worker,
    /// Both.
    All,
}

impl Role {
    /// Whether it answers HTTP.
    pub fn has_api(self) -> bool {
        self != Self::Worker
    }

    /// Whether it runs the loops.
    pub fn has_worker(self) -> bool {
        self != Self::Api
    }
}

//! `[reliability]`: how patient the worker is, and which patience is too short.

use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;

use super::length;

/// `[reliability]`
#[derive(Clone, Debug, Deserialize)]
pub struct Reliability {
    /// Until a create whose answer was lost is believed not to be stored.
    #[serde(deserialize_with = "length::read")]
    pub settle_time: Duration,
    /// Between two listings for it, at first.
    #[serde(deserialize_with = "length::read")]
    pub list_every: Duration,
    /// How long they go on like that.
    #[serde(deserialize_with = "length::read")]
    pub list_often_for: Duration,
    /// Between two listings after that.
    #[serde(deserialize_with = "length::read")]
    pub list_later: Duration,
    /// Between two listings for late twins.
    #[serde(deserialize_with = "length::read")]
    pub sweep_every: Duration,
    /// Nobody else creates message batches in the workspace.
    pub dedicated_workspace: bool,
    /// Uncertain sends at which no more begin.
    pub max_uncertain: u32,
    /// A create that is answered by "overloaded" may have been stored.
    pub overloaded_is_uncertain: bool,
    /// Longest time of a create.
    #[serde(deserialize_with = "length::read")]
    pub send_within: Duration,
    /// Until a silent process is replaced.
    #[serde(deserialize_with = "length::read")]
    pub lease: Duration,
    /// Between two looks at the database.
    #[serde(deserialize_with = "length::read")]
    pub idle: Duration,
}

/// Times below this are mistakes: a loop would spin, or a lease never hold.
const LEAST: Duration = Duration::from_millis(10);

impl Reliability {
    /// What is wrong wherever jobs are sent.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (name, time) in [
            ("settle_time", self.settle_time),
            ("list_every", self.list_every),
            ("list_later", self.list_later),
            ("sweep_every", self.sweep_every),
            ("send_within", self.send_within),
            ("lease", self.lease),
            ("idle", self.idle),
        ] {
            if time < LEAST {
                bail!("configuration: reliability.{name} must be at least {LEAST:?}");
            }
        }
        if self.max_uncertain == 0 {
            bail!("configuration: reliability.max_uncertain is 0: nothing would ever be sent");
        }
        Ok(())
    }

    /// What is wrong when jobs are sent there. Only a server on this machine, such
    /// as the stand-in, is known to list what it has stored at once.
    pub fn check_for(&self, base_url: &str) -> anyhow::Result<()> {
        let least = self.send_within + self.lease;
        if self.settle_time <= least && !is_here(base_url) {
            bail!(
                "configuration: reliability.settle_time is {:?}, and must be longer than \
                 send_within and lease together ({least:?}), or a create that is still under way \
                 is given up and paid twice; only with the stand-in it may be shorter",
                self.settle_time,
            );
        }
        Ok(())
    }
}

fn is_here(base_url: &str) -> bool {
    let host = reqwest::Url::parse(base_url).ok().and_then(|url| {
        url.host_str()
            .map(|host| host.trim_matches(['[', ']']).to_owned())
    });
    host.is_some_and(|host| {
        host == "localhost"
            || host
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment};

    fn with(pairs: &[(&str, &str)]) -> anyhow::Result<Config> {
        Config::read(None, &Environment::of(pairs))
    }

    #[test]
    fn a_settle_time_that_pays_twice_is_refused_but_for_the_stand_in() {
        let short = with(&[("OFFPEAK_RELIABILITY_SETTLE_TIME", "5m")]).unwrap();
        let wrong = |url| short.reliability.check_for(url).unwrap_err().to_string();
        insta::assert_snapshot!(wrong("https://api.anthropic.com"), @"configuration: reliability.settle_time is 300s, and must be longer than send_within and lease together (315s), or a create that is still under way is given up and paid twice; only with the stand-in it may be shorter");
        wrong("https://localhost.example.com");
        for here in [
            "http://127.0.0.1:8090",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            short.reliability.check_for(here).unwrap();
        }
        let default = with(&[]).unwrap().reliability;
        default.check_for("https://api.anthropic.com").unwrap();
        assert!(!default.dedicated_workspace && !default.overloaded_is_uncertain);
    }

    #[test]
    fn says_which_time_is_none_and_what_is_no_truth() {
        let wrong = |name, text| with(&[(name, text)]).unwrap_err().to_string();
        insta::assert_snapshot!(wrong("OFFPEAK_RELIABILITY_LEASE", "0s"), @"configuration: reliability.lease must be at least 10ms");
        insta::assert_snapshot!(wrong("OFFPEAK_RELIABILITY_DEDICATED_WORKSPACE", "maybe"), @"OFFPEAK_RELIABILITY_DEDICATED_WORKSPACE must be true or false");
        let yes = with(&[("OFFPEAK_RELIABILITY_DEDICATED_WORKSPACE", "true")]).unwrap();
        assert!(yes.reliability.dedicated_workspace);
        let yes = with(&[("OFFPEAK_RELIABILITY_OVERLOADED_IS_UNCERTAIN", "true")]).unwrap();
        assert!(yes.reliability.overloaded_is_uncertain);
    }
}

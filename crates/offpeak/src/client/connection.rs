//! Which server, and with which key.

use std::path::Path;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::config::Environment;
use crate::exit::Failure;

/// Where `offpeak serve` and `offpeak dev` listen unless told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What `offpeak dev` leaves in its data folder while it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Of the API.
    pub url: String,
    /// The demo tenant's.
    pub key: String,
    /// The process.
    pub pid: u32,
    /// Of the stand-in, when that is what it talks to.
    pub standin_url: Option<String>,
    /// Of its database, for the operator's commands.
    pub database_url: Option<String>,
}

/// The name of the file with a [`Target`].
pub const TARGET_FILE: &str = "dev.json";

/// A server and a key for it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Scheme, host and port, without a slash at the end.
    pub url: String,
    /// The API key.
    pub key: SecretString,
}

impl Connection {
    /// From `OFFPEAK_URL` and `OFFPEAK_KEY`, else from a running `offpeak dev`.
    pub fn find(environment: &Environment, data: &Path) -> Result<Self, Failure> {
        let url = environment.text("OFFPEAK_URL").map_err(Failure::usage)?;
        let key = environment.text("OFFPEAK_KEY").map_err(Failure::usage)?;
        let dev = Target::running(data);
        let (url, key) = match (url, key, dev) {
            (Some(url), Some(key), _) => (url, key),
            (None, Some(key), dev) => (
                dev.map_or_else(|| DEFAULT_URL.to_owned(), |dev| dev.url),
                key,
            ),
            (None, None, Some(dev)) => (dev.url, dev.key),
            (Some(url), None, Some(dev)) if trim(&url) == dev.url => (url, dev.key),
            (_, None, _) => {
                return Err(Failure::usage(anyhow::anyhow!(
                    "no API key: set OFFPEAK_KEY (and OFFPEAK_URL), or start `offpeak dev` in this \
                     folder"
                )));
            }
        };
        let good = reqwest::Url::parse(&url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !good {
            return Err(Failure::usage(anyhow::anyhow!(
                "OFFPEAK_URL must be an address that begins with http:// or https://, not {url:?}"
            )));
        }
        // A line end that came along with a key cannot be sent, and says nothing of use later.
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::usage(anyhow::anyhow!(
                "OFFPEAK_KEY is no API key: a key is ofp_live_ and 38 letters and digits, without \
                 spaces or line ends"
            )));
        }
        Ok(Self {
            url: trim(&url).to_owned(),
            key: key.into(),
        })
    }

    /// The same for a command that works without a server too: what was set has
    /// to be right, and nothing need be.
    pub fn if_any(environment: &Environment, data: &Path) -> Result<Option<Self>, Failure> {
        let key = environment.text("OFFPEAK_KEY").map_err(Failure::usage)?;
        match Self::find(environment, data) {
            Err(failure) if key.is_some() => Err(failure),
            found => Ok(found.ok()),
        }
    }
}

fn trim(url: &str) -> &str {
    url.trim_end_matches('/')
}

impl Target {
    /// That of the `offpeak dev` that runs on this data folder. A file left by
    /// a process that is gone does not count.
    pub fn running(data: &Path) -> Option<Self> {
        [data.to_owned(), data.join("live")]
            .iter()
            .find_map(|folder| {
                let text = std::fs::read_to_string(folder.join(TARGET_FILE)).ok()?;
                let target: Self = serde_json::from_str(&text).ok()?;
                let pid = rustix::process::Pid::from_raw(i32::try_from(target.pid).ok()?)?;
                let gone = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
                (!gone).then_some(target)
            })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn find(pairs: &[(&str, &str)], dev: Option<&Target>) -> Result<(String, String), String> {
        let scratch = tempfile::tempdir().unwrap();
        if let Some(dev) = dev {
            let text = serde_json::to_string(dev).unwrap();
            std::fs::write(scratch.path().join(TARGET_FILE), text).unwrap();
        }
        Connection::find(&Environment::of(pairs), scratch.path())
            .map(|found| (found.url, found.key.expose_secret().to_owned()))
            .map_err(|failure| failure.error.to_string())
    }

    fn running(pid: u32) -> Target {
        Target {
            url: "http://dev".into(),
            key: "dev-key".into(),
            pid,
            standin_url: None,
            database_url: None,
        }
    }

    #[test]
    fn what_is_said_goes_before_what_is_found() {
        let pair = |url: &str, key: &str| Ok((url.to_owned(), key.to_owned()));
        let here = running(std::process::id());
        let url = ("OFFPEAK_URL", "https://far/");
        let key = ("OFFPEAK_KEY", "k");
        assert_eq!(find(&[url, key], Some(&here)), pair("https://far", "k"));
        assert_eq!(find(&[key], None), pair(DEFAULT_URL, "k"));
        assert_eq!(find(&[], Some(&here)), pair("http://dev", "dev-key"));
        // The demo key is sent nowhere but to the server that it is for.
        assert!(find(&[url], Some(&here)).is_err());
        assert!(find(&[], Some(&running(i32::MAX.unsigned_abs() - 1))).is_err());
        for bad in ["far", "http://", "http://a b", "ftp://a"] {
            assert!(find(&[("OFFPEAK_URL", bad), key], None).is_err(), "{bad}");
        }
        assert!(find(&[url, ("OFFPEAK_KEY", "k\n")], None).is_err());
    }
}

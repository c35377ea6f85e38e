//! Configuration: the embedded default file, overlaid by the user's file,
//! overlaid by the environment. The only place that reads the environment.
//!
//! What it never does: print a secret; [`Config`] shows the key as redacted.

mod environment;
mod length;
mod limits;
mod oidc;
mod prices;
mod reliability;
mod retention;
mod server;
mod values;
mod vault;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use serde::Deserialize;
use toml::{Table, Value};

pub use environment::Environment;
pub use length::parse as length;
pub use limits::{Limits, Live};
pub use oidc::Oidc;
pub use prices::Prices;
pub use reliability::Reliability;
pub use retention::Retention;
pub use server::{Role, Server};
use values::secret;
pub use vault::Vault;

/// The file that documents every setting and holds its default.
pub const DEFAULT: &str = include_str!("config.default.toml");

/// The file in the current directory that is read when there is one.
const FILE: &str = "offpeak.toml";

/// Variables of ours that are not named after a setting.
const OURS: [&str; 4] = [
    "OFFPEAK_CONFIG",
    "OFFPEAK_DATA",
    "OFFPEAK_KEY",
    "OFFPEAK_URL",
];

/// All settings.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[oidc]`
    pub oidc: Oidc,
    /// `[database]`
    pub database: Database,
    /// `[anthropic]`
    pub anthropic: Anthropic,
    /// `[vault]`
    pub vault: Vault,
    /// `[batch]`
    pub batch: Batch,
    /// `[prices]`
    pub prices: Prices,
    /// `[direct]`
    pub direct: Direct,
    /// `[reliability]`
    pub reliability: Reliability,
    /// `[limits]`
    pub limits: Limits,
    /// `[retention]`
    pub retention: Retention,
    /// `[live]`
    pub live: Live,
    /// `[dev]`
    pub dev: Dev,
    /// `[postgres]`
    pub postgres: Postgres,
    /// `[log]`
    pub log: Log,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize)]
pub struct Database {
    /// URL with password, or none.
    #[serde(deserialize_with = "secret")]
    pub url: Option<SecretString>,
    /// Connections at most for each role.
    pub max_connections: u32,
}

/// `[anthropic]`
#[derive(Clone, Debug, Deserialize)]
pub struct Anthropic {
    /// The key, or none.
    #[serde(deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The key that reads reports, or none.
    #[serde(deserialize_with = "secret")]
    pub admin_key: Option<SecretString>,
    /// Scheme, host and port.
    pub base_url: String,
    /// Batches created in a minute, at most.
    pub creates_per_minute: u32,
    /// Requests waiting in batches, at most.
    pub max_queued_items: u64,
}

/// `[batch]`
#[derive(Clone, Debug, Deserialize)]
pub struct Batch {
    /// Jobs in a batch, at most.
    pub max_items: u32,
    /// Bytes in a batch's body, at most.
    pub max_bytes: u64,
    /// Longest wait of the oldest job.
    #[serde(deserialize_with = "length::read")]
    pub flush_after: Duration,
    /// Quiet time that closes a batch.
    #[serde(deserialize_with = "length::read")]
    pub idle_after: Duration,
    /// To the first look at a created batch.
    #[serde(deserialize_with = "length::read")]
    pub first_poll: Duration,
    /// Between looks.
    #[serde(deserialize_with = "length::read")]
    pub poll_every: Duration,
}

/// `[direct]`
#[derive(Clone, Debug, Deserialize)]
pub struct Direct {
    /// Direct calls at the same time.
    pub parallel_calls: u32,
    /// Longest time of one.
    #[serde(deserialize_with = "length::read")]
    pub call_within: Duration,
    /// How long before its deadline a batched job is called for.
    #[serde(deserialize_with = "length::read")]
    pub escalate_before: Duration,
}

/// `[dev]`
#[derive(Clone, Debug, Deserialize)]
pub struct Dev {
    /// The data folder.
    pub data: PathBuf,
    /// Shortest time of a batch at the stand-in.
    #[serde(deserialize_with = "length::read")]
    pub turnaround_min: Duration,
    /// Longest.
    #[serde(deserialize_with = "length::read")]
    pub turnaround_max: Duration,
}

/// `[postgres]`
#[derive(Clone, Debug, Deserialize)]
pub struct Postgres {
    /// The folder with the programs; empty to search.
    pub programs: PathBuf,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
pub struct Log {
    /// A filter of `tracing`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads it. `file` is what `--config` named.
    pub fn read(file: Option<&Path>, environment: &Environment) -> anyhow::Result<Self> {
        let mut table: Table = toml::from_str(DEFAULT).context("the built-in configuration")?;
        let named = file
            .map(Path::to_owned)
            .or_else(|| environment.path("OFFPEAK_CONFIG"));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE));
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let own: Table = toml::from_str(&text)
                    .with_context(|| format!("{} is not valid TOML", path.display()))?;
                overlay(&mut table, own).with_context(|| path.display().to_string())?;
            }
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
        from_environment(&mut table, environment)?;
        let config: Self = table.try_into().context("configuration")?;
        if config.dev.turnaround_min > config.dev.turnaround_max {
            bail!("configuration: dev.turnaround_min is longer than dev.turnaround_max");
        }
        if config.direct.parallel_calls == 0 {
            bail!("configuration: direct.parallel_calls is 0: no urgent job would ever be sent");
        }
        config.reliability.check()?;
        config.retention.check()?;
        Ok(config)
    }

    /// What the API is called: it is Anthropic's unless the address is another.
    pub fn api_name(&self) -> String {
        let url = self.anthropic.base_url.trim_end_matches('/');
        if url == "https://api.anthropic.com" {
            "THE REAL API".to_owned()
        } else {
            format!("the API at {url}")
        }
    }

    /// The address of Anthropic's API, or what is wrong with it.
    pub fn base_url(&self) -> anyhow::Result<&str> {
        let text = &self.anthropic.base_url;
        let good = reqwest::Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !good {
            bail!(
                "ANTHROPIC_BASE_URL (base_url in [anthropic]) is {text:?}, which is no address: \
                 unset it, or write it like https://api.anthropic.com"
            );
        }
        Ok(text)
    }

    /// The database's URL, or what to do about there being none.
    pub fn database_url(&self) -> anyhow::Result<&SecretString> {
        self.database.url.as_ref().context(
            "no database: set DATABASE_URL (postgres://user:password@host/database), or use \
             `offpeak dev`, which brings its own",
        )
    }
}

/// Puts a user's settings over the defaults; one that is not known is a mistake.
fn overlay(table: &mut Table, own: Table) -> anyhow::Result<()> {
    for (section, settings) in own {
        let Some(Value::Table(known)) = table.get_mut(&section) else {
            bail!("there is no section [{section}]");
        };
        let Value::Table(settings) = settings else {
            bail!("`{section}` must be a section: [{section}]");
        };
        for (name, value) in settings {
            match known.get_mut(&name) {
                Some(slot) if slot.same_type(&value) => *slot = value,
                Some(slot) => bail!(
                    "{section}.{name} must be {}, not {}",
                    slot.type_str(),
                    value.type_str()
                ),
                None => bail!("there is no setting {name} in [{section}]"),
            }
        }
    }
    Ok(())
}

/// The variables that everybody knows, then ours, which go before them.
fn from_environment(table: &mut Table, environment: &Environment) -> anyhow::Result<()> {
    for (variable, section, name) in [
        ("DATABASE_URL", "database", "url"),
        ("ANTHROPIC_API_KEY", "anthropic", "api_key"),
        ("ANTHROPIC_ADMIN_KEY", "anthropic", "admin_key"),
        ("ANTHROPIC_BASE_URL", "anthropic", "base_url"),
        ("OFFPEAK_DATA", "dev", "data"),
    ] {
        if let Some(text) = environment.text(variable)?
            && let Some(slot) = table
                .get_mut(section)
                .and_then(|section| section.get_mut(name))
        {
            *slot = Value::String(text);
        }
    }
    // A misspelt setting that is silently ignored costs an afternoon.
    let mut known = OURS.map(str::to_owned).to_vec();
    for (section, settings) in table.iter_mut() {
        let Value::Table(settings) = settings else {
            continue;
        };
        for (name, slot) in settings.iter_mut() {
            let variable = format!("OFFPEAK_{section}_{name}").to_uppercase();
            known.push(variable.clone());
            let Some(text) = environment.text(&variable)? else {
                continue;
            };
            *slot = match slot {
                Value::Integer(_) => Value::Integer(
                    text.parse()
                        .with_context(|| format!("{variable} must be a whole number"))?,
                ),
                Value::Boolean(_) => Value::Boolean(
                    text.parse()
                        .with_context(|| format!("{variable} must be true or false"))?,
                ),
                _ => Value::String(text),
            };
        }
    }
    match environment
        .names("OFFPEAK_")
        .iter()
        .find(|name| !known.contains(name))
    {
        Some(name) => bail!("there is no setting for the environment variable {name}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::of(pairs)
    }

    fn with_file(text: &str, pairs: &[(&str, &str)]) -> anyhow::Result<Config> {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("own.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(Some(&path), &environment(pairs)).map_err(|error| {
            let text = format!("{error:#}").replace(&*path.to_string_lossy(), "own.toml");
            anyhow::anyhow!(text)
        })
    }

    #[test]
    fn the_default_file_is_whole() {
        let config = Config::read(None, &environment(&[])).unwrap();
        assert_eq!(config.server.listen, "127.0.0.1:8080");
        assert_eq!(config.batch.flush_after, Duration::from_mins(1));
        assert!(config.database.url.is_none());
    }

    #[test]
    fn the_environment_goes_before_the_file_and_ours_before_the_known() {
        let config = with_file(
            "[server]\nlisten = \"0.0.0.0:1\"\n[batch]\nmax_items = 7\nidle_after = \"500ms\"\n",
            &[
                ("OFFPEAK_SERVER_LISTEN", "0.0.0.0:2"),
                ("OFFPEAK_ANTHROPIC_CREATES_PER_MINUTE", "3"),
                ("DATABASE_URL", "postgres://known"),
                ("OFFPEAK_DATABASE_URL", "postgres://ours"),
            ],
        )
        .unwrap();
        assert_eq!(config.server.listen, "0.0.0.0:2");
        assert_eq!(config.batch.max_items, 7);
        assert_eq!(config.batch.idle_after, Duration::from_millis(500));
        assert_eq!(config.anthropic.creates_per_minute, 3);
        assert_eq!(
            config.database_url().unwrap().expose_secret(),
            "postgres://ours"
        );
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let wrong = |text, pairs: &[(&str, &str)]| with_file(text, pairs).unwrap_err().to_string();
        insta::assert_snapshot!(wrong("[sever]\nport = 1", &[]), @"own.toml: there is no section [sever]");
        insta::assert_snapshot!(wrong("[server]\nport = 1", &[]), @"own.toml: there is no setting port in [server]");
        insta::assert_snapshot!(wrong("[batch]\nmax_items = \"many\"", &[]), @"own.toml: batch.max_items must be integer, not string");
        insta::assert_snapshot!(wrong("", &[("OFFPEAK_BATCH_MAX_ITEMS", "many")]), @"OFFPEAK_BATCH_MAX_ITEMS must be a whole number: invalid digit found in string");
        insta::assert_snapshot!(wrong("", &[("OFFPEAK_BATCH_MAX_ITEM", "5")]), @"there is no setting for the environment variable OFFPEAK_BATCH_MAX_ITEM");
        insta::assert_snapshot!(wrong("", &[("OFFPEAK_BATCH_IDLE_AFTER", "5 lightyears")]), @r#"
        configuration: "5 lightyears" is no length of time: write 500ms, 5s, 2m, 1h or 90d
        in `batch.idle_after`
        "#);
        insta::assert_snapshot!(wrong("[server]\nrole = \"king\"", &[]), @r"
        configuration: unknown variant `king`, expected one of `api`, `worker`, `all`
        in `server.role`
        ");
        insta::assert_snapshot!(wrong("[server]\npublic_url = \"https://a.example/\"", &[]), @r#"
        configuration: "https://a.example/" is no address of a server: it must end after host and port: no path, no query, no slash at the end
        in `server.public_url`
        "#);
    }

    #[test]
    fn no_secret_is_shown() {
        let pairs = [
            ("ANTHROPIC_API_KEY", "sk-swordfish"),
            ("ANTHROPIC_ADMIN_KEY", "sk-ant-admin-swordfish"),
            ("DATABASE_URL", "postgres://a:swordfish@b/c"),
            ("OFFPEAK_OIDC_CLIENT_SECRET", "swordfish"),
        ];
        let config = Config::read(None, &environment(&pairs)).unwrap();
        assert!(!format!("{config:?}").contains("swordfish"));
    }
}

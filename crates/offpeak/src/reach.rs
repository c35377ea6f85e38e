//! Whether somebody listens where the database should be, whether its schema is
//! one that this program can run on, and what to do about what it says. A pool
//! would only wait, and then speak of its own patience.

use std::time::Duration;

use anyhow::Context as _;
use offpeak_store::{Options, System};
use tokio::net::{TcpStream, UnixStream};

const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody listens there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// The database has not been migrated for this program.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database is at version {found} and this program needs {needed}: run `offpeak migrate` \
     with this program; processes of the version before go on meanwhile"
)]
pub struct Outdated {
    found: i64,
    needed: i64,
}

/// Whether only this machine reaches `host:port`, or a host alone.
pub fn is_this_machine(address: &str) -> bool {
    let alone = address.ends_with(']') || !address.contains(':');
    let host = address.rsplit_once(':').filter(|_| !alone);
    let host = host.map_or(address, |(host, _)| host);
    let number = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || number.is_ok_and(|number| number.is_loopback())
}

/// Refuses a database that lacks what this program needs. One that has more is
/// as good: only a rolled back or not yet rolled out process meets it.
pub async fn schema(system: &System) -> anyhow::Result<()> {
    let found = system
        .schema_version()
        .await
        .context("the database is not ready for this version: run `offpeak migrate`")?;
    let needed = offpeak_store::schema_version();
    if found < needed {
        return Err(Outdated { found, needed }.into());
    }
    if found > needed {
        tracing::warn!(
            database = found,
            program = needed,
            "a newer program has migrated the database: this one goes on, and knows nothing of \
             what is new there"
        );
    }
    Ok(())
}

/// Refuses a database in which nothing would keep one tenant's rows from another.
pub async fn walls(options: &Options) -> anyhow::Result<()> {
    offpeak_store::walls::expect(options)
        .await
        .map_err(|error| match error {
            offpeak_store::Error::Walls(_) => anyhow::Error::new(error),
            other => {
                let remedy = remedy(&other.to_string(), options);
                anyhow::Error::new(other).context(format!("the database refuses us: {remedy}"))
            }
        })
}

/// Connects, says nothing, and leaves.
pub async fn database(options: &Options) -> Result<(), String> {
    let connect = &options.connect;
    let (host, port) = (connect.get_host(), connect.get_port());
    let socket = connect
        .get_socket()
        .cloned()
        .or_else(|| host.starts_with('/').then(|| host.into()));
    let place = socket.as_ref().map_or_else(
        || format!("{host}:{port}"),
        |socket| format!("{}, port {port}", socket.display()),
    );
    let connecting = async {
        match &socket {
            Some(socket) => UnixStream::connect(socket.join(format!(".s.PGSQL.{port}")))
                .await
                .map(drop),
            None => TcpStream::connect((host, port)).await.map(drop),
        }
    };
    let why = match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused".to_owned()
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    Err(format!(
        "no PostgreSQL at {place}: {why}; start it, or check DATABASE_URL"
    ))
}

/// What to do about an error of the database, if that is known.
pub fn remedy(error: &str, options: &Options) -> String {
    let says = |sign: &str| error.contains(sign);
    if says("permission denied to set role") {
        let login = options.connect.get_username();
        format!("run `offpeak migrate`, or GRANT offpeak_api, offpeak_worker TO \"{login}\"")
    } else if says("(28P01)") || says("(28000)") {
        "check the user and the password in DATABASE_URL".to_owned()
    } else if says("(3D000)") {
        "create that database, or check DATABASE_URL".to_owned()
    } else if says("offpeak") || says("(42P01)") || says("(3F000)") || says("(42501)") {
        "run `offpeak migrate`".to_owned()
    } else {
        "check DATABASE_URL".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Options {
        Options::new(url.parse().unwrap())
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for here in [
            "127.0.0.1:8080",
            "localhost",
            "localhost:80",
            "[::1]",
            "[::1]:443",
        ] {
            assert!(is_this_machine(here), "{here}");
        }
        for other in [
            "0.0.0.0:8080",
            "example.com",
            "[::]:80",
            "localhost.example:80",
            "",
        ] {
            assert!(!is_this_machine(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_dead_database_is_said_at_once() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let dead = options(&format!("postgres://a@127.0.0.1:{port}/b"));
        assert_eq!(
            database(&dead).await.unwrap_err(),
            format!(
                "no PostgreSQL at 127.0.0.1:{port}: connection refused; start it, or check \
                 DATABASE_URL"
            )
        );
        let nowhere = options("postgres://a@localhost/b?host=/nowhere");
        assert!(
            database(&nowhere)
                .await
                .unwrap_err()
                .contains("/nowhere, port 5432")
        );
    }

    #[test]
    fn a_known_error_names_its_remedy() {
        let of = |error: &str| remedy(error, &options("postgres://me@h/d"));
        insta::assert_snapshot!(of("permission denied to set role \"offpeak_worker\" (42501)"), @r#"run `offpeak migrate`, or GRANT offpeak_api, offpeak_worker TO "me""#);
        insta::assert_snapshot!(of("role \"offpeak_worker\" does not exist (22023)"), @"run `offpeak migrate`");
        insta::assert_snapshot!(of("database \"d\" does not exist (3D000)"), @"create that database, or check DATABASE_URL");
    }
}

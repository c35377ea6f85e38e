//! `[oidc]`: a company's identity server, by which its people sign in.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use offpeak_api::IdentityServer;
use offpeak_domain::origin::Origin;
use offpeak_domain::person::is_name;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::values::secret;
use crate::reach::is_this_machine;

/// Where the identity server sends browsers back to, on our public URL: a page of the
/// dashboard.
const RETURN: &str = "/sign-in/oidc";

/// `[oidc]`
#[derive(Clone, Debug, Deserialize)]
pub struct Oidc {
    /// Of the identity server, or empty.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// And our secret, or none.
    #[serde(deserialize_with = "secret")]
    pub client_secret: Option<SecretString>,
    /// The file that holds it instead, or empty.
    pub client_secret_file: PathBuf,
    /// What people know it by.
    pub name: String,
}

impl Oidc {
    /// The identity server, if one is set up; nothing is sent to it.
    pub fn server(&self, public: Option<&Origin>) -> anyhow::Result<Option<IdentityServer>> {
        if self.issuer.is_empty() {
            ensure!(
                self.client_id.is_empty(),
                "oidc.client_id is set, and oidc.issuer is not: set it too, as the identity \
                 server's own description has it"
            );
            return Ok(None);
        }
        let public = public.context(
            "oidc.issuer needs server.public_url: to there the identity server sends browsers back",
        )?;
        // Browsers treat this machine as safe without TLS.
        let here = (public.as_str().strip_prefix("http://")).is_some_and(is_this_machine);
        ensure!(
            here || public.as_str().starts_with("https://"),
            "oidc.issuer needs a server.public_url with https://: {} would give the cookie of a \
             sign-in to whoever listens",
            public.as_str(),
        );
        ensure!(
            is_name(&self.name),
            "oidc.name must be one line: it stands on a button"
        );
        let provider = offpeak_oidc::Provider::new(offpeak_oidc::Options {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.secret()?,
            redirect: format!("{}{RETURN}", public.as_str()),
        });
        // The error begins with the name of the setting.
        let provider = provider.map_err(|error| anyhow::anyhow!("oidc.{error}"))?;
        Ok(Some(IdentityServer {
            name: self.name.clone(),
            provider,
        }))
    }

    fn secret(&self) -> anyhow::Result<SecretString> {
        let file = &self.client_secret_file;
        match (&self.client_secret, file.as_os_str().is_empty()) {
            (Some(secret), true) => Ok(secret.clone()),
            (None, false) => {
                let text = std::fs::read_to_string(file)
                    .map(SecretString::from)
                    .with_context(|| format!("oidc.client_secret_file: {}", file.display()))?;
                // An editor ends a file with a line's end.
                Ok(SecretString::from(text.expose_secret().trim_end()))
            }
            (Some(_), false) => bail!(
                "oidc.client_secret and oidc.client_secret_file are both set: leave one of them out"
            ),
            (None, true) => bail!(
                "oidc.client_secret is not set: set it by OFFPEAK_OIDC_CLIENT_SECRET, or name a \
                 file by oidc.client_secret_file"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Oidc;
    use offpeak_domain::origin::Origin;
    use secrecy::SecretString;

    fn oidc() -> Oidc {
        Oidc {
            issuer: "https://login.example".to_owned(),
            client_id: "offpeak".to_owned(),
            client_secret: Some(SecretString::from("s3cret")),
            client_secret_file: "".into(),
            name: "Example".to_owned(),
        }
    }

    fn with(public: &str, change: impl FnOnce(&mut Oidc)) -> String {
        let mut oidc = oidc();
        change(&mut oidc);
        let public = (!public.is_empty()).then(|| Origin::parse(public).unwrap());
        match oidc.server(public.as_ref()) {
            Ok(Some(server)) => server.provider.redirect().to_owned(),
            Ok(None) => "none".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    const PUBLIC: &str = "https://offpeak.example";

    #[test]
    fn browsers_come_back_to_the_public_url() {
        assert_eq!(with(PUBLIC, |_| {}), "https://offpeak.example/sign-in/oidc");
        let here = with("http://127.0.0.1:8080", |_| {});
        assert_eq!(here, "http://127.0.0.1:8080/sign-in/oidc");
        assert_eq!(
            with("http://localhost", |_| {}),
            "http://localhost/sign-in/oidc"
        );
    }

    #[test]
    fn the_secret_may_be_in_a_file() {
        let scratch = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(scratch.path(), "s3cret\n").unwrap();
        let in_file = |oidc: &mut Oidc| {
            oidc.client_secret = None;
            oidc.client_secret_file = scratch.path().to_owned();
        };
        assert_eq!(
            with(PUBLIC, in_file),
            "https://offpeak.example/sign-in/oidc"
        );
        std::fs::write(scratch.path(), "\n").unwrap();
        insta::assert_snapshot!(with(PUBLIC, in_file), @"oidc.client_secret is not set");
        let both = with(PUBLIC, |oidc| {
            oidc.client_secret_file = scratch.path().to_owned();
        });
        assert!(both.contains("are both set"), "{both}");
    }

    #[test]
    fn what_is_missing_is_said() {
        insta::assert_snapshot!(with("", |o| (o.issuer.clear(), o.client_id.clear()).0), @"none");
        insta::assert_snapshot!(with("", |o| o.issuer.clear()), @"oidc.client_id is set, and oidc.issuer is not: set it too, as the identity server's own description has it");
        insta::assert_snapshot!(with("", |_| {}), @"oidc.issuer needs server.public_url: to there the identity server sends browsers back");
        insta::assert_snapshot!(with("http://offpeak.example", |_| {}), @"oidc.issuer needs a server.public_url with https://: http://offpeak.example would give the cookie of a sign-in to whoever listens");
        insta::assert_snapshot!(with(PUBLIC, |o| o.client_id.clear()), @"oidc.client_id is not set");
        insta::assert_snapshot!(with(PUBLIC, |o| o.client_secret = None), @"oidc.client_secret is not set: set it by OFFPEAK_OIDC_CLIENT_SECRET, or name a file by oidc.client_secret_file");
        insta::assert_snapshot!(with(PUBLIC, |o| o.name = "a\nb".to_owned()), @"oidc.name must be one line: it stands on a button");
        insta::assert_snapshot!(with(PUBLIC, |o| o.issuer = "http://login.example".to_owned()), @"oidc.issuer must begin with https:// (http:// is for a server on this machine alone)");
    }
}

//! `[vault]`: the master keys under which tenants' own secrets, and content, are kept.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use offpeak_domain::vault;
use offpeak_store::Sealer;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::values::secret;
use crate::entropy;

/// `[vault]`
#[derive(Clone, Debug, Deserialize)]
pub struct Vault {
    /// A file with master keys; empty for none.
    pub file: PathBuf,
    /// The keys themselves, or none.
    #[serde(deserialize_with = "secret")]
    pub keys: Option<SecretString>,
    /// Whether new requests, results and contexts are sealed, if there is a master key.
    pub payloads: bool,
}

impl Vault {
    /// The master keys, if there are any. An error where they cannot be read, or others
    /// can read them.
    pub fn open(&self) -> anyhow::Result<Option<Arc<vault::Vault>>> {
        let has_file = !self.file.as_os_str().is_empty();
        let (text, place) = match &self.keys {
            Some(_) if has_file => bail!("[vault] has both file and keys: set one of them"),
            Some(keys) => (keys.clone(), "vault.keys".to_owned()),
            None if !has_file => return Ok(None),
            None => (self.of_file()?, self.file.display().to_string()),
        };
        let opened = vault::Vault::read(&text).with_context(|| place)?;
        Ok(Some(Arc::new(opened)))
    }

    /// By what content is sealed and opened: with these master keys, if there are any.
    pub fn sealer(&self, vault: Option<&Arc<vault::Vault>>) -> anyhow::Result<Sealer> {
        Ok(match vault {
            Some(vault) => Sealer::new(Arc::clone(vault), self.payloads, entropy::source()?),
            None => Sealer::plain(),
        })
    }

    fn of_file(&self) -> anyhow::Result<SecretString> {
        let path = self.file.display();
        let about = || format!("cannot read the master keys in {path} (vault.file)");
        let mode = self.file.metadata().with_context(about)?.mode();
        if mode & 0o077 != 0 {
            bail!("others may read the master keys in {path}: run `chmod 600 {path}`");
        }
        let text = Zeroizing::new(std::fs::read_to_string(&self.file).with_context(about)?);
        Ok(SecretString::from(text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::Vault;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    const KEY: &str = "a:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";

    fn of(file: &std::path::Path, keys: Option<&str>) -> Vault {
        Vault {
            file: file.to_owned(),
            keys: keys.map(Into::into),
            payloads: true,
        }
    }

    #[test]
    fn keys_come_from_one_place_that_nobody_else_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.keys");
        std::fs::write(&path, format!("# ours\n{KEY}\n")).unwrap();
        let mode = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        assert_eq!(of(&path, None).open().unwrap().unwrap().current(), "a");
        for others in [0o640, 0o604, 0o660] {
            mode(others);
            let refused = of(&path, None).open().unwrap_err().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
        let none = std::path::Path::new("");
        assert!(of(none, None).open().unwrap().is_none());
        assert_eq!(of(none, Some(KEY)).open().unwrap().unwrap().current(), "a");
        let both = of(&path, Some(KEY)).open().unwrap_err();
        assert!(both.to_string().contains("both"), "{both}");
        let missing = of(&folder.path().join("none"), None).open().unwrap_err();
        assert!(missing.to_string().contains("vault.file"), "{missing}");
        let wrong = of(none, Some("a:short")).open().unwrap_err();
        assert!(!format!("{wrong:#}").contains("short"), "{wrong:#}");
    }
}

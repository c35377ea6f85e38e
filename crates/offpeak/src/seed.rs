//! What a database needs beyond its tables: the shipped job types, and for
//! `offpeak dev` a tenant to try things with.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::audit::Action;
use offpeak_domain::id::{KeyId, Minter, TenantId};
use offpeak_domain::job_type;
use offpeak_domain::scope::Scopes;
use offpeak_domain::vault::{self, Vault};
use offpeak_store::audit::{self, Act, Actor};
use offpeak_store::{System, Tenants};
use secrecy::{ExposeSecret as _, SecretString};

use crate::entropy;
use crate::folder::Folder;

/// The tenant of `offpeak dev`.
const DEMO: &str = "demo";
/// Where its key is kept.
const KEY_FILE: &str = "demo.key";
/// Where its master key is.
const MASTER_FILE: &str = "master.keys";

/// The master key of `offpeak dev`: the one in the data folder, else a new one.
pub fn vault(folder: &Folder) -> anyhow::Result<Arc<Vault>> {
    let text = if let Some(text) = folder.read(MASTER_FILE)? {
        SecretString::from(text)
    } else {
        let made = vault::generate(DEMO, entropy::source()?).context("an id of our own")?;
        folder.write_private(MASTER_FILE, &format!("{}\n", made.expose_secret()))?;
        made
    };
    let opened = Vault::read(&text).with_context(|| format!("{MASTER_FILE} in the data folder"))?;
    Ok(Arc::new(opened))
}

/// Writes down the job types that ship with this version.
pub async fn job_types(system: &System) -> anyhow::Result<()> {
    let shipped = job_type::shipped().context("the built-in job types")?;
    let mut tx = system.begin().await?;
    offpeak_store::job_type::seed_shipped(&mut tx, &shipped).await?;
    tx.commit().await?;
    Ok(())
}

/// A new key for a tenant that may do all. It is shown once: only its digest is kept.
pub async fn new_key(
    system: &System,
    tenant: TenantId,
    name: &str,
) -> anyhow::Result<(KeyId, ApiKey)> {
    new_scoped_key(system, tenant, name, Scopes::all(), None).await
}

/// A new key that may do what its scopes say, for ever or as long as is said.
pub async fn new_scoped_key(
    system: &System,
    tenant: TenantId,
    name: &str,
    scopes: Scopes,
    lifetime: Option<Duration>,
) -> anyhow::Result<(KeyId, ApiKey)> {
    let mut rng = entropy::source()?;
    let key = ApiKey::generate(&mut rng);
    let mut tx = system.begin().await?;
    let id: KeyId = Minter::new(tx.now(), &mut rng).mint();
    let new = offpeak_store::api_key::New {
        id,
        name,
        hint: &key.hint(),
        digest: &key.digest(),
        scopes,
        lifetime,
    };
    offpeak_store::api_key::create(&mut tx, tenant, &new).await?;
    let act = Act {
        action: Action::KeyCreate,
        target: &id.to_string(),
        detail: &scopes.words().join(" "),
    };
    audit::note_of(&mut tx, tenant, &Actor::command(), &act).await?;
    tx.commit().await?;
    Ok((id, key))
}

/// A key that takes the place of another, which ends after `overlap`. `None` when there
/// is no such key in force, or it was rotated before.
pub async fn rotated_key(
    system: &System,
    tenant: TenantId,
    old: KeyId,
    overlap: Duration,
) -> anyhow::Result<Option<(KeyId, ApiKey)>> {
    use offpeak_store::api_key;
    let mut rng = entropy::source()?;
    let key = ApiKey::generate(&mut rng);
    let mut tx = system.begin().await?;
    let id: KeyId = Minter::new(tx.now(), &mut rng).mint();
    let Some(was) = api_key::rotate(&mut tx, tenant, old, id, overlap).await? else {
        return Ok(None);
    };
    let new = api_key::New {
        id,
        name: &was.name,
        hint: &key.hint(),
        digest: &key.digest(),
        scopes: was.scopes,
        lifetime: None,
    };
    api_key::create(&mut tx, tenant, &new).await?;
    let act = Act {
        action: Action::KeyRotate,
        target: &old.to_string(),
        detail: &format!("to {id}"),
    };
    audit::note_of(&mut tx, tenant, &Actor::command(), &act).await?;
    tx.commit().await?;
    Ok(Some((id, key)))
}

/// A new tenant, or `None` when the name is taken.
pub async fn new_tenant(system: &System, name: &str) -> anyhow::Result<Option<TenantId>> {
    let mut tx = system.begin().await?;
    let id: TenantId = Minter::new(tx.now(), entropy::source()?).mint();
    let made = offpeak_store::tenant::create(&mut tx, id, name).await?;
    tx.commit().await?;
    Ok(made.then_some(id))
}

/// The demo tenant's key: the one in the data folder while it opens something,
/// else a new one.
pub async fn demo_key(
    folder: &Folder,
    system: &System,
    tenants: &Tenants,
) -> anyhow::Result<ApiKey> {
    if let Some(text) = folder.read(KEY_FILE)?
        && let Ok(key) = ApiKey::parse(text.trim())
        && tenants.authenticate(&key.digest()).await?.is_some()
    {
        return Ok(key);
    }
    let tenant = if let Some(made) = new_tenant(system, DEMO).await? {
        made
    } else {
        let mut tx = system.begin().await?;
        let there = offpeak_store::tenant::by_name(&mut tx, DEMO).await?;
        there.context("the demo tenant is gone")?.id
    };
    let (_, key) = new_key(system, tenant, "offpeak dev").await?;
    folder.write_private(KEY_FILE, &format!("{}\n", key.expose()))?;
    Ok(key)
}

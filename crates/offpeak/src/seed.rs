//! What a database needs beyond its tables: the shipped job types, and for
//! `offpeak dev` a tenant to try things with.

use anyhow::Context as _;
use offpeak_domain::api_key::ApiKey;
use offpeak_domain::id::{KeyId, Minter, TenantId};
use offpeak_domain::job_type;
use offpeak_store::{System, Tenants};

use crate::entropy;
use crate::folder::Folder;

/// The tenant of `offpeak dev`.
const DEMO: &str = "demo";
/// Where its key is kept.
const KEY_FILE: &str = "demo.key";

/// Writes down the job types that ship with this version.
pub async fn job_types(system: &System) -> anyhow::Result<()> {
    let shipped = job_type::shipped().context("the built-in job types")?;
    let mut tx = system.begin().await?;
    offpeak_store::job_type::seed_shipped(&mut tx, &shipped).await?;
    tx.commit().await?;
    Ok(())
}

/// A new key for a tenant. It is shown once: only its digest is kept.
pub async fn new_key(
    system: &System,
    tenant: TenantId,
    name: &str,
) -> anyhow::Result<(KeyId, ApiKey)> {
    let mut rng = entropy::source()?;
    let key = ApiKey::generate(&mut rng);
    let mut tx = system.begin().await?;
    let id: KeyId = Minter::new(tx.now(), &mut rng).mint();
    offpeak_store::api_key::create(&mut tx, tenant, id, name, &key.hint(), &key.digest()).await?;
    tx.commit().await?;
    Ok((id, key))
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

//! What is kept encrypted: envelopes of XChaCha20-Poly1305.
//!
//! A master key, which never enters the database, wraps one data key for each tenant;
//! a tenant's data key seals what is the tenant's. Each sealed value says nothing about
//! where it belongs: whoever opens it has to name the place that it was sealed for, and
//! in another row, column, table or tenant it does not open. Nonces are 24 random bytes,
//! so that any number of values may be sealed without counting them.
//!
//! What it never does: read a file or the environment, draw a random number by itself,
//! or give an empty text for something that does not open.

mod master;

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::CryptoRng;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretBox, SecretSlice, SecretString};

use crate::id::TenantId;

pub use master::{Malformed, generate};

/// Length of a nonce, which a sealed value begins with, in bytes.
const NONCE: usize = 24;
/// By how much a sealed value is longer than what is in it: nonce and tag.
pub const OVERHEAD: usize = NONCE + 16;

/// 32 bytes that open something. Not to be printed; zeroed when dropped.
type Bytes32 = [u8; 32];

/// Where a value stands. All of it is authenticated with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Name of the table.
    pub table: &'a str,
    /// Name of the column.
    pub column: &'a str,
    /// Whose row.
    pub tenant: TenantId,
    /// Which of the tenant's rows: its key in words.
    pub row: &'a str,
    /// Of what is in it: another one when it is replaced.
    pub version: i32,
}

impl Place<'_> {
    /// Each part with its length before it, so that no two places read alike.
    fn bytes(&self) -> Vec<u8> {
        let mut all = b"offpeak/vault/1".to_vec();
        for part in [self.table, self.column, self.row] {
            all.extend((part.len() as u64).to_be_bytes());
            all.extend(part.as_bytes());
        }
        all.extend(self.tenant.as_uuid().as_bytes());
        all.extend(self.version.to_be_bytes());
        all
    }
}

/// Where a tenant's data key stands, wrapped by this master key.
fn place_of_key(tenant: TenantId, master: &str) -> Place<'_> {
    Place {
        table: "data_key",
        column: "wrapped",
        tenant,
        row: master,
        version: 1,
    }
}

/// Why something does not open. None of it is ever taken for an empty value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key that wraps it is not among those that were given.
    #[error(
        "it is wrapped by the master key {0:?}, which is not among those of [vault]: add that \
         key again, or restore it from where you keep it"
    )]
    NoMaster(String),
    /// Changed, moved from another place, or sealed by another key.
    #[error(
        "what is encrypted does not open: it was changed, stands in another place than it was \
         made for, or the master key of this id is another one than before"
    )]
    Closed,
    /// The cipher refuses: a value of more than 256 GiB.
    #[error("the value is too large to be encrypted")]
    TooLarge,
}

/// A tenant's data key in clear.
pub struct DataKey(SecretBox<Bytes32>);

impl DataKey {
    fn of(bytes: Bytes32) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// Seals what is to stand at this place.
    pub fn seal(
        &self,
        place: &Place<'_>,
        value: &[u8],
        rng: impl CryptoRng,
    ) -> Result<Vec<u8>, Error> {
        seal(self.0.expose_secret(), place, value, rng)
    }

    /// Opens what stands at this place.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<SecretSlice<u8>, Error> {
        open(self.0.expose_secret(), place, sealed).map(SecretSlice::from)
    }

    /// The same for what is text.
    pub fn open_text(&self, place: &Place<'_>, sealed: &[u8]) -> Result<SecretString, Error> {
        let bytes = open(self.0.expose_secret(), place, sealed)?;
        String::from_utf8(bytes)
            .map(SecretString::from)
            .map_err(|_| Error::Closed)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// A data key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Id of the master key that opens it.
    pub master: String,
    /// Nonce, then ciphertext, then tag.
    pub bytes: Vec<u8>,
}

/// One master key.
struct Master {
    id: String,
    key: SecretBox<Bytes32>,
}

/// The master keys of a deployment: the first one wraps, each opens what it has wrapped.
pub struct Vault {
    masters: Vec<Master>,
}

impl Vault {
    /// Id of the key that wraps from now on.
    pub fn current(&self) -> &str {
        self.masters.first().map_or("", |master| &master.id)
    }

    /// Ids of all of them, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.masters.iter().map(|master| master.id.as_str())
    }

    /// A new data key for a tenant, in clear and wrapped.
    pub fn make(
        &self,
        tenant: TenantId,
        mut rng: impl CryptoRng,
    ) -> Result<(DataKey, Wrapped), Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        let wrapped = self.wrap(tenant, &bytes, rng)?;
        Ok((DataKey::of(*bytes), wrapped))
    }

    /// The tenant's data key in clear.
    pub fn unwrap(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<DataKey, Error> {
        Ok(DataKey::of(*self.unwrapped(tenant, wrapped)?))
    }

    /// The same data key wrapped by the current master key.
    pub fn rewrap(
        &self,
        tenant: TenantId,
        wrapped: &Wrapped,
        rng: impl CryptoRng,
    ) -> Result<Wrapped, Error> {
        let bytes = self.unwrapped(tenant, wrapped)?;
        self.wrap(tenant, &bytes, rng)
    }

    fn wrap(
        &self,
        tenant: TenantId,
        bytes: &Bytes32,
        rng: impl CryptoRng,
    ) -> Result<Wrapped, Error> {
        let master = self
            .masters
            .first()
            .ok_or_else(|| Error::NoMaster(String::new()))?;
        let place = place_of_key(tenant, &master.id);
        Ok(Wrapped {
            master: master.id.clone(),
            bytes: seal(master.key.expose_secret(), &place, bytes, rng)?,
        })
    }

    fn unwrapped(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<Zeroizing<Bytes32>, Error> {
        let master = self
            .masters
            .iter()
            .find(|master| master.id == wrapped.master)
            .ok_or_else(|| Error::NoMaster(wrapped.master.clone()))?;
        let place = place_of_key(tenant, &master.id);
        let bytes = Zeroizing::new(open(master.key.expose_secret(), &place, &wrapped.bytes)?);
        let bytes: Bytes32 = bytes.as_slice().try_into().map_err(|_| Error::Closed)?;
        Ok(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

fn seal(
    key: &Bytes32,
    place: &Place<'_>,
    value: &[u8],
    mut rng: impl CryptoRng,
) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    let payload = Payload {
        msg: value,
        aad: &place.bytes(),
    };
    let ciphertext = XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(nonce), payload)
        .map_err(|_| Error::TooLarge)?;
    let mut sealed = Vec::with_capacity(NONCE + ciphertext.len());
    sealed.extend(nonce);
    sealed.extend(ciphertext);
    Ok(sealed)
}

fn open(key: &Bytes32, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>().ok_or(Error::Closed)?;
    let payload = Payload {
        msg: ciphertext,
        aad: &place.bytes(),
    };
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&XNonce::from(*nonce), payload)
        .map_err(|_| Error::Closed)
}

#[cfg(test)]
mod tests;

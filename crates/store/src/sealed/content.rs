//! The content of one tenant: what seals it for its row, and opens it there.

use std::borrow::Cow;
use std::sync::Arc;

use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};
use offpeak_domain::audit::hex;
use offpeak_domain::id::TenantId;
use offpeak_domain::vault::{DataKey, Error as Closed, Place};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::Sealer;
use crate::{Error, Result};

/// `key_id` of what is as it came.
const PLAIN: i32 = 0;
/// `key_id` of what is compressed by LZ4 and sealed by the tenant's data key.
const SEALED: i32 = 1;
/// Version in the place of each: another one with another form.
const VERSION: i32 = 1;

/// What is sealed, and in which row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece {
    /// The params of this job.
    Params(Uuid),
    /// A result line of this job. A retry moves it from `output` to `attempt` as it is, so
    /// both are one place.
    Line(Uuid),
    /// The text of this context.
    Body(Uuid),
    /// How a line begins that was put aside: of this batch, with this hash.
    Head(Uuid, [u8; 32]),
}

impl Piece {
    fn column(self) -> (&'static str, &'static str) {
        match self {
            Self::Params(_) => ("payload", "params"),
            Self::Line(_) => ("output", "line"),
            Self::Body(_) => ("context", "body"),
            Self::Head(..) => ("quarantine", "head"),
        }
    }

    fn row(self) -> String {
        match self {
            // Without its time, the first 12 digits, which the database gives to a single
            // job when its params are sealed already.
            Self::Params(job) => job.simple().to_string().split_off(12),
            Self::Line(id) | Self::Body(id) => id.simple().to_string(),
            Self::Head(batch, hash) => format!("{}{}", batch.simple(), hex(&hash)),
        }
    }
}

/// What seals and opens the content of one tenant.
#[derive(Clone, Debug)]
pub(crate) struct Seal {
    pub(super) tenant: TenantId,
    pub(super) key: std::result::Result<Option<Arc<DataKey>>, Closed>,
    pub(super) sealer: Sealer,
    pub(super) seals: bool,
}

/// Pieces of content and their `key_id`s, each at its place.
pub(crate) type Columns<'a> = (Vec<Cow<'a, [u8]>>, Vec<i32>);

impl Seal {
    /// The same for a tenant that has no key and gets none any more.
    pub(crate) fn unsealed(self) -> Self {
        let seals = false;
        Self { seals, ..self }
    }

    /// Whether there is a key.
    pub(crate) fn has_key(&self) -> bool {
        !matches!(self.key, Ok(None))
    }

    /// An error unless its key is there and opens.
    pub(crate) fn key_opens(&self) -> Result<()> {
        self.key().map(|_| ())
    }

    /// As they are to be stored.
    pub(crate) fn columns<'a>(
        &self,
        pieces: impl IntoIterator<Item = (Piece, &'a [u8])>,
    ) -> Result<Columns<'a>> {
        let mut rng = self.sealer.rng().filter(|_| self.seals);
        let (mut bytes, mut key_ids) = (Vec::new(), Vec::new());
        for (piece, plain) in pieces {
            let Some(rng) = &mut rng else {
                bytes.push(Cow::Borrowed(plain));
                key_ids.push(PLAIN);
                continue;
            };
            let row = piece.row();
            let small = compress_prepend_size(plain);
            let sealed = self.key()?.seal(&self.place(piece, &row), &small, rng)?;
            bytes.push(Cow::Owned(sealed));
            key_ids.push(SEALED);
        }
        Ok((bytes, key_ids))
    }

    /// One as it is to be stored, and its `key_id`.
    pub(crate) fn column<'a>(&self, piece: Piece, plain: &'a [u8]) -> Result<(Cow<'a, [u8]>, i32)> {
        let (bytes, key_ids) = self.columns([(piece, plain)])?;
        let one = bytes.into_iter().zip(key_ids).next();
        Ok(one.ok_or(Closed::Closed)?)
    }

    /// What was stored so. [`Error::Unopened`] says where it stands, for whoever mends it.
    pub(crate) fn open(&self, piece: Piece, key_id: i32, stored: Vec<u8>) -> Result<Vec<u8>> {
        let opened = self.opened(piece, key_id, stored);
        opened.map_err(|error| match error {
            Error::Closed(why) => {
                let ((table, column), row) = (piece.column(), piece.row());
                let place = format!("{table}.{column} of the row {row} of {}", self.tenant);
                Error::Unopened { place, why }
            }
            error => error,
        })
    }

    fn opened(&self, piece: Piece, key_id: i32, stored: Vec<u8>) -> Result<Vec<u8>> {
        match key_id {
            PLAIN => Ok(stored),
            SEALED => {
                let row = piece.row();
                let small = self.key()?.open(&self.place(piece, &row), &stored)?;
                let plain = decompress_size_prepended(small.expose_secret());
                Ok(plain.map_err(|_| Closed::Closed)?)
            }
            other => Err(Error::Unknown {
                column: "key_id",
                value: other.to_string(),
            }),
        }
    }

    fn key(&self) -> Result<&DataKey> {
        let key = self.key.as_ref().map_err(Clone::clone)?;
        Ok(key.as_deref().ok_or(Closed::Closed)?)
    }

    fn place<'a>(&self, piece: Piece, row: &'a str) -> Place<'a> {
        let (table, column) = piece.column();
        Place {
            table,
            column,
            tenant: self.tenant,
            row,
            version: VERSION,
        }
    }
}

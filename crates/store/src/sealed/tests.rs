use std::sync::Arc;

use offpeak_domain::id::TenantId;
use offpeak_domain::vault::{Error as Closed, Vault, Wrapped};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{CACHED, Held, Piece, Seal, Sealer};
use crate::Error;

const TEXT: &[u8] = b"Summarise the discharge letter of the patient in the room by the window.";

struct Setting {
    vault: Arc<Vault>,
    rng: StdRng,
}

impl Setting {
    fn new() -> Self {
        let key = "test:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=".to_owned();
        Self {
            vault: Arc::new(Vault::read(&key.into()).unwrap()),
            rng: StdRng::seed_from_u64(3),
        }
    }

    fn sealer(&mut self, seals: bool) -> Sealer {
        Sealer::new(Arc::clone(&self.vault), seals, &mut self.rng)
    }

    fn made(&mut self, tenant: TenantId, second: i64) -> Held {
        Held {
            made_at: OffsetDateTime::from_unix_timestamp(second).unwrap(),
            wrapped: self.vault.make(tenant, &mut self.rng).unwrap().1,
        }
    }
}

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number << 64 | 0x0190_0000_0000_7000_8000_0000_0000_0000)
}

fn stored(seal: &Seal, piece: Piece) -> (Vec<u8>, i32) {
    let (bytes, key_id) = seal.column(piece, TEXT).unwrap();
    (bytes.into_owned(), key_id)
}

#[test]
fn what_is_sealed_opens_at_its_place_alone() {
    let mut setting = Setting::new();
    let held = setting.made(tenant(1), 1);
    let seal = setting.sealer(true).of(tenant(1), Some(held));
    let job = id(7);
    let pieces = [
        Piece::Params(job),
        Piece::Line(job),
        Piece::Body(job),
        Piece::Head(job, [7; 32]),
    ];
    for (at, piece) in pieces.into_iter().enumerate() {
        let (bytes, key_id) = stored(&seal, piece);
        assert_eq!(key_id, 1);
        assert_ne!(
            stored(&seal, piece).0,
            bytes,
            "a nonce of its own each time"
        );
        assert!(!bytes.windows(9).any(|part| part == &TEXT[14..23]));
        assert_eq!(seal.open(piece, 1, bytes.clone()).unwrap(), TEXT);
        // Another column, another row, and taken for plain.
        for (other, place) in pieces.into_iter().enumerate().filter(|(n, _)| *n != at) {
            let moved = seal.open(place, 1, bytes.clone());
            assert!(
                matches!(moved, Err(Error::Unopened { .. })),
                "{at} in {other}"
            );
        }
        let of_other = match piece {
            Piece::Params(_) => Piece::Params(id(8)),
            Piece::Line(_) => Piece::Line(id(8)),
            Piece::Body(_) => Piece::Body(id(8)),
            Piece::Head(..) => Piece::Head(job, [8; 32]),
        };
        let moved = seal.open(of_other, 1, bytes.clone());
        let Err(Error::Unopened { place, why }) = moved else {
            panic!("it opened elsewhere: {moved:?}");
        };
        assert_eq!(why, Closed::Closed);
        assert!(place.contains(&tenant(1).to_string()), "{place}");
        let newer = seal.open(piece, 2, bytes);
        assert!(matches!(newer, Err(Error::Unknown { .. })));
    }
}

#[test]
fn params_open_whatever_time_their_job_was_given() {
    let mut setting = Setting::new();
    let held = setting.made(tenant(1), 1);
    let seal = setting.sealer(true).of(tenant(1), Some(held));
    let undated = id(7).as_u128() & (u128::MAX >> 48);
    let dated = Piece::Params(Uuid::from_u128(undated | 0x0190_abcd_1234_u128 << 80));
    let (bytes, key_id) = stored(&seal, Piece::Params(Uuid::from_u128(undated)));
    assert_eq!(seal.open(dated, key_id, bytes).unwrap(), TEXT);
}

#[test]
fn plain_stays_plain_and_opens_beside_what_is_sealed() {
    let mut setting = Setting::new();
    let held = setting.made(tenant(1), 1);
    let piece = Piece::Line(id(7));
    let sealed = stored(
        &setting.sealer(true).of(tenant(1), Some(held.clone())),
        piece,
    );
    let off = setting.sealer(false).of(tenant(1), Some(held));
    assert_eq!(stored(&off, piece), (TEXT.to_vec(), 0));
    assert_eq!(off.open(piece, 0, TEXT.to_vec()).unwrap(), TEXT);
    assert_eq!(off.open(piece, sealed.1, sealed.0.clone()).unwrap(), TEXT);
    // Without a vault, or a key, what is sealed is an error and what is plain is not.
    for none in [
        Sealer::plain().of(tenant(1), None),
        off_without_key(&mut setting),
    ] {
        assert_eq!(none.open(piece, 0, TEXT.to_vec()).unwrap(), TEXT);
        assert!(none.open(piece, 1, sealed.0.clone()).is_err());
        assert!(none.open(piece, 1, Vec::new()).is_err());
    }
}

fn off_without_key(setting: &mut Setting) -> Seal {
    setting.sealer(false).of(tenant(1), None)
}

#[test]
fn nothing_is_written_plain_for_want_of_a_key() {
    let mut setting = Setting::new();
    let piece = Piece::Body(id(7));
    let without = setting.sealer(true).of(tenant(1), None);
    assert!(without.column(piece, TEXT).is_err());
    let mut held = setting.made(tenant(1), 1);
    held.wrapped = Wrapped {
        master: "gone".to_owned(),
        ..held.wrapped
    };
    let locked = setting.sealer(true).of(tenant(1), Some(held));
    let refused = locked.column(piece, TEXT);
    assert!(matches!(refused, Err(Error::Closed(Closed::NoMaster(name))) if name == "gone"));
}

#[test]
fn a_key_in_memory_counts_as_long_as_its_row_is_the_same() {
    let mut setting = Setting::new();
    let sealer = setting.sealer(true);
    let (first, second) = (setting.made(tenant(1), 1), setting.made(tenant(1), 2));
    let piece = Piece::Params(id(7));
    let (bytes, _) = stored(&sealer.of(tenant(1), Some(first.clone())), piece);
    // Its row was lost with a server, and another process has made another one.
    let other = sealer.of(tenant(1), Some(second.clone()));
    assert!(other.open(piece, 1, bytes.clone()).is_err());
    let (made_at, seal) = sealer.remembered(tenant(1)).unwrap();
    assert_eq!(made_at, second.made_at);
    assert!(seal.open(piece, 1, bytes.clone()).is_err());
    let back = sealer.of(tenant(1), Some(first));
    assert_eq!(back.open(piece, 1, bytes).unwrap(), TEXT);
    sealer.forget(tenant(1));
    assert!(sealer.remembered(tenant(1)).is_none());
}

#[test]
fn keys_in_memory_are_bounded() {
    let mut setting = Setting::new();
    let sealer = setting.sealer(true);
    for number in 0..=CACHED as u128 {
        let held = setting.made(tenant(number), 1);
        sealer.of(tenant(number), Some(held));
    }
    assert!(sealer.remembered(tenant(0)).is_none());
    assert!(sealer.remembered(tenant(CACHED as u128)).is_some());
}

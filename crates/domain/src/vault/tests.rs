use rand::SeedableRng as _;
use rand::rngs::StdRng;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Error, Malformed, Place, Vault, Wrapped, generate};
use crate::id::TenantId;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn tenant(n: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(n))
}

/// A vault with a key of each id, always the same for an id.
fn vault(ids: &[&str]) -> Vault {
    let keys: Vec<String> = ids
        .iter()
        .map(|id| {
            let seed = id.bytes().map(u64::from).sum();
            generate(id, rng(seed)).unwrap().expose_secret().to_owned()
        })
        .collect();
    Vault::read(&SecretString::from(keys.join("\n"))).unwrap()
}

fn place(tenant: TenantId, row: &str) -> Place<'_> {
    Place {
        table: "upstream_key",
        column: "sealed",
        tenant,
        row,
        version: 1,
    }
}

#[test]
fn what_is_sealed_opens_at_its_place() {
    let (key, wrapped) = vault(&["a"]).make(tenant(1), rng(1)).unwrap();
    let at = place(tenant(1), "1");
    let sealed = key.seal(&at, b"sk-ant-secret", rng(2)).unwrap();
    assert_eq!(sealed.len(), b"sk-ant-secret".len() + super::OVERHEAD);
    assert!(!sealed.windows(6).any(|part| part == b"secret"));
    // Another process, with the wrapped key alone.
    let again = vault(&["a"]).unwrap(tenant(1), &wrapped).unwrap();
    assert_eq!(
        again.open_text(&at, &sealed).unwrap().expose_secret(),
        "sk-ant-secret"
    );
    // Twice the same value is never twice the same bytes.
    assert_ne!(sealed, key.seal(&at, b"sk-ant-secret", rng(3)).unwrap());
    // What is empty is an envelope as well, and opens as such.
    let nothing = key.seal(&at, b"", rng(4)).unwrap();
    assert_eq!(key.open(&at, &nothing).unwrap().expose_secret(), b"");
}

#[test]
fn at_another_place_it_does_not_open() {
    let (key, _) = vault(&["a"]).make(tenant(1), rng(1)).unwrap();
    let at = place(tenant(1), "12");
    let sealed = key.seal(&at, b"secret", rng(2)).unwrap();
    let others = [
        Place {
            table: "upstream",
            ..at
        },
        Place {
            column: "hint",
            ..at
        },
        Place {
            tenant: tenant(2),
            ..at
        },
        Place { row: "13", ..at },
        Place { version: 2, ..at },
        // The same letters, cut in another place.
        Place {
            table: "upstream_keysealed",
            column: "",
            ..at
        },
        Place {
            column: "sealed1",
            row: "2",
            ..at
        },
    ];
    for other in others {
        assert_eq!(
            key.open(&other, &sealed).unwrap_err(),
            Error::Closed,
            "{other:?}"
        );
    }
    assert!(key.open(&at, &sealed).is_ok());
}

#[test]
fn whatever_was_changed_does_not_open() {
    let (key, _) = vault(&["a"]).make(tenant(1), rng(1)).unwrap();
    let at = place(tenant(1), "1");
    let sealed = key.seal(&at, b"secret", rng(2)).unwrap();
    for byte in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[byte] ^= 1;
        assert_eq!(
            key.open(&at, &changed).unwrap_err(),
            Error::Closed,
            "byte {byte}"
        );
        assert_eq!(key.open(&at, &sealed[..byte]).unwrap_err(), Error::Closed);
    }
}

#[test]
fn no_other_key_opens_it() {
    let (first, wrapped) = vault(&["a"]).make(tenant(1), rng(1)).unwrap();
    let (second, _) = vault(&["a"]).make(tenant(1), rng(9)).unwrap();
    let at = place(tenant(1), "1");
    let sealed = first.seal(&at, b"secret", rng(2)).unwrap();
    assert_eq!(second.open(&at, &sealed).unwrap_err(), Error::Closed);
    // A wrapped key belongs to its tenant.
    let moved = vault(&["a"]).unwrap(tenant(2), &wrapped).unwrap_err();
    assert_eq!(moved, Error::Closed);
    // The master key is missing, or another one has its id.
    let missing = vault(&["b"]).unwrap(tenant(1), &wrapped).unwrap_err();
    assert_eq!(missing, Error::NoMaster("a".to_owned()));
    let renamed = Wrapped {
        master: "b".to_owned(),
        ..wrapped
    };
    let wrong = vault(&["b"]).unwrap(tenant(1), &renamed).unwrap_err();
    assert_eq!(wrong, Error::Closed);
}

#[test]
fn a_rotation_changes_the_wrapping_and_not_the_key() {
    let at = place(tenant(1), "1");
    let (key, old) = vault(&["old"]).make(tenant(1), rng(1)).unwrap();
    let sealed = key.seal(&at, b"secret", rng(2)).unwrap();
    let both = vault(&["new", "old"]);
    assert_eq!(both.current(), "new");
    let new = both.rewrap(tenant(1), &old, rng(3)).unwrap();
    assert_eq!(new.master, "new");
    for (vault, wrapped) in [(&both, &old), (&both, &new), (&vault(&["new"]), &new)] {
        let key = vault.unwrap(tenant(1), wrapped).unwrap();
        assert_eq!(key.open(&at, &sealed).unwrap().expose_secret(), b"secret");
    }
    let gone = vault(&["new"]).unwrap(tenant(1), &old).unwrap_err();
    assert_eq!(gone, Error::NoMaster("old".to_owned()));
}

#[test]
fn master_keys_are_read_in_both_spellings() {
    let hex = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    let text = format!(
        "# of 2026\nnew:{hex} # in hex\n\n, old:{base64},older:{}",
        &base64[..43].replace('A', "B")
    );
    let vault = Vault::read(&SecretString::from(text)).unwrap();
    assert_eq!(vault.ids().collect::<Vec<_>>(), ["new", "old", "older"]);
    // Both spell the same key.
    let (_, wrapped) = vault.make(tenant(1), rng(1)).unwrap();
    let other = Vault::read(&SecretString::from(format!("new:{base64}"))).unwrap();
    assert!(other.unwrap(tenant(1), &wrapped).is_ok());
}

#[test]
fn what_is_no_master_key_is_told_without_showing_it() {
    let refused = |text: &str| Vault::read(&SecretString::from(text)).unwrap_err();
    assert_eq!(refused(" \n# none\n"), Malformed::None);
    assert_eq!(refused("0011"), Malformed::Form(1));
    assert_eq!(refused("UP:0011"), Malformed::Form(1));
    assert_eq!(refused("a:c2VjcmV0"), Malformed::Length("a".to_owned()));
    assert_eq!(
        refused(&format!("a:{}", "zz".repeat(32))),
        Malformed::Length("a".to_owned())
    );
    assert_eq!(
        refused(&format!("a:{}", "00".repeat(32))),
        Malformed::Weak("a".to_owned())
    );
    let one = generate("a", rng(1)).unwrap();
    let one = one.expose_secret();
    assert_eq!(
        refused(&format!("{one},{one}")),
        Malformed::Twice("a".to_owned())
    );
    assert!(generate("No id", rng(1)).is_none());
    for text in ["c2VjcmV0", "a:c2VjcmV0"] {
        assert!(!refused(text).to_string().contains("c2VjcmV0"));
    }
}

#[test]
fn nothing_secret_is_printed() {
    let vault = vault(&["a", "b"]);
    let (key, _) = vault.make(tenant(1), rng(1)).unwrap();
    assert_eq!(format!("{vault:?} {key:?}"), r#"["a", "b"] DataKey"#);
}

//! Opaque cursors: where a list goes on, and of which list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Code, Error, Result, fault};

const VERSION: u8 = 1;

/// A cursor of the list with these filters, after the row `last`.
pub(crate) fn write(filters: &[&str], last: Uuid) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(digest(filters));
    bytes.extend(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The row after which the list with these filters goes on.
pub(crate) fn read(filters: &[&str], cursor: &str) -> Result<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    match bytes.split_first_chunk::<9>() {
        Some((head, id)) if head[0] == VERSION && head[1..] == digest(filters) => {
            Uuid::from_slice(id).map_err(|_| foreign())
        }
        _ => Err(foreign()),
    }
}

/// Rows to read for a page of so many: one more tells whether there is another page.
pub(crate) fn fetch(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts what was read for a page down to it. The cursor of the next one, if there is one.
pub(crate) fn cut<T>(
    filters: &[&str],
    rows: &mut Vec<T>,
    limit: usize,
    id: impl Fn(&T) -> Uuid,
) -> Option<String> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last()
        .filter(|_| more)
        .map(|last| write(filters, id(last)))
}

fn foreign() -> Error {
    let message = "is not a cursor that this list gave with the same filters";
    Error::new(Code::InvalidCursor, format!("cursor {message}")).with(vec![fault(
        "cursor",
        "invalid_cursor",
        message,
    )])
}

fn digest(filters: &[&str]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for filter in filters {
        hash.update((filter.len() as u64).to_be_bytes());
        hash.update(filter.as_bytes());
    }
    let whole: [u8; 32] = hash.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&whole[..8]);
    first
}

#[cfg(test)]
mod tests {
    use super::{cut, fetch, read, write};
    use uuid::Uuid;

    #[test]
    fn a_page_has_a_next_one_if_more_was_read() {
        let cut = |n: u128, limit| {
            let mut rows: Vec<Uuid> = (1..=n).map(Uuid::from_u128).collect();
            let next = cut(&["jobs"], &mut rows, limit, |id| *id);
            (
                rows.len(),
                next.map(|next| read(&["jobs"], &next).unwrap().as_u128()),
            )
        };
        assert_eq!(fetch(2), 3);
        assert_eq!(cut(0, 2), (0, None));
        assert_eq!(cut(2, 2), (2, None));
        assert_eq!(cut(3, 2), (2, Some(2)));
    }

    #[test]
    fn a_cursor_belongs_to_one_list() {
        let id = Uuid::from_u128(77);
        let cursor = write(&["jobs", "failed", ""], id);
        assert_eq!(read(&["jobs", "failed", ""], &cursor).unwrap(), id);
        for other in [
            &["jobs", "", "failed"][..],
            &["jobs", "failed"],
            &["groups"],
        ] {
            assert!(read(other, &cursor).is_err());
        }
        for broken in ["", "!", "AA", &cursor[1..], &format!("{cursor}A")] {
            assert!(read(&["jobs", "failed", ""], broken).is_err(), "{broken}");
        }
    }
}

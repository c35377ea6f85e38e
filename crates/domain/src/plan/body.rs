//! The exact form of a create's body, and so its exact length before a byte
//! of it is sent.
//!
//! `{"requests":[{"custom_id":"…","params":…},…]}`, with each job's params
//! passed on byte for byte and no white space of ours.

use crate::id::CustomId;

/// What the body begins with.
pub const OPEN: &str = r#"{"requests":["#;
/// What each item begins with; the custom id follows.
pub const ITEM_OPEN: &str = r#"{"custom_id":""#;
/// What stands between the custom id and the params.
pub const ITEM_PARAMS: &str = r#"","params":"#;
/// What each item ends with.
pub const ITEM_CLOSE: &str = "}";
/// What stands between two items.
pub const COMMA: &str = ",";
/// What the body ends with.
pub const CLOSE: &str = "]}";

/// Bytes of the body that one item takes beside its params, comma included.
pub const ITEM_OVERHEAD: u64 =
    (ITEM_OPEN.len() + CustomId::LEN + ITEM_PARAMS.len() + ITEM_CLOSE.len() + COMMA.len()) as u64;

/// The length of the body with so many items, whose params have `params_bytes`
/// together. Pinned at the greatest number rather than wrapped.
pub const fn body_len(items: u64, params_bytes: u64) -> u64 {
    let frame = (OPEN.len() + CLOSE.len()) as u64;
    // One comma fewer than items.
    let items = ITEM_OVERHEAD
        .saturating_mul(items)
        .saturating_sub(COMMA.len() as u64);
    frame.saturating_add(items).saturating_add(params_bytes)
}

#[cfg(test)]
mod tests {
    use super::{CLOSE, COMMA, ITEM_CLOSE, ITEM_OPEN, ITEM_PARAMS, OPEN, body_len};
    use crate::id::{BatchId, CustomId, JobId};
    use proptest::prelude::*;
    use uuid::Uuid;

    fn body(params: &[String]) -> String {
        let items: Vec<String> = (0_u128..)
            .zip(params)
            .map(|(n, params)| {
                let job = JobId::from_uuid(Uuid::from_u128(n));
                let custom_id = CustomId {
                    job,
                    batch: BatchId::from_uuid(Uuid::max()),
                };
                format!("{ITEM_OPEN}{custom_id}{ITEM_PARAMS}{params}{ITEM_CLOSE}")
            })
            .collect();
        format!("{OPEN}{}{CLOSE}", items.join(COMMA))
    }

    #[test]
    fn the_form() {
        insta::assert_snapshot!(body(&["{}".into(), "{\"a\":1}".into()]), @r#"{"requests":[{"custom_id":"o1_00000000000000000000000000_7zzzzzzzzzzzzzzzzzzzzzzzzz","params":{}},{"custom_id":"o1_00000000000000000000000001_7zzzzzzzzzzzzzzzzzzzzzzzzz","params":{"a":1}}]}"#);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_length_is_exact(numbers in prop::collection::vec(any::<u64>(), 0..20)) {
            let params: Vec<String> = numbers.iter().map(|n| format!("{{\"a\":{n}}}")).collect();
            let bytes: usize = params.iter().map(String::len).sum();
            let body = body(&params);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
            prop_assert_eq!(body_len(params.len() as u64, bytes as u64), body.len() as u64);
        }
    }
}

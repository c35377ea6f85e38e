//! 128 bits as 26 characters of lowercase Crockford base32, most significant
//! first. 26 × 5 is 130, so the first character is at most `7`.

use uuid::Uuid;

/// Characters in the text.
pub(super) const LEN: usize = 26;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The text of one id, without its prefix.
pub(super) struct Text([u8; LEN]);

impl Text {
    pub(super) fn as_str(&self) -> &str {
        // Only bytes of ALPHABET are ever stored.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

pub(super) fn encode(uuid: Uuid) -> Text {
    let mut bits = uuid.as_u128();
    let mut text = [0; LEN];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    Text(text)
}

/// The bits, or `None` unless the text is what [`encode`] gives for some.
pub(super) fn decode(text: &str) -> Option<Uuid> {
    if text.len() != LEN || text.as_bytes()[0] > b'7' {
        return None;
    }
    let mut bits = 0_u128;
    for byte in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == byte)?;
        bits = bits << 5 | value as u128;
    }
    Some(Uuid::from_u128(bits))
}

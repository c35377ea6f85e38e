//! What goes out with somebody who signs in by an identity server, and must come back.
//!
//! All of it follows from one secret, which is in a cookie of that browser and nowhere
//! else. So what is stored of a sign-in that is under way (the secret's hash) opens
//! nothing, and whoever comes back proves by the cookie that they went.

use sha2::{Digest, Sha256};

use crate::audit::hex;
use crate::secret::SignInSecret;

/// For the address to which the browser goes: compared when it comes back.
pub fn state(secret: &SignInSecret) -> String {
    derived(secret, "state")
}

/// For the ID token.
pub fn nonce(secret: &SignInSecret) -> String {
    derived(secret, "nonce")
}

/// For the one who redeems the code (PKCE): 64 characters, of which the browser takes the
/// hash along.
pub fn verifier(secret: &SignInSecret) -> String {
    derived(secret, "verifier")
}

/// Whether a state that came back is the one that went. In a time that tells nothing of
/// where they differ: what is compared are hashes.
pub fn came_back(secret: &SignInSecret, with: &str) -> bool {
    let hash = |text: &str| -> [u8; 32] { Sha256::digest(text.as_bytes()).into() };
    hash(&state(secret)) == hash(with)
}

/// One is not to be had from another: SHA-256 goes one way, and the secret has 190 bits.
fn derived(secret: &SignInSecret, purpose: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"offpeak.signin.1.");
    hash.update(purpose.as_bytes());
    hash.update([0]);
    hash.update(secret.expose().as_bytes());
    hex(&hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::{came_back, nonce, state, verifier};
    use crate::secret::SignInSecret;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn each_is_another_and_fit_for_its_place() {
        let secret = SignInSecret::generate(StdRng::seed_from_u64(1));
        let other = SignInSecret::generate(StdRng::seed_from_u64(2));
        let all = |secret| [state(secret), nonce(secret), verifier(secret)];
        assert_eq!(all(&secret), all(&secret));
        let mut texts = [all(&secret), all(&other)].concat();
        assert!(texts.iter().all(|text| text.len() == 64));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 6);
        assert!(
            texts
                .iter()
                .all(|text| !text.contains(&secret.expose()[11..]))
        );
    }

    #[test]
    fn only_the_state_that_went_comes_back() {
        let secret = SignInSecret::generate(StdRng::seed_from_u64(1));
        let other = SignInSecret::generate(StdRng::seed_from_u64(2));
        assert!(came_back(&secret, &state(&secret)));
        for wrong in [&state(&other), &nonce(&secret), "", &state(&secret)[1..]] {
            assert!(!came_back(&secret, wrong));
        }
    }
}

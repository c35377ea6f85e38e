//! What goes wrong with an identity server.

use openidconnect::core::CoreErrorResponseType;
use openidconnect::{
    ClaimsVerificationError, DiscoveryError, RequestTokenError, SignatureVerificationError,
    StandardErrorResponse, UserInfoError,
};

/// Why nobody was identified. None of it holds what the server sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error("{setting} {why}")]
    Setting {
        /// Its name in the section `[oidc]`.
        setting: &'static str,
        /// What is wrong, as the end of a sentence that begins with the name.
        why: String,
    },
    /// It does not answer, or not within the time.
    #[error("the identity server does not answer ({what})")]
    Unavailable {
        /// Which call failed, and how: a status or a word.
        what: String,
    },
    /// What it says of itself cannot be used: another issuer, something missing.
    #[error("the identity server's own description cannot be used: {why}")]
    Description {
        /// What is wrong with it.
        why: String,
    },
    /// It does not know us: the client's id or secret is wrong.
    #[error("the identity server refuses the client: check client_id and client_secret in [oidc]")]
    Client,
    /// It does not take the code: used before, too old, or not for us.
    #[error("the identity server does not take the code any more")]
    Code,
    /// What it sent does not prove who somebody is.
    #[error("what the identity server sent proves nothing: {0}")]
    Unproven(Unproven),
    /// As many people as may are being identified at this moment.
    #[error("too many people are signing in at once")]
    Busy,
}

/// Why an ID token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Its time is over, or not there yet, by more than a minute.
    #[error("its time is over or has not come, so the clock here or there may be wrong")]
    Time,
    /// It belongs to another sign-in.
    #[error("it belongs to another sign-in")]
    Nonce,
    /// Nobody signed it whose key the server publishes.
    #[error("its signature is not the server's")]
    Signature,
    /// It is meant for somebody else.
    #[error("it is meant for another client")]
    Audience,
    /// It is another server's.
    #[error("it is another server's")]
    Issuer,
    /// There is none, or it cannot be read.
    #[error("it is missing or cannot be read")]
    Form,
}

type Refusal = StandardErrorResponse<CoreErrorResponseType>;

impl Error {
    pub(crate) fn of_discovery<E: std::error::Error>(error: DiscoveryError<E>) -> Self {
        match error {
            DiscoveryError::Request(error) => Self::unavailable("discovery", &error),
            DiscoveryError::Response(status, ..) => Self::answered("discovery", status.as_u16()),
            // These messages are the library's, with a place in the document at most.
            DiscoveryError::Parse(error) => Self::description(error.path().to_string()),
            DiscoveryError::UrlParse(_) => Self::description("its address".to_owned()),
            DiscoveryError::Validation(why) | DiscoveryError::Other(why) => Self::description(why),
            _ => Self::description("something new".to_owned()),
        }
    }

    pub(crate) fn of_token<E: std::error::Error>(error: RequestTokenError<E, Refusal>) -> Self {
        match error {
            RequestTokenError::Request(error) => Self::unavailable("token", &error),
            RequestTokenError::ServerResponse(refusal) => match refusal.error() {
                CoreErrorResponseType::InvalidClient
                | CoreErrorResponseType::UnauthorizedClient => Self::Client,
                CoreErrorResponseType::InvalidGrant => Self::Code,
                other => Self::Unavailable {
                    what: format!("token: {}", known(other)),
                },
            },
            RequestTokenError::Parse(..) => Self::Unproven(Unproven::Form),
            RequestTokenError::Other(_) => Self::Unavailable {
                what: "token: an answer without a body".to_owned(),
            },
        }
    }

    pub(crate) fn of_user_info<E: std::error::Error>(error: UserInfoError<E>) -> Self {
        match error {
            UserInfoError::Request(error) => Self::unavailable("userinfo", &error),
            UserInfoError::Response(status, ..) => Self::answered("userinfo", status.as_u16()),
            UserInfoError::ClaimsVerification(error) => Self::of_claims(&error),
            _ => Self::Unproven(Unproven::Form),
        }
    }

    pub(crate) fn of_claims(error: &ClaimsVerificationError) -> Self {
        use ClaimsVerificationError as Wrong;
        Self::Unproven(match error {
            Wrong::Expired(_) | Wrong::InvalidAuthTime(_) => Unproven::Time,
            Wrong::InvalidNonce(_) => Unproven::Nonce,
            Wrong::SignatureVerification(_) => Unproven::Signature,
            Wrong::InvalidAudience(_) => Unproven::Audience,
            Wrong::InvalidIssuer(_) => Unproven::Issuer,
            _ => Unproven::Form,
        })
    }

    pub(crate) fn setting(setting: &'static str, why: impl Into<String>) -> Self {
        Self::Setting {
            setting,
            why: why.into(),
        }
    }

    fn description(why: String) -> Self {
        Self::Description { why }
    }

    fn answered(call: &str, status: u16) -> Self {
        Self::Unavailable {
            what: format!("{call}: status {status}"),
        }
    }

    fn unavailable(call: &str, error: &dyn std::error::Error) -> Self {
        Self::Unavailable {
            what: format!("{call}: {error}"),
        }
    }
}

/// Whether the server may have new keys that would prove it.
pub(crate) fn may_be_rotated(error: &ClaimsVerificationError) -> bool {
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey
                | SignatureVerificationError::AmbiguousKeyId(_)
                | SignatureVerificationError::CryptoError(_)
        )
    )
}

/// A word of the specification; what else a server may send is not repeated.
fn known(error: &CoreErrorResponseType) -> &'static str {
    match error {
        CoreErrorResponseType::InvalidRequest => "invalid_request",
        CoreErrorResponseType::InvalidScope => "invalid_scope",
        CoreErrorResponseType::UnsupportedGrantType => "unsupported_grant_type",
        _ => "an error of its own",
    }
}

//! What only a person can mend: how long it pauses an upstream, and what the
//! operator reads. Creates write their pauses down with their batch; what other
//! calls meet, and what goes well, is gathered here and written after the tick.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use offpeak_anthropic::Error as CallError;
use offpeak_anthropic::disposition::{self, Reading, of_read};
use offpeak_store::pause::{self, Pause};
use offpeak_store::upstream_key::check;

use crate::Result;
use crate::worker::Setting;

/// The call that creates; its pauses are written down with its batch.
pub(crate) const CREATE: &str = "create";
/// Calls of which nothing is gathered when they meet trouble: creates, and what
/// is not called again by itself, so that it could not end a pause.
const UNTOLD: [&str; 3] = [CREATE, "cancel", "prime"];
/// From a read that met such trouble to the next one of its kind: it costs
/// nothing, and shows that the trouble is over.
pub(crate) const READ_AGAIN: Duration = Duration::from_mins(5);
/// How long such a read keeps creates back: until the next one has said more.
const READ_PAUSE: Duration = Duration::from_mins(10);

/// How the calls of one upstream went that nobody has written down yet, by name.
#[derive(Debug, Default)]
pub(crate) struct News(Mutex<BTreeMap<&'static str, Option<disposition::Pause>>>);

impl News {
    /// Remembers what this answer says about a pause, if anything.
    pub(crate) fn note<T>(&self, call: &'static str, answer: &std::result::Result<T, CallError>) {
        let met = match answer {
            Ok(_) => None,
            Err(error) => match of_read(error) {
                Reading::Paused(pause) if !UNTOLD.contains(&call) => Some(pause),
                _ => return,
            },
        };
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        news.insert(call, met);
    }

    fn take(&self) -> BTreeMap<&'static str, Option<disposition::Pause>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes down what the calls of all upstreams have said. What is lost with a
/// failure here, the next call of that name says again.
pub(crate) async fn write_down(setting: &Setting) -> Result<()> {
    for upstream in setting.upstreams().iter() {
        let news = upstream.news().map(News::take).unwrap_or_default();
        if news.is_empty() {
            continue;
        }
        let now = setting.clock.now().await?;
        let well: Vec<&'static str> = news
            .iter()
            .filter_map(|(call, met)| met.is_none().then_some(*call))
            .collect();
        if well.contains(&CREATE) {
            pause::accepted(&setting.system, upstream.id).await?;
        }
        if !well.is_empty() && pause::went_well(&setting.system, upstream.id, &well, now).await? {
            tracing::info!(upstream = %upstream.id, "the pause is over: batches are sent again");
        }
        if !well.is_empty() && upstream.owner().is_some() {
            check::answered(&setting.system, upstream.id, now).await?;
        }
        for (by, met) in news {
            let Some(met) = met else { continue };
            let reason = in_words(met, upstream.owner().is_some());
            tracing::error!(upstream = %upstream.id, call = by, reason, "upstream paused");
            let found = Pause {
                by,
                reason,
                at: now,
                until: now + READ_PAUSE,
            };
            pause::pause(&setting.system, upstream.id, &found).await?;
        }
    }
    Ok(())
}

/// From a refused create to the next try.
pub(crate) fn how_long(pause: disposition::Pause) -> Duration {
    use disposition::Pause;
    match pause {
        Pause::SpendLimit | Pause::Billing | Pause::Hold => Duration::from_hours(1),
        Pause::Authentication | Pause::Permission => Duration::from_mins(5),
    }
}

/// What is read beside a paused upstream: by the operator, or by the tenant if it is one's
/// own.
pub(crate) fn in_words(pause: disposition::Pause, owned: bool) -> &'static str {
    use disposition::Pause;
    match pause {
        Pause::Authentication if owned => {
            "Anthropic does not accept the API key, which may be revoked or expired: set a valid \
             one in the settings, or with PUT /v1/upstream"
        }
        Pause::Permission if owned => {
            "the API key may not use message batches: set one that may, in the settings or with \
             PUT /v1/upstream"
        }
        Pause::SpendLimit if owned => {
            "a spend limit at Anthropic is reached: raise it; offpeak tries again every hour"
        }
        Pause::SpendLimit => {
            "a spend limit at Anthropic is reached: raise it; offpeak tries again every hour, and \
             at a restart"
        }
        Pause::Authentication => {
            "Anthropic does not accept the API key: set a valid one and restart offpeak"
        }
        Pause::Permission => {
            "the API key may not use message batches, or ANTHROPIC_BASE_URL is wrong"
        }
        Pause::Billing => {
            "Anthropic reports a payment problem: settle it; offpeak tries again every hour"
        }
        Pause::Hold => "the Anthropic organization is on hold: ask Anthropic's support",
    }
}

/// The same when it is only guessed, from batches that were refused in a row.
pub(crate) const REFUSED: &str = "Anthropic refuses one batch after the other, even such of a single job: is the account in \
     order, and the base URL right? If it is the jobs, cancel them; offpeak tries again every \
     quarter of an hour";

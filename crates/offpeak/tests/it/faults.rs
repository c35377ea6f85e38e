//! What the tests let go wrong at the stand-in.

use offpeak_standin::{CreateStatus, Faults};

/// So many creates are answered with this status and stored nothing. What is
/// answered with 502 is a gateway's page.
pub(crate) fn refusal(status: u16, times: u32) -> Faults {
    Faults {
        create_status: Some(CreateStatus {
            status,
            stored: false,
            times,
            retry_after: None,
            code: None,
            html: status == 502,
        }),
        ..Faults::default()
    }
}

/// So many creates are stored and get no answer.
pub(crate) fn dropped(times: u32) -> Faults {
    Faults {
        drop_create_answer: Some(times),
        ..Faults::default()
    }
}

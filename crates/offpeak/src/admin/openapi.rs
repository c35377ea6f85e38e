//! `offpeak openapi`: the document that is committed as `docs/openapi.json`.

use crate::exit::{Ended, Exit};
use crate::output::Output;

pub(super) fn run(output: Output) -> Ended {
    output.value(&offpeak_api::openapi())?;
    Ok(Exit::Ok)
}

//! `offpeak migrate`.

use offpeak_store::System;
use serde_json::json;

use super::{database, store};
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::Output;
use crate::seed;

pub(super) async fn run(config: &Config, output: Output) -> Ended {
    let options = store(config).map_err(Failure::usage)?;
    let done = offpeak_store::migrate(&options.connect)
        .await
        .map_err(database)?;
    seed::job_types(&System::new(&options))
        .await
        .map_err(database)?;
    if output.json {
        output.value(&json!({ "version": done.version, "applied": done.applied }))?;
    } else if done.version > offpeak_store::schema_version() {
        output.line(&format!(
            "the database is at version {}, which a newer program made; nothing is to be done",
            done.version,
        ))?;
    } else {
        output.line(&format!(
            "the database is at version {}; {} migration{} applied",
            done.version,
            done.applied,
            if done.applied == 1 { "" } else { "s" }
        ))?;
    }
    Ok(Exit::Ok)
}

//! `offpeak doctor --invariants`: what must always hold of the rows.

use offpeak_store::System;
use offpeak_store::invariants::{self, Checked};
use serde_json::json;

use super::PATIENCE;
use crate::admin::{database, store};
use crate::config::Config;
use crate::exit::{Ended, Exit, Failure};
use crate::output::Output;
use crate::reach;

/// Checks all of them on one snapshot, whoever works on the database meanwhile.
pub(super) async fn run(config: &Config, output: Output) -> Ended {
    let mut options = store(config).map_err(Failure::usage)?;
    options.acquire_timeout = PATIENCE;
    reach::database(&options)
        .await
        .map_err(|error| Failure::server(anyhow::Error::msg(error)))?;
    let system = System::new(&options);
    let checking = async {
        reach::schema(&system).await.map_err(Failure::server)?;
        let now = system.now().await.map_err(database)?;
        invariants::check(&system, now).await.map_err(database)
    };
    let checked = checking.await;
    system.close().await;
    let checked = checked?;

    let violations: u64 = checked.iter().map(|check| check.broken).sum();
    if output.json {
        let checks: Vec<_> = checked
            .iter()
            .map(|check| {
                json!({
                    "name": check.name,
                    "invariant": check.number,
                    "holds": check.says,
                    "broken": check.broken,
                    "sample": check.sample,
                })
            })
            .collect();
        output.value(&json!({ "violations": violations, "checks": checks }))?;
    } else {
        for check in &checked {
            output.line(&line(check))?;
        }
    }
    Ok(if violations == 0 {
        Exit::Ok
    } else {
        Exit::SomeFailed
    })
}

/// How one stands, for a person.
fn line(check: &Checked) -> String {
    let mark = match check.broken {
        0 => "ok".to_owned(),
        n => format!("BROKEN {n}"),
    };
    let line = format!(
        "{mark:<10}  {:<5}  {:<18}  {}",
        check.number, check.name, check.says
    );
    match check.sample.as_slice() {
        [] => line,
        ids => format!("{line}: not so for {}", ids.join(", ")),
    }
}

//! `offpeak groups`: a list, or one group.

use offpeak_wire::Group;

use super::http::{Client, escape};
use super::progress::states;
use super::{ids, pretend};
use crate::exit::{Ended, Exit};
use crate::output::{Output, count, moment, sums};

/// Arguments of `groups`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `grp_…`: show this one
    #[arg(conflicts_with = "limit")]
    id: Option<String>,
    /// At most so many, newest first
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

pub(super) async fn run(args: Args, client: &Client, output: Output) -> Ended {
    if let Some(id) = &args.id {
        ids::group(id)?;
        let group: Group = client.get(&format!("/v1/groups/{}", escape(id))).await?;
        show(&group, output)?;
        if !output.json {
            pretend::ask(client, output).await?;
        }
        return Ok(Exit::Ok);
    }
    let groups: Vec<Group> = client.list("/v1/groups", &[], args.limit).await?;
    if output.json {
        output.value(&groups)?;
        return Ok(Exit::Ok);
    }
    if groups.is_empty() {
        output.talk("no groups");
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let [cost, _, saved] = sums(&group.cost, &group.cost_sync, &group.saved);
            vec![
                group.id.clone(),
                group.name.clone().unwrap_or_default(),
                moment(group.created_at),
                count(group.jobs),
                cost,
                saved,
                states(group),
            ]
        })
        .collect();
    output.table(
        &[
            "GROUP",
            "NAME",
            "CREATED (UTC)",
            ">JOBS",
            ">COST",
            ">SAVED",
            "STATES",
        ],
        &rows,
    )?;
    pretend::ask(client, output).await?;
    Ok(Exit::Ok)
}

fn show(group: &Group, output: Output) -> std::io::Result<()> {
    if output.json {
        return output.value(group);
    }
    let [cost, sync, saved] = sums(&group.cost, &group.cost_sync, &group.saved);
    let unpriced = match group.unpriced {
        0 => String::new(),
        some => format!("{} attempts; no amount has them in it", count(some)),
    };
    let rows = [
        ("group", group.id.clone()),
        ("name", group.name.clone().unwrap_or_default()),
        ("created", moment(group.created_at)),
        ("jobs", count(group.jobs)),
        ("states", states(group)),
        ("done", if group.done { "yes" } else { "no" }.to_owned()),
        (
            "tokens",
            format!(
                "{} in, {} out",
                count(group.usage.input_tokens),
                count(group.usage.output_tokens)
            ),
        ),
        ("cost", cost),
        ("synchronously", sync),
        ("saved", saved),
        ("no price", unpriced),
    ];
    output.pairs(&rows)
}

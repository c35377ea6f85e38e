//! The estimate as a page of text: what was, what would be, and why.

use offpeak_domain::money::Pico;

use super::report::{Report, percent, requests};
use crate::output::column::{amounts, steps};
use crate::output::{Output, count};

/// A name, an amount, and its share of what it is compared with.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) amount: String,
    pub(super) share: String,
    /// The same as a number of tenths of a percent, for a bar.
    pub(super) permille: i128,
    /// Whether it is one of ours.
    pub(super) ours: bool,
}

/// What both pages say.
pub(super) struct Content {
    pub(super) about: String,
    pub(super) headline: String,
    pub(super) lanes: Vec<Item>,
    pub(super) savings: Vec<Item>,
    pub(super) models: Vec<[String; 6]>,
    pub(super) notes: Vec<String>,
}

/// Columns of the models.
pub(super) const MODELS: [&str; 6] = [
    "MODEL",
    ">REQUESTS",
    ">INPUT",
    ">OUTPUT",
    ">SYNCHRONOUS",
    ">OFFPEAK",
];

impl Content {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            about: about(report),
            headline: headline(report),
            lanes: lanes(report),
            savings: savings(report),
            models: models(report),
            notes: notes(report),
        }
    }
}

/// Prints it.
pub(super) fn print(report: &Report, output: Output) -> std::io::Result<()> {
    let content = Content::of(report);
    output.line(&content.about)?;
    output.line(&format!("\n{}\n", content.headline))?;
    let rows = |items: &[Item]| -> Vec<Vec<String>> {
        let row = |item: &Item| vec![item.name.clone(), item.amount.clone(), item.share.clone()];
        items.iter().map(row).collect()
    };
    output.table(&["LANE", ">COST", ">SHARE"], &rows(&content.lanes))?;
    output.line("")?;
    output.table(&["WHAT SAVES", ">SAVED", ">SHARE"], &rows(&content.savings))?;
    if content.models.len() > 1 {
        let rows: Vec<Vec<String>> = content.models.iter().map(|row| row.to_vec()).collect();
        output.line("")?;
        output.table(&MODELS, &rows)?;
    }
    output.line("\nWhat this assumes:")?;
    for line in content.notes.iter().chain(&report.assumptions) {
        output.line(&format!("- {line}"))?;
    }
    Ok(())
}

fn about(report: &Report) -> String {
    let days = match (&report.from, &report.to) {
        (Some(from), Some(to)) if from == to => format!(" of {from}"),
        (Some(from), Some(to)) => format!(" from {from} to {to}"),
        _ => String::new(),
    };
    let urgent = match report.urgent_percent {
        0 => String::new(),
        urgent => format!(", {urgent} % urgent"),
    };
    format!(
        "{}{days}: {} tokens in, {} out{urgent}",
        requests(report.requests),
        count(report.input_tokens),
        count(report.output_tokens)
    )
}

fn headline(report: &Report) -> String {
    let (base, middle) = (report.base(), report.middle().cost);
    let shown = amounts(&[base, middle]);
    let (is, was) = if report.logged == report.requests {
        ("It cost", "would cost")
    } else {
        ("It costs", "costs")
    };
    let saved = base - middle;
    let less = match saved.0 {
        0 => "the same".to_owned(),
        1.. => format!("{} less", percent(saved, base)),
        _ => format!("{} more", percent(-saved, base)),
    };
    format!(
        "{is} {} synchronously. Through offpeak it {was} about {}: {less}.",
        shown[0], shown[1]
    )
}

fn lanes(report: &Report) -> Vec<Item> {
    let costs = &report.lanes;
    let mut list = Vec::new();
    if let Some(logged) = costs.logged.filter(|logged| *logged != costs.sync) {
        list.push(("Synchronously, as logged".to_owned(), logged, false));
    }
    list.push((
        "Synchronously, without caching".to_owned(),
        costs.sync,
        false,
    ));
    list.push((
        "Synchronously, with caching at its best".to_owned(),
        costs.sync_cached,
        false,
    ));
    list.push((
        "Message batches, without caching".to_owned(),
        costs.batch,
        false,
    ));
    if report.caches() {
        for (hits, word) in costs.offpeak.iter().zip(["few", "some", "many"]) {
            let name = format!(
                "Through offpeak, {word} cache hits ({} %)",
                hits.hit_percent
            );
            list.push((name, hits.cost, true));
        }
    } else {
        list.push(("Through offpeak".to_owned(), report.middle().cost, true));
    }
    let shown = amounts(
        &list
            .iter()
            .map(|(_, amount, _)| *amount)
            .collect::<Vec<_>>(),
    );
    let of_all = |((name, amount, ours), shown): ((String, Pico, bool), String)| Item {
        name,
        share: percent(amount, report.base()),
        permille: permille(amount, report.base()),
        amount: shown,
        ours,
    };
    list.into_iter().zip(shown).map(of_all).collect()
}

/// What makes the difference between the synchronous price and ours. The
/// amounts are rounded so that they still add up.
fn savings(report: &Report) -> Vec<Item> {
    let middle = report.middle();
    let parts = [
        (
            "Half the token price, in batches".to_owned(),
            middle.saved.batch,
        ),
        (
            format!(
                "{} cached for {}",
                many(report.prefixes, "shared prefix", "shared prefixes"),
                requests(report.sharing)
            ),
            middle.saved.cache,
        ),
        (
            format!("{} equal to others, paid once", requests(report.repeated)),
            middle.saved.duplicates,
        ),
    ];
    let mut upto = vec![middle.cost];
    for (_, part) in &parts {
        upto.push(upto[upto.len() - 1] + *part);
    }
    let each = steps(&upto);
    let item = |((name, part), amount): ((String, Pico), String)| Item {
        name,
        amount,
        share: percent(part, report.lanes.sync),
        permille: permille(part, report.lanes.sync),
        ours: true,
    };
    let said = parts
        .into_iter()
        .zip(each)
        .filter(|((_, part), _)| part.0 != 0);
    let mut items: Vec<Item> = said.map(item).collect();
    let saved = report.lanes.sync - middle.cost;
    items.push(Item {
        name: "Together, against synchronously without caching".to_owned(),
        amount: steps(&[middle.cost, report.lanes.sync]).concat(),
        share: percent(saved, report.lanes.sync),
        permille: permille(saved, report.lanes.sync),
        ours: true,
    });
    items
}

fn models(report: &Report) -> Vec<[String; 6]> {
    let row = |one: &super::report::ModelCosts| {
        let base = one.lanes.logged.unwrap_or(one.lanes.sync);
        let [sync, ours] = [base, one.lanes.offpeak[1].cost].map(Pico::to_rounded_string);
        [
            one.model.clone(),
            count(one.requests),
            count(one.input_tokens),
            count(one.output_tokens),
            sync,
            ours,
        ]
    };
    report.models.iter().map(row).collect()
}

/// What is not in the sums.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if !report.unknown_models.is_empty() {
        let each = report.unknown_models.iter();
        let each = each.map(|one| format!("{} ({})", one.model, count(one.requests)));
        notes.push(format!(
            "NOT PRICED, since no price is known for their model: {}.",
            each.collect::<Vec<_>>().join(", ")
        ));
    }
    if report.left_out > 0 {
        notes.push(format!(
            "LEFT OUT, since they could not be read: {}.",
            many(report.left_out, "line or file", "lines or files")
        ));
    }
    if report.unbilled > 0 {
        notes.push(format!(
            "{} ended in an error, which is billed to nobody.",
            many(report.unbilled, "call", "calls")
        ));
    }
    notes
}

fn many(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { more })
}

fn permille(part: Pico, whole: Pico) -> i128 {
    (part.0 * 1_000).checked_div(whole.0).unwrap_or(0)
}

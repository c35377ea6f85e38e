//! The list of jobs under every filter and every pair of filters, page by page,
//! beside a full scan in this test's own words.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use offpeak_domain::id::{GroupId, JobId, Minter, TenantId};
use offpeak_domain::job::State;
use offpeak_store::list::{self, Bounds, Filter};
use offpeak_testkit::world::World;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// The rows, one statement after the other.
const ROWS: &str = include_str!("lists.sql");

/// All that is known of a job, as text: whose, which, group unless it is only
/// being staged, type, user, model, result, whether it waits, and the state of
/// the batch in which it is.
const FACTS: &str = "
    SELECT concat_ws('|', j.tenant_id, j.id, coalesce(j.group_id::text, '-'),
                     CASE WHEN g.id IS NULL OR g.opened_at IS NOT NULL THEN 'there' ELSE 'staged' END,
                     coalesce(j.type, '-'), coalesce(j.user_label, '-'), j.model,
                     coalesce(r.outcome, '-'), CASE WHEN q.id IS NULL THEN '-' ELSE 'waits' END,
                     coalesce(b.state, '-'))
      FROM offpeak.job j
      LEFT JOIN offpeak.job_group g ON g.id = j.group_id AND g.tenant_id = j.tenant_id
      LEFT JOIN offpeak.result r ON r.id = j.id
      LEFT JOIN offpeak.ready q ON q.id = j.id
      LEFT JOIN offpeak.inflight i ON i.id = j.id
      LEFT JOIN offpeak.batch b ON b.id = i.batch_id AND b.tenant_id = i.tenant_id
     ORDER BY j.id DESC";

/// One job, as the scan sees it.
struct Fact {
    tenant: TenantId,
    id: JobId,
    state: State,
    group: Option<GroupId>,
    job_type: Option<String>,
    user: Option<String>,
    model: String,
}

impl Fact {
    /// None for one that is not there yet.
    fn read(line: &str) -> Result<Option<Self>> {
        let parts: Vec<&str> = line.split('|').collect();
        let [
            tenant,
            id,
            group,
            there,
            job_type,
            user,
            model,
            result,
            waits,
            batch,
        ] = parts[..]
        else {
            anyhow::bail!("{line}");
        };
        if there == "staged" {
            return Ok(None);
        }
        let word = |word: &str| (word != "-").then(|| word.to_owned());
        let state = match (result, waits, batch) {
            ("-", "waits", "-") => State::Queued,
            ("-", "-", "planned" | "sending" | "uncertain" | "refuted" | "rejected") => {
                State::Queued
            }
            ("-", "-", "in_progress" | "canceling") => State::Submitted,
            ("-", "-", "ended") => State::Processing,
            ("completed", "-", "-") => State::Completed,
            ("failed", "-", "-") => State::Failed,
            ("canceled", "-", _) => State::Canceled,
            _ => anyhow::bail!("stands nowhere: {line}"),
        };
        let group = word(group).map(|group| group.parse().map(GroupId::from_uuid));
        Ok(Some(Self {
            tenant: TenantId::from_uuid(tenant.parse()?),
            id: JobId::from_uuid(id.parse()?),
            state,
            group: group.transpose()?,
            job_type: word(job_type),
            user: word(user),
            model: model.to_owned(),
        }))
    }

    fn fits(&self, filter: &Filter) -> bool {
        let says = |wanted: &Option<String>, has: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| has == Some(wanted))
        };
        (filter.states.is_empty() || filter.states.contains(&self.state))
            && filter.group.is_none_or(|group| self.group == Some(group))
            && says(&filter.job_type, self.job_type.as_ref())
            && says(&filter.user, self.user.as_ref())
            && says(&filter.model, Some(&self.model))
    }
}

async fn filled() -> Result<(World, TenantId, Vec<Fact>)> {
    let world = World::new().await?;
    let mut tx = world.system.begin().await?;
    let other: TenantId = Minter::new(tx.now(), StdRng::seed_from_u64(4)).mint();
    offpeak_store::tenant::create(&mut tx, other, "globex").await?;
    tx.commit().await?;
    for statement in ROWS.split(";\n\n") {
        world.meddle(statement).await.context(statement)?;
    }
    let mut facts = Vec::new();
    for line in world.texts(FACTS).await? {
        facts.extend(Fact::read(&line)?);
    }
    Ok((world, other, facts))
}

/// The values of each filter: common, rare, none at all, and another tenant's.
fn values(facts: &[Fact]) -> Result<[Vec<Filter>; 5]> {
    let one = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let words = |words: &[&str], change: &dyn Fn(&mut Filter, Option<String>)| {
        let each = words
            .iter()
            .map(|word| one(&|f| change(f, Some((*word).to_owned()))));
        each.collect::<Vec<_>>()
    };
    let mut states: Vec<Vec<State>> = State::ALL.iter().map(|state| vec![*state]).collect();
    states.push(vec![State::Queued, State::Failed]);
    states.push(vec![State::Canceled, State::Failed]);
    states.push(vec![State::Submitted, State::Processing, State::Completed]);
    states.push(State::ALL.to_vec());
    let mut groups: BTreeSet<GroupId> = facts.iter().filter_map(|fact| fact.group).collect();
    for id in [
        // Nobody's, one that is being staged, one that was refused.
        "01920007-0000-7000-8000-000000000001",
        "01920003-0000-7000-8000-000000000001",
        "01920004-0000-7000-8000-000000000001",
    ] {
        groups.insert(GroupId::from_uuid(id.parse()?));
    }
    Ok([
        states
            .iter()
            .map(|states| one(&|f| f.states.clone_from(states)))
            .collect(),
        words(&["common", "rare", "unused", "unheard"], &|f, word| {
            f.job_type = word;
        }),
        groups
            .iter()
            .map(|group| one(&|f| f.group = Some(*group)))
            .collect(),
        words(&["alice", "bob", "nobody"], &|f, word| f.user = word),
        words(&["m-a", "m-b", "m-unused", "m-unheard"], &|f, word| {
            f.model = word;
        }),
    ])
}

/// Both hold; they never name the same.
fn both(a: &Filter, b: &Filter) -> Filter {
    Filter {
        states: [a.states.clone(), b.states.clone()].concat(),
        group: a.group.or(b.group),
        job_type: a.job_type.clone().or(b.job_type.clone()),
        user: a.user.clone().or(b.user.clone()),
        model: a.model.clone().or(b.model.clone()),
        ..Filter::default()
    }
}

/// None, every single one, every pair.
fn filters(values: &[Vec<Filter>]) -> Vec<Filter> {
    let mut filters = vec![Filter::default()];
    for (place, some) in values.iter().enumerate() {
        for one in some {
            filters.push(one.clone());
            let others = values[place + 1..].iter().flatten();
            filters.extend(others.map(|other| both(one, other)));
        }
    }
    filters
}

/// Walks all pages. Returns how many ended early, at the bound.
async fn compare(
    world: &World,
    tenant: TenantId,
    facts: &[Fact],
    filter: &Filter,
    limit: usize,
    bounds: Bounds,
) -> Result<usize> {
    let expected: Vec<(JobId, State)> = facts
        .iter()
        .filter(|fact| fact.tenant == tenant && fact.fits(filter))
        .map(|fact| (fact.id, fact.state))
        .collect();
    let mut found = Vec::new();
    let mut early = 0;
    let mut filter = filter.clone();
    let mut tx = world.tenants.begin(tenant).await?;
    loop {
        let page = list::page_within(&mut tx, &filter, limit, bounds).await?;
        assert!(page.jobs.len() <= limit, "{filter:?}: more than asked for");
        early += usize::from(page.jobs.len() < limit && page.next.is_some());
        found.extend(page.jobs.iter().map(|job| (job.id, job.state)));
        let Some(next) = page.next else { break };
        assert!(
            filter.before.is_none_or(|before| next < before),
            "{filter:?}: the cursor does not move"
        );
        filter.before = Some(next);
    }
    assert_eq!(found, expected, "{filter:?}, {limit} a page, {bounds:?}");
    Ok(early)
}

/// Bounds that these few jobs reach, and one step a page.
const NARROW: Bounds = Bounds {
    rows: 97,
    probes: 41,
    time: Duration::ZERO,
};

#[tokio::test]
async fn pages_lose_no_job_and_show_none_twice_under_any_pair_of_filters() -> Result<()> {
    let (world, other, facts) = filled().await?;
    let filters = filters(&values(&facts)?);
    assert!(filters.len() > 250, "{}", filters.len());
    for state in State::ALL {
        let n = facts.iter().filter(|fact| fact.state == *state).count();
        assert!(n > 50, "{n} {state}");
    }
    let mut early = 0;
    for filter in &filters {
        early += compare(&world, world.tenant, &facts, filter, 50, NARROW).await?;
        compare(&world, other, &facts, filter, 200, Bounds::default()).await?;
    }
    assert!(early > 500, "the bounds were reached: {early}");
    Ok(())
}

#[tokio::test]
async fn small_pages_and_many_steps_give_the_same() -> Result<()> {
    let (world, other, facts) = filled().await?;
    let steps = Bounds {
        time: Duration::from_mins(1),
        ..NARROW
    };
    for filter in values(&facts)?.iter().flatten() {
        let early = compare(&world, world.tenant, &facts, filter, 50, steps).await?;
        assert_eq!(early, 0, "{filter:?}: with time enough a page is full");
        compare(&world, other, &facts, filter, 3, NARROW).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_match_takes_one_page() -> Result<()> {
    let (world, _, facts) = filled().await?;
    let [_, mut types, _, mut users, mut models] = values(&facts)?;
    let impossible = [types.split_off(3), users.split_off(2), models.split_off(3)];
    for filter in impossible.iter().flatten() {
        for state in [None, Some(State::Completed), Some(State::Failed)] {
            let mut filter = filter.clone();
            filter.states.extend(state);
            let mut tx = world.tenants.begin(world.tenant).await?;
            let page = list::page_within(&mut tx, &filter, 50, NARROW).await?;
            assert!(page.jobs.is_empty() && page.next.is_none(), "{filter:?}");
        }
    }
    Ok(())
}

//! What a connection wants to hear of, and what it may.

use offpeak_domain::id::GroupId;
use offpeak_store::event::UserKey;
use offpeak_store::stream::{Event, Job, Usage, What};
use offpeak_wire::live::{LiveEvent, LiveUsage, LiveWhat};

use super::few::Concern;
use crate::caller::Extent;
use crate::{batches, jobs, operations};

/// Topics of one connection, at most.
const MAX_TOPICS: usize = 100;

/// How much of its tenant a connection may see; a user's label as events hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Tenant,
    User(UserKey),
    Group(GroupId),
}

impl From<&Extent> for Within {
    fn from(scope: &Extent) -> Self {
        match scope {
            Extent::Tenant => Self::Tenant,
            Extent::User(label) => Self::User(UserKey::of(label)),
            Extent::Group(id) => Self::Group(*id),
        }
    }
}

/// Why topics cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The client is wrong: what it should be.
    Unknown(String),
    /// A ticket does not open it.
    Foreign,
}

/// What a connection hears of.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    within: Within,
    jobs: bool,
    pub(super) batches: bool,
    pub(super) usage: bool,
    /// Sorted, like `users`.
    pub(super) groups: Box<[GroupId]>,
    users: Box<[UserKey]>,
}

impl Topics {
    /// Reads `jobs`, `batches`, `usage`, `group:grp_…` and `user:LABEL`.
    pub(crate) fn parse<'a>(
        words: impl IntoIterator<Item = &'a str>,
        scope: &Extent,
    ) -> Result<Self, Refused> {
        let within = Within::from(scope);
        let (mut jobs, mut batches, mut usage) = (false, false, false);
        let (mut groups, mut users) = (Vec::new(), Vec::new());
        for (place, word) in words.into_iter().enumerate() {
            if place == MAX_TOPICS {
                return Err(Refused::Unknown(format!(
                    "must be at most {MAX_TOPICS} topics"
                )));
            }
            match word.split_once(':') {
                None if word == "jobs" => jobs = true,
                None if word == "batches" => batches = true,
                None if word == "usage" => usage = true,
                Some(("group", id)) => groups.push(id.parse().map_err(|error| {
                    Refused::Unknown(format!("holds a group that is no id: {error}"))
                })?),
                Some(("user", label)) if !label.is_empty() => users.push(UserKey::of(label)),
                _ => {
                    let known = "jobs, batches, usage, group:grp_… or user:LABEL";
                    return Err(Refused::Unknown(format!("must be some of {known}")));
                }
            }
        }
        let foreign = match within {
            Within::Tenant => false,
            Within::User(own) => {
                batches || usage || !groups.is_empty() || users.iter().any(|user| *user != own)
            }
            Within::Group(own) => {
                batches || usage || !users.is_empty() || groups.iter().any(|group| *group != own)
            }
        };
        if foreign {
            return Err(Refused::Foreign);
        }
        groups.sort_unstable();
        groups.dedup();
        users.sort_unstable();
        users.dedup();
        Ok(Self {
            within,
            jobs,
            batches,
            usage,
            groups: groups.into(),
            users: users.into(),
        })
    }

    /// Whether there is nothing to hear of.
    pub(crate) fn is_empty(&self) -> bool {
        !(self.jobs || self.batches || self.usage || self.has_rows())
    }

    /// Whether what a group or a user is a topic for comes in rows.
    fn has_rows(&self) -> bool {
        !self.groups.is_empty() || !self.users.is_empty()
    }

    /// Which of the eight subscriptions that many have this is: those that no
    /// job is left out of, or every one.
    pub(super) fn common(&self) -> Option<usize> {
        (self.within == Within::Tenant && (self.jobs || !self.has_rows())).then(|| {
            usize::from(self.jobs) | usize::from(self.batches) << 1 | usize::from(self.usage) << 2
        })
    }

    /// The groups and users without which a page is of no use here, if there are
    /// such; a client that may `watch` any job of the tenant has none.
    pub(super) fn concern(&self, watches: bool) -> Option<Concern> {
        let (groups, users): (&[GroupId], &[UserKey]) = match &self.within {
            Within::User(own) => (&[], std::slice::from_ref(own)),
            Within::Group(own) => (std::slice::from_ref(own), &[]),
            Within::Tenant if watches || self.jobs || self.batches || self.usage => return None,
            Within::Tenant => (&self.groups, &self.users),
        };
        Some(Concern {
            groups: groups.into(),
            users: users.into(),
        })
    }

    /// Whether the tenant's own counts may be shown, and are asked for.
    pub(super) fn counts_jobs(&self) -> bool {
        self.jobs && self.within == Within::Tenant
    }

    /// Whether all of the tenant's events are wanted, or may be: no ticket's.
    pub(super) fn is_whole(&self) -> bool {
        self.within == Within::Tenant
    }

    /// Whether costs and batches may be shown.
    pub(super) fn shows_costs(&self) -> bool {
        self.within == Within::Tenant
    }

    /// Whether a job may be seen at all.
    pub(super) fn opens(&self, group: Option<GroupId>, user: Option<UserKey>) -> bool {
        match self.within {
            Within::Tenant => true,
            Within::User(own) => user == Some(own),
            Within::Group(own) => group == Some(own),
        }
    }

    /// Whether events of a job are wanted, and it may be seen.
    pub(super) fn has(&self, job: &Job) -> bool {
        self.opens(job.group, job.user) && (self.jobs || self.has_row(job))
    }

    /// Whether a job belongs to a group or user that is a topic, and may be seen.
    pub(super) fn has_row(&self, job: &Job) -> bool {
        self.opens(job.group, job.user)
            && (job
                .group
                .is_some_and(|group| self.groups.binary_search(&group).is_ok())
                || job
                    .user
                    .is_some_and(|user| self.users.binary_search(&user).is_ok()))
    }

    /// Whether none of these groups and users, which are sorted, is wanted. Spares
    /// most connections of users the look at every job.
    pub(super) fn are_elsewhere(&self, groups: &[GroupId], users: &[UserKey]) -> bool {
        if self.batches || self.usage {
            return false;
        }
        let group = |own: &GroupId| groups.binary_search(own).is_ok();
        let user = |own: &UserKey| users.binary_search(own).is_ok();
        match self.within {
            Within::User(own) => !user(&own),
            Within::Group(own) => !group(&own),
            Within::Tenant => {
                !self.jobs && !self.groups.iter().any(group) && !self.users.iter().any(user)
            }
        }
    }

    /// An event as this connection hears it, if it does.
    pub(super) fn event(&self, event: &Event) -> Option<LiveEvent> {
        let what = match &event.what {
            What::Jobs {
                state,
                label,
                batch,
                jobs,
            } => {
                let own = || jobs.iter().filter(|job| self.has(job));
                let ids: Vec<String> = own().map(|job| job.id.to_string()).collect();
                if ids.is_empty() {
                    return None;
                }
                // They stand beside the ids: all of them, or none.
                let costs: Option<Vec<String>> = own()
                    .map(|job| Some(job.cost?.to_usd_string()))
                    .collect::<Option<_>>()
                    .filter(|_| self.shows_costs());
                LiveWhat::Job {
                    state: jobs::state(*state),
                    label: label.clone(),
                    batch: batch
                        .filter(|_| self.shows_costs())
                        .map(|batch| batch.to_string()),
                    jobs: ids,
                    costs: costs.unwrap_or_default(),
                }
            }
            What::Batch { batch, state } if self.batches => LiveWhat::Batch {
                batch: batch.to_string(),
                state: batches::state(*state),
            },
            What::Usage(sum) if self.usage => LiveWhat::Usage(usage(*sum)),
            What::Budget(budget) if self.usage => LiveWhat::Budget {
                budget: budget.id.to_string(),
                hard: budget.hard,
                used: budget.used.to_usd_string(),
                limit: budget.limit.to_usd_string(),
            },
            What::Operation { operation, state } if self.counts_jobs() => LiveWhat::Operation {
                operation: operation.to_string(),
                state: operations::state(*state),
            },
            // Who counts the numbers misses none.
            What::Other if self.counts_jobs() => LiveWhat::Other,
            What::Batch { .. }
            | What::Usage(_)
            | What::Budget(_)
            | What::Operation { .. }
            | What::Other => return None,
        };
        Some(LiveEvent {
            n: event.seq,
            at: event.at,
            what,
        })
    }
}

/// What was billed, as clients see it.
pub(super) fn usage(sum: Usage) -> LiveUsage {
    LiveUsage {
        attempts: sum.attempts,
        input_tokens: sum.input_tokens,
        output_tokens: sum.output_tokens,
        cost: sum.cost.to_usd_string(),
        cost_sync: sum.cost_sync.to_usd_string(),
        unpriced: sum.unpriced,
    }
}

#[cfg(test)]
mod tests {
    use super::{Refused, Topics};
    use crate::caller::Extent;
    use offpeak_domain::id::{BatchId, GroupId, JobId};
    use offpeak_domain::job::State;
    use offpeak_domain::money::Pico;
    use offpeak_store::event::UserKey;
    use offpeak_store::stream::{Event, Job, What};
    use offpeak_wire::live::LiveWhat;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn group(n: u128) -> GroupId {
        GroupId::from_uuid(Uuid::from_u128(n))
    }

    /// Jobs 1 of ada in group 1, 2 of bob in group 1, 3 of nobody.
    fn ended() -> Event {
        let job = |n, group, user: Option<&str>| Job {
            id: JobId::from_uuid(Uuid::from_u128(n)),
            group,
            user: user.map(UserKey::of),
            cost: Some(Pico(1_000_000_000_000)),
        };
        Event {
            seq: 7,
            at: OffsetDateTime::UNIX_EPOCH,
            what: What::Jobs {
                state: State::Completed,
                label: None,
                batch: Some(BatchId::from_uuid(Uuid::nil())),
                jobs: vec![
                    job(1, Some(group(1)), Some("ada")),
                    job(2, Some(group(1)), Some("bob")),
                    job(3, None, None),
                ],
            },
        }
    }

    /// How many jobs are heard of, and whether with costs and batch.
    fn heard(words: &[&str], scope: &Extent) -> (usize, bool) {
        let topics = Topics::parse(words.iter().copied(), scope).unwrap();
        match topics.event(&ended()).map(|event| event.what) {
            Some(LiveWhat::Job {
                jobs, costs, batch, ..
            }) => {
                assert_eq!(batch.is_some(), !costs.is_empty());
                (jobs.len(), batch.is_some())
            }
            _ => (0, false),
        }
    }

    #[test]
    fn topics_add_up() {
        let of_group = format!("group:{}", group(1));
        for (words, jobs) in [
            (&["jobs"][..], 3),
            (&["batches", "usage"], 0),
            (&[of_group.as_str()], 2),
            (&["user:ada"], 1),
            (&["user:ada", "user:bob", "user:eve"], 2),
            (&["user:ada", "jobs"], 3),
        ] {
            assert_eq!(heard(words, &Extent::Tenant), (jobs, jobs > 0), "{words:?}");
        }
    }

    #[test]
    fn a_ticket_opens_its_own_and_no_money() {
        let of_group = format!("group:{}", group(1));
        let ada = &Extent::User("ada".to_owned());
        for words in [&["jobs"][..], &["user:ada"], &["jobs", "user:ada"]] {
            assert_eq!(heard(words, ada), (1, false), "{words:?}");
        }
        let own = &Extent::Group(group(1));
        for words in [&["jobs"][..], &[of_group.as_str()]] {
            assert_eq!(heard(words, own), (2, false), "{words:?}");
        }
        for (word, scope) in [
            ("user:bob", ada),
            ("batches", ada),
            ("usage", ada),
            (of_group.as_str(), ada),
            ("user:ada", own),
            ("group:grp_00000000000000000000000000", own),
        ] {
            let refused = Topics::parse([word], scope).unwrap_err();
            assert_eq!(refused, Refused::Foreign, "{word}");
        }
    }

    #[test]
    fn what_concerns_others_is_known_beforehand() {
        let users = [UserKey::of("ada")];
        let user = |label: &str| Extent::User(label.to_owned());
        let elsewhere = |words: &[&str], scope: &Extent| {
            let topics = Topics::parse(words.iter().copied(), scope).unwrap();
            topics.are_elsewhere(&[], &users)
        };
        assert!(!elsewhere(&["jobs"], &Extent::Tenant));
        assert!(!elsewhere(&["user:bob", "batches"], &Extent::Tenant));
        assert!(!elsewhere(&["user:ada"], &Extent::Tenant));
        assert!(elsewhere(&["user:bob"], &Extent::Tenant));
        assert!(elsewhere(&["jobs"], &user("bob")));
        assert!(elsewhere(&["jobs"], &Extent::Group(group(1))));
        assert!(!elsewhere(&["jobs"], &user("ada")));
    }

    #[test]
    fn who_hears_of_few_is_known() {
        let concern = |words: &[&str], scope: &Extent, watches| {
            let topics = Topics::parse(words.iter().copied(), scope).unwrap();
            let concern = topics.concern(watches)?;
            Some((concern.groups.len(), concern.users.len()))
        };
        let of_group = format!("group:{}", group(1));
        let tenant = &Extent::Tenant;
        assert_eq!(
            concern(&["user:ada", "user:bob"], tenant, false),
            Some((0, 2))
        );
        assert_eq!(
            concern(&["user:ada", &of_group], tenant, false),
            Some((1, 1))
        );
        assert_eq!(concern(&["user:ada"], tenant, true), None);
        for word in ["jobs", "batches", "usage"] {
            assert_eq!(concern(&["user:ada", word], tenant, false), None);
        }
        // A ticket opens no more, whatever is watched.
        let ada = &Extent::User("ada".to_owned());
        assert_eq!(concern(&["jobs"], ada, true), Some((0, 1)));
        assert_eq!(
            concern(&["jobs"], &Extent::Group(group(1)), true),
            Some((1, 0))
        );
    }

    #[test]
    fn what_is_no_topic_is_said() {
        let many = vec!["user:a"; 101];
        for words in [
            vec!["job"],
            vec![""],
            vec!["user:"],
            vec!["group:1"],
            vec!["jobs:"],
            many,
        ] {
            let refused = Topics::parse(words.iter().copied(), &Extent::Tenant);
            assert!(
                matches!(refused, Err(Refused::Unknown(_))),
                "{:?}",
                words[0]
            );
        }
        assert!(Topics::parse([], &Extent::Tenant).unwrap().is_empty());
    }
}

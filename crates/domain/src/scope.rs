//! What a caller may do: scopes, of which a key has some and a person's role stands
//! for some.

use crate::label::labels;

labels! {
    /// One thing that callers may do.
    pub enum Scope as "scope", as_str {
        /// See jobs, groups, batches, counts, types and costs, without what was asked and
        /// answered.
        JobsRead = "jobs:read",
        /// See requests and results.
        ResultsRead = "results:read",
        /// Submit, cancel and retry jobs, and make contexts.
        JobsWrite = "jobs:write",
        /// Change job types, budgets, origins and what else holds for the whole tenant.
        SettingsManage = "settings:manage",
        /// Make and revoke keys, invite and remove people.
        KeysManage = "keys:manage",
    }
}

labels! {
    /// What a person is to a tenant.
    pub enum Role as "role", as_str {
        /// Reads.
        Viewer = "viewer",
        /// Works with jobs.
        Member = "member",
        /// May do all that is the tenant's.
        Admin = "admin",
    }
}

impl Role {
    /// What it may do.
    #[must_use]
    pub fn scopes(self) -> Scopes {
        use Scope::{JobsRead, JobsWrite, ResultsRead};
        match self {
            Self::Viewer => [JobsRead, ResultsRead].into_iter().collect(),
            Self::Member => [JobsRead, ResultsRead, JobsWrite].into_iter().collect(),
            Self::Admin => Scopes::all(),
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Whether it holds one.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Whether it holds all of another set.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |one| self.has(*one))
    }

    /// Their words.
    #[must_use]
    pub fn words(self) -> Vec<String> {
        self.iter().map(|one| one.as_str().to_owned()).collect()
    }

    /// The set that a database's words name. A word of a newer version opens nothing here.
    pub fn known(words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        words
            .into_iter()
            .filter_map(|word| word.as_ref().parse::<Scope>().ok())
            .collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, one| set | bit(one)))
    }
}

fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

#[cfg(test)]
mod tests {
    use super::{Role, Scope, Scopes};

    #[test]
    fn a_set_reads_back_from_its_words() {
        for bits in 0..1 << Scope::ALL.len() {
            let set = Scopes(bits);
            assert_eq!(Scopes::known(set.words()), set);
            assert!(Scopes::all().covers(set));
            assert_eq!(set.covers(Scopes::all()), set == Scopes::all());
            assert_eq!(set.is_empty(), bits == 0);
        }
        assert_eq!(
            Scopes::known(["jobs:read", "moon:land"]).words(),
            ["jobs:read"]
        );
    }

    #[test]
    fn each_role_may_do_what_the_one_below_may() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[1].scopes().covers(pair[0].scopes()));
            assert!(!pair[0].scopes().covers(pair[1].scopes()));
        }
    }
}

//! Scopes and roles as clients write them.

use offpeak_domain::scope::{Role, Scope, Scopes};
use offpeak_wire as wire;

/// A set as clients see it.
pub(crate) fn shown(scopes: Scopes) -> Vec<wire::Scope> {
    scopes
        .iter()
        .map(|scope| match scope {
            Scope::JobsRead => wire::Scope::JobsRead,
            Scope::ResultsRead => wire::Scope::ResultsRead,
            Scope::JobsWrite => wire::Scope::JobsWrite,
            Scope::SettingsManage => wire::Scope::SettingsManage,
            Scope::KeysManage => wire::Scope::KeysManage,
        })
        .collect()
}

/// A set as clients write it.
pub(crate) fn read(scopes: &[wire::Scope]) -> Scopes {
    scopes
        .iter()
        .map(|scope| match scope {
            wire::Scope::JobsRead => Scope::JobsRead,
            wire::Scope::ResultsRead => Scope::ResultsRead,
            wire::Scope::JobsWrite => Scope::JobsWrite,
            wire::Scope::SettingsManage => Scope::SettingsManage,
            wire::Scope::KeysManage => Scope::KeysManage,
        })
        .collect()
}

/// A role as clients see it.
pub(crate) fn role(role: Role) -> wire::Role {
    match role {
        Role::Viewer => wire::Role::Viewer,
        Role::Member => wire::Role::Member,
        Role::Admin => wire::Role::Admin,
    }
}

/// A role as clients write it.
pub(crate) fn read_role(role: wire::Role) -> Role {
    match role {
        wire::Role::Viewer => Role::Viewer,
        wire::Role::Member => Role::Member,
        wire::Role::Admin => Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::{read, read_role, role, shown};
    use offpeak_domain::scope::{Role, Scopes};

    #[test]
    fn what_is_written_is_read_and_has_the_same_words() {
        assert_eq!(read(&shown(Scopes::all())), Scopes::all());
        let words: Vec<String> = shown(Scopes::all())
            .iter()
            .map(|one| serde_json::to_string(one).unwrap().replace('"', ""))
            .collect();
        assert_eq!(words, Scopes::all().words());
        for one in Role::ALL {
            assert_eq!(read_role(role(*one)), *one);
            let word = serde_json::to_string(&role(*one)).unwrap();
            assert_eq!(word, format!("\"{one}\""));
        }
    }
}

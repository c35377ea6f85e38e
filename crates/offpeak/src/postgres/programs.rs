//! Where PostgreSQL's programs are. Distributions keep them out of PATH, in a
//! folder per version.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Options};

/// The oldest major version with what the schema uses.
const OLDEST: u32 = 15;

/// A folder with `initdb` and `postgres` of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

/// The programs for a cluster of version `wanted`, or the best for a new one.
pub(super) fn find(
    options: &Options,
    wanted: Option<u32>,
    cluster: &Path,
) -> Result<Programs, Error> {
    let found: Vec<Programs> = match &options.programs {
        Some(folder) => inspect(folder).into_iter().collect(),
        None => candidates(options)
            .iter()
            .filter_map(|folder| inspect(folder))
            .collect(),
    };
    choose(found, wanted, cluster)
}

fn choose(found: Vec<Programs>, wanted: Option<u32>, cluster: &Path) -> Result<Programs, Error> {
    if let Some(wanted) = wanted {
        let versions = list(&found);
        return found
            .into_iter()
            .find(|programs| programs.major == wanted)
            .ok_or_else(|| Error::OtherVersion {
                path: cluster.to_owned(),
                wanted,
                found: versions,
            });
    }
    // The first good one, in the order searched, so that PATH decides.
    if let Some(good) = found.iter().find(|programs| programs.major >= OLDEST) {
        return Ok(good.clone());
    }
    match found.into_iter().max_by_key(|programs| programs.major) {
        Some(old) => Err(Error::TooOld {
            found: old.major,
            path: old.folder,
        }),
        None => Err(Error::NotInstalled),
    }
}

fn list(found: &[Programs]) -> String {
    let mut majors: Vec<u32> = found.iter().map(|programs| programs.major).collect();
    majors.sort_unstable();
    majors.dedup();
    if majors.is_empty() {
        return "none".to_owned();
    }
    majors
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn candidates(options: &Options) -> Vec<PathBuf> {
    let search: Vec<PathBuf> = std::env::split_paths(&options.search).collect();
    let mut folders = search.clone();
    if let Some(tool) = search
        .iter()
        .map(|dir| dir.join("pg_config"))
        .find(|tool| tool.is_file())
        && let Ok(answer) = Command::new(tool).arg("--bindir").output()
        && answer.status.success()
    {
        folders.push(PathBuf::from(
            String::from_utf8_lossy(&answer.stdout).trim(),
        ));
    }
    for (parent, prefix, inside) in [
        ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
        ("/usr", "pgsql-", "bin"),                  // postgresql.org's packages
        ("/usr/lib", "postgresql", "bin"),          // openSUSE, Gentoo
        ("/usr/libexec", "postgresql", ""),         // Alpine
        ("/opt/homebrew/opt", "postgresql", "bin"), // macOS on ARM
        ("/usr/local/opt", "postgresql", "bin"),    // macOS on Intel
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
        ("/usr/local", "pgsql", "bin"), // built from source
    ] {
        folders.extend(versions(Path::new(parent), prefix, inside));
    }
    let mut seen = Vec::new();
    folders
        .into_iter()
        .filter_map(|folder| {
            // Links into PATH lead to the folder that has everything.
            let real = folder
                .join("postgres")
                .canonicalize()
                .ok()?
                .parent()?
                .to_owned();
            (!seen.contains(&real)).then(|| {
                seen.push(real.clone());
                real
            })
        })
        .collect()
}

/// `parent/prefix*/inside`, the highest number first.
fn versions(parent: &Path, prefix: &str, inside: &str) -> Vec<PathBuf> {
    let Ok(entries) = parent.read_dir() else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(prefix)?;
            let digits: String = rest.chars().filter(char::is_ascii_digit).take(4).collect();
            Some((digits.parse().unwrap_or(0), entry.path().join(inside)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn inspect(folder: &Path) -> Option<Programs> {
    if !folder.join("initdb").is_file() {
        return None;
    }
    let answer = Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let major = major_of(&String::from_utf8_lossy(&answer.stdout))?;
    Some(Programs {
        folder: folder.to_owned(),
        major,
    })
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `18beta1`, `17.0`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split(") ").nth(1)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(major: u32) -> Programs {
        Programs {
            folder: PathBuf::from(format!("/pg/{major}")),
            major,
        }
    }

    #[test]
    fn reads_versions() {
        assert_eq!(
            major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_of("postgres (EnterpriseDB) 9.6"), Some(9));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn chooses_the_cluster_s_own_version_else_the_first_good_one() {
        let at = Path::new("/data/cluster");
        let all = vec![programs(14), programs(16), programs(17)];
        assert_eq!(choose(all.clone(), None, at).unwrap().major, 16);
        assert_eq!(choose(all.clone(), Some(17), at).unwrap().major, 17);
        insta::assert_snapshot!(choose(all, Some(15), at).unwrap_err(), @"/data/cluster was set up by PostgreSQL 15, whose programs are no longer installed (found: 14, 16, 17): install that version again, or choose another data folder with --data");
        insta::assert_snapshot!(choose(vec![programs(13)], None, at).unwrap_err(), @"PostgreSQL 13 in /pg/13 is too old: install version 15 or newer, or set DATABASE_URL to a database that you have");
        insta::assert_snapshot!(choose(Vec::new(), None, at).unwrap_err(), @"no PostgreSQL 15 or newer was found: install its server programs (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or set DATABASE_URL to a database that you have");
    }
}

//! What a run was made on, for whoever reads its figures.

use std::fs::read_to_string;
use std::path::Path;

use anyhow::Result;

use crate::ground::Ground;

/// Where the databases and the stand-ins keep their files.
const HOME: &str = "/tmp";

/// The machine in one line: processor, cores, memory, disk, kernel, PostgreSQL.
pub async fn in_words(ground: &Ground) -> Result<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processors = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&processors, "model name").unwrap_or("an unknown processor");
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: u64 = field(&memory, "MemTotal")
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mounts = read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Ok(format!(
        "{model}, {cores} cores, {} GiB, {}, {} {}, PostgreSQL {}",
        kilobytes >> 20,
        disk(&mounts, HOME),
        std::env::consts::OS,
        kernel.trim(),
        ground.postgres_version().await?
    ))
}

/// What stands behind the first line that begins so, up to a colon.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(before, _)| before.trim() == name);
    found.next().map(|(_, value)| value.trim())
}

/// The kind of file system that a path is on, and of the disk below it.
fn disk(mounts: &str, path: &str) -> String {
    let below = |line: &&str| {
        let point = line.split_whitespace().nth(4);
        point.is_some_and(|point| Path::new(path).starts_with(point))
    };
    let deepest = mounts.lines().filter(below).max_by_key(|line| {
        let point = line.split_whitespace().nth(4);
        point.map_or(0, str::len)
    });
    let Some((before, after)) = deepest.and_then(|line| line.split_once(" - ")) else {
        return "an unknown disk".to_owned();
    };
    let system = after.split_whitespace().next().unwrap_or_default();
    let device = before.split_whitespace().nth(2).unwrap_or_default();
    let kind = match rotates(device).as_deref() {
        Some("0") => "solid-state disk",
        Some("1") => "rotating disk",
        _ => "disk of unknown kind",
    };
    format!("{system} on a {kind}")
}

/// `1` for a disk that turns; a partition's disk tells.
fn rotates(device: &str) -> Option<String> {
    let device = Path::new("/sys/dev/block").join(device);
    [
        device.join("queue/rotational"),
        device.join("../queue/rotational"),
    ]
    .iter()
    .find_map(|path| read_to_string(path).ok())
    .map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{disk, field};

    #[test]
    fn the_deepest_mount_tells_the_disk() {
        let mounts = "22 1 9:1 / / rw - ext4 /dev/a rw\n30 22 0:99 / /tmp rw - tmpfs tmpfs rw\n\
                      31 22 0:98 / /tmpfiles rw - xfs /dev/b rw";
        assert_eq!(disk(mounts, "/tmp"), "tmpfs on a disk of unknown kind");
        assert!(disk(mounts, "/home").starts_with("ext4 on a "));
        assert_eq!(disk("", "/tmp"), "an unknown disk");
    }

    #[test]
    fn a_field_is_what_follows_its_name() {
        let text = "processor\t: 0\nmodel name\t: A B: C\n";
        assert_eq!(field(text, "model name"), Some("A B: C"));
        assert_eq!(field(text, "cores"), None);
    }
}

//! `postmaster.pid`: what a server says about itself, and whether to believe it.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, test_kill_process};

/// The lines of the file that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) socket: PathBuf,
    pub(super) ready: bool,
    pub(super) stopping: bool,
}

/// What the file and the process table say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No file, or one of a server that is no more: the next server sees to it.
    Nothing,
    /// A server of this cluster runs.
    Running(PidFile),
    /// A file whose number a live process has that is not this cluster's server.
    Borrowed,
}

pub(super) fn look(cluster: &Path) -> Found {
    let Ok(text) = std::fs::read_to_string(path(cluster)) else {
        return Found::Nothing;
    };
    let Some(pid) = first_number(&text) else {
        return Found::Nothing;
    };
    match (is_server_of(pid, cluster), parse(&text)) {
        (true, Some(file)) => Found::Running(file),
        // Written line by line: this server has only just begun.
        (true, None) => Found::Running(PidFile {
            pid,
            port: 0,
            socket: PathBuf::new(),
            ready: false,
            stopping: false,
        }),
        (false, _) if is_alive(pid) => Found::Borrowed,
        (false, _) => Found::Nothing,
    }
}

/// Lets the next server take a file whose number is borrowed.
///
/// It is not removed: its seventh line is how a server learns that processes of
/// the last one still have the shared memory. A server takes the number of its
/// own parent, which we are, for stale and goes on to that check.
pub(super) fn disown(cluster: &Path) -> std::io::Result<()> {
    let path = path(cluster);
    let text = std::fs::read_to_string(&path)?;
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    std::fs::write(path, format!("{}\n{rest}", std::process::id()))
}

/// Whether a process with this number exists, ours or not.
pub(super) fn is_alive(pid: u32) -> bool {
    to_pid(pid).is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

pub(super) fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Whether that process is a postgres that works in this cluster's folder.
pub(super) fn is_server_of(pid: u32, cluster: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    if Path::new("/proc/self").exists() {
        let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
        let works_in = std::fs::read_link(process.join("cwd"));
        return name.trim().starts_with("post") && works_in.is_ok_and(|folder| folder == cluster);
    }
    // No /proc (macOS): the command line, which names the folder.
    let Ok(answer) = Command::new("/bin/ps")
        .args(["-o", "args=", "-p", &pid.to_string()])
        .output()
    else {
        return false;
    };
    let line = String::from_utf8_lossy(&answer.stdout);
    line.contains("postgres") && line.contains(&*cluster.to_string_lossy())
}

fn path(cluster: &Path) -> PathBuf {
    cluster.join("postmaster.pid")
}

fn first_number(text: &str) -> Option<u32> {
    text.lines().next()?.trim().parse().ok()
}

fn parse(text: &str) -> Option<PidFile> {
    let lines: Vec<&str> = text.lines().collect();
    let status = lines.get(7).map_or("", |line| line.trim());
    Some(PidFile {
        pid: first_number(text)?,
        port: lines.get(3)?.trim().parse().ok()?,
        socket: PathBuf::from(lines.get(4)?),
        ready: status == "ready",
        stopping: status == "stopping",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str =
        "4711\n/data/cluster\n1790000000\n40123\n/data/socket\n127.0.0.1\n  1234   5\nready   \n";

    #[test]
    fn reads_what_a_server_says() {
        let file = parse(READY).unwrap();
        assert_eq!(
            (file.pid, file.port, file.ready, file.stopping),
            (4711, 40123, true, false)
        );
        assert_eq!(file.socket, Path::new("/data/socket"));
        assert_eq!(parse("4711\n/data/cluster\n"), None);
    }

    #[test]
    fn a_live_process_that_is_no_postgres_is_not_believed() {
        let scratch = tempfile::tempdir().unwrap();
        let cluster = scratch.path().canonicalize().unwrap();
        assert_eq!(look(&cluster), Found::Nothing);
        let file = cluster.join("postmaster.pid");
        // Init is always there, and never works here.
        std::fs::write(&file, READY.replacen("4711", "1", 1)).unwrap();
        assert_eq!(look(&cluster), Found::Borrowed);
        disown(&cluster).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            text,
            READY.replacen("4711", &std::process::id().to_string(), 1)
        );
        // A number beyond any process.
        std::fs::write(&file, READY.replacen("4711", "2147483646", 1)).unwrap();
        assert_eq!(look(&cluster), Found::Nothing);
    }
}

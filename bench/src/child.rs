//! The same program again as a process of its own, whose memory and CPU are
//! then its alone. It is told apart by a hidden first argument, and ends when
//! its input does, so that none outlives its bench.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{Receiver, channel};

const SIGN: &str = "--as-child";

/// The part that this process is to play, with its arguments, if it is a child.
pub fn part() -> Option<Vec<String>> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next().as_deref() == Some(SIGN)).then(|| arguments.collect())
}

/// A child, and the lines between us.
#[derive(Debug)]
pub struct Child {
    process: Process,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts this program again with a part and its arguments.
    pub fn start(part: &[&str]) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(SIGN)
            .args(part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = process.stdin.take().context("no input")?;
        let output = process.stdout.take().context("no output")?;
        Ok(Self {
            process,
            input,
            output: BufReader::new(output).lines(),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        self.process.id().context("the child has ended")
    }

    /// Tells it something, in one line.
    pub async fn tell(&mut self, line: &str) -> Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    /// Its next line.
    pub async fn hear(&mut self) -> Result<String> {
        let line = self.output.next_line().await?;
        line.context("the child ended without a word")
    }

    /// Lets it end.
    pub async fn end(self) -> Result<()> {
        let Self {
            mut process, input, ..
        } = self;
        drop(input);
        process.wait().await?;
        Ok(())
    }
}

/// The lines that a child hears.
pub fn orders() -> Receiver<String> {
    let (sender, receiver) = channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

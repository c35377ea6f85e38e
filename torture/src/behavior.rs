//! What the stand-in does: how it answers creates, and what results are like.

use std::time::Duration;

use crate::judge::Hidden;

/// One way to behave.
#[derive(Clone, Copy, Debug)]
pub struct Behavior {
    /// For reports.
    pub name: &'static str,
    /// For the stand-in.
    pub script: &'static str,
    /// Whether it hides what it has stored for longer than the settle time.
    pub hidden: Hidden,
    /// Whether somebody else creates batches in the workspace.
    pub shared: bool,
    /// What it makes different.
    pub of: Of,
}

/// What a behaviour makes different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Neither.
    Nothing,
    /// How creates are answered, and what is listed then.
    Creates,
    /// How batches end, and what their results are like.
    Results,
    /// How direct calls are answered.
    Calls,
}

impl Behavior {
    /// Whether it can make a difference to what is done at this crash point: nobody
    /// who submits meets Anthropic, and a create comes before its results.
    pub fn meets(&self, point: &str) -> bool {
        let stage = point.split('.').next().unwrap_or_default();
        match self.of {
            Of::Nothing => true,
            Of::Creates => !matches!(stage, "api" | "relay" | "fold" | "tend" | "direct"),
            Of::Results => matches!(stage, "poll" | "ingest"),
            Of::Calls => stage == "direct",
        }
    }
}

const fn behavior(name: &'static str, of: Of, script: &'static str) -> Behavior {
    Behavior {
        name,
        script,
        hidden: Hidden::Never,
        shared: false,
        of,
    }
}

/// Nothing out of the ordinary.
pub const PLAIN: Behavior = behavior("plain", Of::Nothing, "");
/// Creates that are stored, and their answers lost.
pub const LOST: Behavior = behavior(
    "answer lost",
    Of::Creates,
    "[[faults.rules]]\non = [\"create\"]\ntimes = 2\nfault.reset = { when = \"answer\" }",
);
/// The same, and the list is late.
pub const LOST_LATE: Behavior = behavior(
    "answer lost, list late",
    Of::Creates,
    "[[faults.rules]]\non = [\"create\"]\nfault.reset = { when = \"answer\" }\n\
     [[faults.rules]]\non = [\"list\"]\ntimes = \"always\"\nfault.list_lag = { ms = 3000 }",
);
/// An error that had stored the batch.
pub const STORED_500: Behavior = behavior(
    "500, stored",
    Of::Creates,
    "[[faults.rules]]\non = [\"create\"]\nfault.status = { status = 500, stored = true }",
);
/// Whole downloads that leave lines out.
pub const SHORT: Behavior = behavior(
    "results cut at a line's end",
    Of::Results,
    "[[faults.rules]]\non = [\"results\"]\nfault.lines = { what = \"no_newline\", at = [0] }\n\
     [[faults.rules]]\non = [\"results\"]\nskip = 1\nfault.lines = { what = \"missing\", at = [0] }",
);
/// Batches that take long enough to be canceled under way.
pub const SLOW: Behavior = behavior(
    "slow batches",
    Of::Nothing,
    "turnaround = { min_ms = 1500, max_ms = 1500 }",
);
/// Creates that stored nothing and do not say so, while somebody else's batches
/// of every size run in the same workspace.
pub const FOREIGN: Behavior = Behavior {
    shared: true,
    ..behavior(
        "500 beside foreign batches alike",
        Of::Creates,
        "turnaround = { min_ms = 800, max_ms = 800 }\n\
         [[faults.rules]]\non = [\"create\"]\nfault.foreign = { items = 1 }\n\
         [[faults.rules]]\non = [\"create\"]\nfault.foreign = { items = 2 }\n\
         [[faults.rules]]\non = [\"create\"]\nfault.foreign = { items = 3 }\n\
         [[faults.rules]]\non = [\"create\"]\nfault.foreign = { items = 4 }\n\
         [[faults.rules]]\non = [\"create\"]\nskip = 1\ntimes = 2\n\
         fault.status = { status = 500 }",
    )
};
/// A lost create that no list shows before its jobs have gone on.
pub const HIDDEN: Behavior = Behavior {
    hidden: Hidden::For(Duration::from_secs(18)),
    ..behavior(
        "answer lost, hidden beyond the settle time",
        Of::Creates,
        "[[faults.rules]]\non = [\"create\"]\nfault.reset = { when = \"answer\" }\n\
         [[faults.rules]]\non = [\"list\"]\ntimes = \"always\"\nfault.list_lag = { ms = 18000 }",
    )
};
/// Some creates are refused as too large.
pub const TOO_LARGE: Behavior = behavior(
    "413",
    Of::Creates,
    "[[faults.rules]]\non = [\"create\"]\nfault.status = { status = 413 }",
);
/// Nothing stored, and no way to know.
pub const UNSTORED_500: Behavior = behavior(
    "500, not stored",
    Of::Creates,
    "[[faults.rules]]\non = [\"create\"]\nfault.status = { status = 500 }",
);
/// Batches that Anthropic says it does not know, two times, and then knows.
pub const NOT_FOUND: Behavior = behavior(
    "404 now and then",
    Of::Results,
    "[[faults.rules]]\non = [\"retrieve\", \"results\"]\ntimes = 2\nfault.status = { status = 404 }",
);
/// Lines that name no job of their batch.
pub const STRAY: Behavior = behavior(
    "stray lines",
    Of::Results,
    "[[faults.rules]]\non = [\"results\"]\ntimes = \"always\"\n\
     fault.lines = { what = \"unknown\", at = [1] }",
);

/// Direct calls that are billed, and their answers lost.
pub const CALL_LOST: Behavior = behavior(
    "answer to a call lost",
    Of::Calls,
    "[[faults.rules]]\non = [\"messages\"]\nfault.reset = { when = \"answer\" }",
);

/// Each of them, for every crash point.
pub const ALL: &[Behavior] = &[
    PLAIN,
    LOST,
    LOST_LATE,
    STORED_500,
    UNSTORED_500,
    TOO_LARGE,
    HIDDEN,
    FOREIGN,
    STRAY,
    SHORT,
    SLOW,
    NOT_FOUND,
    CALL_LOST,
    behavior(
        "calls are told to wait",
        Of::Calls,
        "[[faults.rules]]\non = [\"messages\"]\nfault.status = { status = 429, retry_after = \"1\" }",
    ),
    behavior(
        "504 page, stored",
        Of::Creates,
        "[[faults.rules]]\non = [\"create\"]\nfault.status = { status = 504, stored = true, body = \"html\" }",
    ),
    behavior(
        "529",
        Of::Creates,
        "[[faults.rules]]\non = [\"create\"]\ntimes = 2\nfault.status = { status = 529 }",
    ),
    behavior(
        "429",
        Of::Creates,
        "[[faults.rules]]\non = [\"create\"]\nfault.status = { status = 429, retry_after = \"1\" }",
    ),
    behavior(
        "reset in the upload",
        Of::Creates,
        "[[faults.rules]]\non = [\"create\"]\nfault.reset = { when = \"upload\" }",
    ),
    behavior(
        "half an answer",
        Of::Creates,
        "[[faults.rules]]\non = [\"create\"]\nfault.half = { framed = false }",
    ),
    behavior(
        "results reset",
        Of::Results,
        "[[faults.rules]]\non = [\"results\"]\ntimes = 2\nfault.lines = { what = \"reset\", at = [1] }",
    ),
    behavior(
        "results twice over",
        Of::Results,
        "[[faults.rules]]\non = [\"results\"]\ntimes = \"always\"\n\
         fault.lines = { what = \"duplicate\", at = [0, 1] }",
    ),
    behavior(
        "404 while young",
        Of::Results,
        "[[faults.rules]]\non = [\"retrieve\", \"results\"]\nyounger_ms = 800\ntimes = \"always\"\n\
         fault.status = { status = 404 }",
    ),
    behavior(
        "items fail",
        Of::Results,
        "[[faults.rules]]\non = [\"create\"]\nfault.batch = { errored = { overloaded_error = 0.5 } }",
    ),
    behavior(
        "items expire",
        Of::Results,
        "[[faults.rules]]\non = [\"create\"]\nfault.batch = { expired = 0.5 }",
    ),
];

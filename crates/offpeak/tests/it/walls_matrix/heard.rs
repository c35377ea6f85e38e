//! What a live connection of another tenant hears: over a WebSocket and as server-sent
//! events, with topics, watched jobs and cursors of the victim's.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Trial;
use super::ask::settle;
use super::stage::{Actor, As, CANARY, Stage, USER, missing};
use crate::api_tickets::job_of;
use crate::live::{Live, SOON, relay};

/// What one asks to hear of, beside what is the asker's own.
#[derive(Clone, Debug)]
struct Wish {
    mode: &'static str,
    topic: Option<String>,
    cursor: Option<String>,
    watch: Option<String>,
}

/// Each with what is the victim's, and with what nobody has. A cursor counts the events
/// of whoever gives it, whoever it was given to.
fn wishes(stage: &Stage) -> Vec<(Wish, Wish)> {
    let victim = &stage.victim;
    let mut all = Vec::new();
    for mode in ["events", "view"] {
        let nothing = Wish {
            mode,
            topic: None,
            cursor: None,
            watch: None,
        };
        let group = |id: &str| Wish {
            topic: Some(format!("group:{id}")),
            ..nothing.clone()
        };
        all.push((group(&victim.group), group(&missing(&victim.group))));
        let from = Wish {
            cursor: Some(victim.event.clone()),
            ..nothing.clone()
        };
        all.push((from.clone(), from));
        if mode == "view" {
            for job in [&victim.queued, &victim.completed] {
                let watch = |job: &str| Wish {
                    watch: Some(job.to_owned()),
                    ..nothing.clone()
                };
                all.push((watch(job), watch(&missing(job))));
            }
        }
    }
    all
}

pub(super) async fn try_streams(stage: &Stage, trial: &mut Trial) -> Result<()> {
    let listens = |actor: &&Actor| matches!(actor.as_whom, As::Spy | As::SpysUser);
    // With another's id bound nothing comes at all, so that each waits for a beat.
    let some = if stage.is_bound { 1 } else { usize::MAX };
    for actor in stage.actors.iter().filter(listens).take(some) {
        for (theirs, nobodys) in wishes(stage) {
            let who = format!("{theirs:?} by {}", actor.name);
            let there = over_socket(stage, trial, actor, &theirs)
                .await
                .with_context(|| who.clone())?;
            let none = over_socket(stage, trial, actor, &nobodys).await?;
            trial.case(there == none, || {
                format!("{who}: {there:#?}, and of nobody: {none:#?}")
            });
            if theirs.watch.is_none() {
                let there = over_events(stage, trial, actor, &theirs)
                    .await
                    .with_context(|| who.clone())?;
                let none = over_events(stage, trial, actor, &nobodys).await?;
                trial.case(there == none, || {
                    format!("{who}: {there:#?}, and of nobody: {none:#?}")
                });
            }
        }
    }
    Ok(())
}

/// The victim submits a job and so does the other, both for a user of one name. Gives
/// both.
async fn submitted(stage: &Stage) -> Result<(String, String)> {
    let api = &stage.api;
    let theirs = api.submit(&stage.victim.key, job_of(USER, CANARY)).await?;
    let own = if stage.is_bound {
        String::new()
    } else {
        api.submit(&stage.spy.key, job_of(USER, "Own.")).await?
    };
    relay(api).await?;
    Ok((theirs, own))
}

/// What came, until all that was to come has.
struct Heard<'a> {
    stage: &'a Stage,
    wish: &'a Wish,
    theirs: String,
    own: String,
    text: String,
    beats: usize,
    said: BTreeSet<String>,
}

impl Heard<'_> {
    /// Takes a frame. True when no more is to be waited for.
    fn takes(&mut self, frame: &Value) -> bool {
        self.text.push_str(&frame.to_string());
        let kind = frame["t"].as_str().unwrap_or_default();
        let mut told: Vec<Value> = Vec::new();
        match kind {
            "beat" => self.beats += 1,
            "hello" | "counts" => {}
            "bye" | "resync" => told.push(json!([kind, frame["why"]])),
            _ => {
                for part in ["events", "jobs", "batches"] {
                    told.extend(frame[part].as_array().into_iter().flatten().cloned());
                }
            }
        }
        for mut one in told {
            settle(&mut one);
            // How many jobs one event tells of depends on when it was numbered.
            for counted in ["/jobs", "/costs"] {
                if let Some(all) = one.pointer_mut(counted).and_then(Value::as_array_mut) {
                    all.truncate(1);
                }
            }
            self.said.insert(one.to_string());
        }
        if self.stage.is_bound {
            return self.beats == 2 || kind == "bye";
        }
        // Watched beside the victim's, and read by one statement with it.
        let watched = self.wish.watch.is_none() || self.text.contains(&self.stage.spy.completed);
        self.text.contains(&self.own) && watched || kind == "bye" || self.beats == 5
    }

    fn ends(self, trial: &mut Trial, who: &str) -> BTreeSet<String> {
        let asked = [&self.wish.topic, &self.wish.watch];
        let asked = asked.into_iter().flatten().next();
        let asked = asked.map_or("", |asked| asked.trim_start_matches("group:"));
        trial.secrets(self.stage, who, &self.text, asked);
        trial.case(self.stage.is_bound || self.beats < 5, || {
            format!("{who} heard nothing of its own: {}", self.text)
        });
        trial.case(!self.text.contains(&self.theirs), || {
            format!("{who} heard of the victim's {}: {}", self.theirs, self.text)
        });
        self.said
    }
}

async fn over_socket(
    stage: &Stage,
    trial: &mut Trial,
    actor: &Actor,
    wish: &Wish,
) -> Result<BTreeSet<String>> {
    let presents = actor.presents();
    let mut headers = vec![("sec-websocket-protocol", "offpeak.live.v1")];
    headers.extend(presents.iter().map(|(name, value)| (*name, value.as_str())));
    let mut live = Live::connect(&stage.api, &headers).await?;
    let user = format!("user:{USER}");
    let mut topics = vec!["jobs", &user];
    topics.extend(wish.topic.as_deref());
    let mut hello = json!({"t": "hello", "mode": wish.mode, "topics": topics});
    if let Some(cursor) = &wish.cursor {
        hello["cursor"] = cursor.as_str().into();
    }
    live.say(hello).await?;
    let first = live.next().await?.context("no first frame")?;
    let first = serde_json::to_value(first.ok())?;
    if let Some(job) = &wish.watch {
        live.say(json!({"t": "watch", "jobs": [job, stage.spy.completed]}))
            .await?;
    }
    let (theirs, own) = submitted(stage).await?;
    let mut heard = begun(stage, wish, theirs, own);
    let mut done = heard.takes(&first);
    while !done {
        match live.next().await? {
            Some(Ok(frame)) => done = heard.takes(&serde_json::to_value(frame)?),
            _ => break,
        }
    }
    Ok(heard.ends(trial, &format!("{wish:?} over a socket by {}", actor.name)))
}

async fn over_events(
    stage: &Stage,
    trial: &mut Trial,
    actor: &Actor,
    wish: &Wish,
) -> Result<BTreeSet<String>> {
    let topic = (wish.topic.iter()).map(|topic| format!(",{topic}"));
    let topics = topic.fold(format!("jobs,user:{USER}"), |all, one| all + &one);
    let url = format!(
        "{}/v1/events?mode={}&topics={topics}",
        stage.api.url, wish.mode
    );
    let mut request = stage.api.http().get(url).header("x-request-id", "same");
    for (name, value) in actor.presents() {
        request = request.header(name, value);
    }
    if let Some(cursor) = &wish.cursor {
        request = request.header("last-event-id", cursor);
    }
    let mut answer = request.send().await?;
    let refused = !answer.status().is_success();
    let (theirs, own) = submitted(stage).await?;
    let mut heard = begun(stage, wish, theirs, own);
    let (mut text, mut taken, mut done) = (String::new(), 0, false);
    while !done {
        let Some(bytes) = timeout(SOON, answer.chunk()).await.context("silence")?? else {
            break;
        };
        text.push_str(&String::from_utf8_lossy(&bytes));
        while let Some(end) = text[taken..].find("\n\n") {
            let event = &text[taken..taken + end];
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            done |= match data {
                Some(data) => heard.takes(&serde_json::from_str(data)?),
                None => false,
            };
            taken += end + 2;
        }
    }
    if refused {
        heard.said.insert(text);
    } else {
        ensure!(done, "the stream ended: {text}");
    }
    Ok(heard.ends(trial, &format!("{wish:?} as events by {}", actor.name)))
}

fn begun<'a>(stage: &'a Stage, wish: &'a Wish, theirs: String, own: String) -> Heard<'a> {
    Heard {
        stage,
        wish,
        theirs,
        own,
        text: String::new(),
        beats: 0,
        said: BTreeSet::new(),
    }
}

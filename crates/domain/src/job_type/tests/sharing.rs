//! What the requests of a job type have in common.

use serde_json::{Value, json};

use super::compiled;
use crate::cache::Mark;
use crate::job_type::{Compiled, JobType};

fn with_system(system: &str) -> Compiled {
    let summarize = compiled("summarize");
    Compiled::new(JobType {
        system: system.to_owned(),
        ..summarize.job_type().clone()
    })
    .unwrap()
}

/// Whatever the input: the same bytes up to the mark's place, and with the mark
/// in it the last block of the system prompt has it.
#[test]
fn all_of_a_type_begin_alike_and_can_be_marked() {
    let compiled = with_system(&"A rule. ".repeat(400));
    let contexts = [
        "Rules of the house, \"quoted\".\n",
        "",
        "More {{ of }} them.",
    ];
    for head in [compiled.head().clone(), compiled.head_with(&contexts)] {
        let prefix = head.prefix().unwrap();
        let at = usize::try_from(prefix.mark_at).unwrap();
        let bodies = ["one", "another, longer one"].map(|text| {
            let body = compiled.render_after(&head, &json!({ "text": text }));
            body.unwrap()
        });
        assert_eq!(bodies[0][..at], bodies[1][..at]);
        for body in bodies {
            let mut marked = body.clone();
            let mark = Mark::OneHour.text().bytes();
            drop(marked.splice(at..at, mark));
            let mut marked: Value = serde_json::from_slice(&marked).unwrap();
            let blocks = marked["system"].as_array_mut().unwrap();
            let last = blocks.last_mut().unwrap().as_object_mut().unwrap();
            assert_eq!(last.remove("cache_control").unwrap()["ttl"], "1h");
            let plain: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(marked, plain, "and nothing else is changed");
        }
    }
    let head = compiled.head_with(&contexts);
    let body = compiled
        .render_after(&head, &json!({ "text": "x" }))
        .unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let texts: Vec<_> = body["system"].as_array().unwrap()[1..]
        .iter()
        .map(|block| block["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        [contexts[0], contexts[2]],
        "an empty one is no block"
    );
}

#[test]
fn what_keeps_requests_apart_is_in_the_hash() {
    let base = with_system(&"A rule. ".repeat(400));
    let hash = |compiled: &Compiled, contexts: &[&str]| {
        compiled.head_with(contexts).prefix().unwrap().hash
    };
    let first = hash(&base, &["a", "b"]);
    assert_eq!(first, hash(&base, &["a", "b"]));
    let changed = |change: fn(&mut JobType)| {
        let mut job_type = base.job_type().clone();
        change(&mut job_type);
        hash(&Compiled::new(job_type).unwrap(), &["a", "b"])
    };
    let others = [
        hash(&base, &["b", "a"]),
        hash(&base, &["ab"]),
        changed(|one| one.model = "claude-opus-5-5".into()),
        changed(|one| one.max_tokens += 1),
        changed(|one| one.system.push('!')),
        changed(|one| one.output_schema = Some(json!({ "type": "object" }))),
    ];
    assert!(others.iter().all(|other| *other != first));
    let renamed = changed(|one| one.template.push_str(" Be quick."));
    assert_eq!(renamed, first, "what follows is each one's own");
}

#[test]
fn what_the_model_does_not_cache_is_not_shared() {
    // Four bytes are a token; this model caches from 512 on.
    assert!(with_system(&"x".repeat(511 * 4)).head().prefix().is_none());
    let long = with_system(&"x".repeat(511 * 4 + 1)).head().prefix();
    assert_eq!(long.unwrap().tokens, 512);
    let short = with_system("x");
    assert!(
        short
            .head_with(&["y".repeat(2_044).as_str()])
            .prefix()
            .is_some()
    );
    let body = with_system("").render(&json!({ "text": "x" })).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body.get("system"), None);
}

//! Scripts: from a file at the start, over the admin endpoint later.

use offpeak_standin::{Call, Fault, Gzip, Rule, Script, Times, Turnaround};
use serde_json::{Value, json};

use crate::desk::{Desk, items};

const TOML: &str = r#"
seed = 7
turnaround = { min_ms = 1000, max_ms = 2000 }

[behavior]
gzip = "off"
cancel_ended = 200

[[faults.rules]]
on = ["create"]
times = 2
fault.status = { status = 529, stored = true }

[[faults.rules]]
on = ["results"]
times = "always"
chance = 0.5
fault.lines = { what = "truncate", at = [3] }

[[faults.rules]]
on = ["create"]
fault.batch = { errored = { overloaded_error = 0.2 }, refused = 0.1 }

[[faults.rules]]
fault = "hang"
skip = 99
"#;

#[test]
fn toml_and_json_say_the_same() {
    let script = Script::parse(TOML).unwrap();
    assert_eq!((script.seed, script.behavior.gzip), (Some(7), Gzip::Off));
    let range = Turnaround {
        min_ms: 1000,
        max_ms: 2000,
    };
    assert_eq!(script.turnaround, Some(range));
    assert_eq!(script.faults.rules.len(), 4);
    assert_eq!(script.faults.rules[1].times, Times::ALWAYS);
    let hang = Rule {
        skip: 99,
        ..Rule::new([Call::Any], Fault::Hang)
    };
    assert_eq!(script.faults.rules[3], hang);
    let json = serde_json::to_string(&script).unwrap();
    assert_eq!(Script::parse(&json).unwrap(), script);
    assert_eq!(Script::parse("").unwrap(), Script::default());
}

#[test]
fn what_is_wrong_with_a_script_is_said() {
    for (wrong, named) in [
        ("sed = 7", "sed"),
        ("[behavior]\ngzip = \"maybe\"", "maybe"),
        (
            "{\"faults\":{\"rules\":[{\"fault\":\"explode\"}]}}",
            "explode",
        ),
        (
            "[[faults.rules]]\nfault.status = { code = \"x\" }",
            "status",
        ),
        ("seed = ", "line 1"),
    ] {
        let error = Script::parse(wrong).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    assert!(Script::read("no/such/file".as_ref()).is_err());
}

#[tokio::test]
async fn a_script_holds_from_the_start_and_until_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.toml");
    std::fs::write(&path, TOML).unwrap();
    let script = Script::read(&path).unwrap();
    let desk = Desk::with(|options| options.script = Some(script)).await;
    let (_, _, state) = desk.get("/_standin/state").await;
    assert_eq!(
        state["turnaround"],
        json!({ "min_ms": 1000, "max_ms": 2000 })
    );
    assert_eq!(state["behavior"]["cancel_ended"], 200);
    desk.try_create(&items(2)).await.unwrap_err();

    desk.set("script", json!({ "behavior": { "results_early": 404 } }))
        .await;
    let batch = desk.create(&items(2)).await;
    let path = format!("/v1/messages/batches/{}/results", batch.id);
    assert_eq!(desk.get(&path).await.0, 404);
    let (_, _, state) = desk.get("/_standin/state").await;
    assert_eq!(
        state["behavior"]["cancel_ended"], 400,
        "the old one is gone"
    );
    let wrong = json!({ "behaviour": {} });
    let (status, _, _) = desk.call("POST", "/_standin/script", &[], &wrong).await;
    assert_eq!(status, 400);
    assert_eq!(
        desk.call("GET", "/_standin/behavior", &[], &Value::Null)
            .await
            .0,
        200
    );
}

/// Every script that the documentation shows can be used.
#[test]
fn the_documented_scripts_are_scripts() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/standin.md");
    let text = std::fs::read_to_string(docs).unwrap();
    let mut shown = 0;
    for block in text.split("```toml\n").skip(1) {
        let script = block.split("```").next().unwrap();
        let parsed = Script::parse(script);
        assert!(parsed.is_ok(), "{parsed:?}\n{script}");
        shown += 1;
    }
    for block in text.split("```json\n").skip(1) {
        let script = block.split("```").next().unwrap();
        let parsed = Script::parse(script);
        assert!(parsed.is_ok(), "{parsed:?}\n{script}");
        shown += 1;
    }
    for line in text.split("`fault.").skip(1) {
        let fault = line.split('`').next().unwrap();
        let parsed = Script::parse(&format!("[[faults.rules]]\nfault.{fault}"));
        assert!(parsed.is_ok(), "{parsed:?}\n{fault}");
        shown += 1;
    }
    assert!(shown >= 5, "{shown}");
    let json = serde_json::to_value(offpeak_standin::Behavior::default()).unwrap();
    for switch in json.as_object().unwrap().keys() {
        assert!(
            text.contains(&format!("`{switch}`")),
            "{switch} is not documented"
        );
    }
}

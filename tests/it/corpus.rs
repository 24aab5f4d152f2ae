//! GitHub's own example payloads: every one of the events that we read is understood, every other is ignored, and no
//! new action, vanished account or added field makes a delivery unreadable.

use std::collections::BTreeMap;

use cloud_agent::webhook::{Heard, Names, hear, ignorable};
use serde_json::{Value, json};

/// `(event, payload)` of every example, of github.com and of all versions of GitHub Enterprise Server.
fn examples() -> Vec<(String, Value)> {
    let root =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/npm/node_modules/@octokit/webhooks-examples");
    let mut found = Vec::new();
    for host in std::fs::read_dir(&root).unwrap_or_else(|_| panic!("run script/setup: no {}", root.display())) {
        let file = host.unwrap().path().join("index.json");
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        for event in events {
            let name = event["name"].as_str().unwrap().to_owned();
            let payloads = event["examples"].as_array().cloned().unwrap_or_default();
            found.extend(payloads.into_iter().map(|payload| (name.clone(), payload)));
        }
    }
    assert!(found.len() > 300, "the corpus is there and whole: {}", found.len());
    found
}

fn names() -> Names {
    Names { mention: "cloud-agent".to_owned(), label: "bug".to_owned() }
}

#[test]
fn every_example_is_read_or_ignored() {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (event, payload) in examples() {
        let bytes = serde_json::to_vec(&payload).unwrap();
        let envelope = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{event}: {error}"));
        let heard = match ignorable(&event, &envelope, &names()) {
            Some(_) => "ignored at the door",
            None => match hear(&event, &bytes, &names(), 1) {
                Ok(Heard::Ask(_)) => "asks",
                Ok(Heard::Nothing(_)) => "ignored by the worker",
                Err(error) => panic!("{event}: {error}\n{payload:#}"),
            },
        };
        // The events that we read, read whole, whatever their action.
        if matches!(event.as_str(), "issues" | "issue_comment") {
            hear(&event, &bytes, &names(), 1).unwrap_or_else(|error| panic!("{event}: {error}\n{payload:#}"));
            *told.entry(format!("{event} {heard}")).or_default() += 1;
        } else {
            assert_eq!(heard, "ignored at the door", "{event}");
        }
    }
    insta::assert_debug_snapshot!(told, @r#"
    {
        "issue_comment ignored at the door": 20,
        "issues asks": 2,
        "issues ignored at the door": 46,
        "issues ignored by the worker": 2,
    }
    "#);
}

#[test]
fn what_github_may_change_tomorrow_changes_nothing() {
    let reads = ["issues", "issue_comment"];
    for (event, payload) in examples().into_iter().filter(|(event, _)| reads.contains(&event.as_str())) {
        for change in [
            json!({ "action": "made_up_tomorrow" }),
            json!({ "x_new": { "deep": [1, null, "x"] } }),
            json!({ "organization": null, "enterprise": {} }),
        ] {
            let mut payload = payload.clone();
            payload.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            hear(&event, payload.to_string().as_bytes(), &names(), 1)
                .unwrap_or_else(|error| panic!("{event}: {error}"));
        }
        let mut payload = payload.clone();
        payload["issue"]["user"] = Value::Null;
        payload["issue"]["body"] = Value::Null;
        if payload["comment"].is_object() {
            payload["comment"]["user"] = Value::Null;
        }
        hear(&event, payload.to_string().as_bytes(), &names(), 1).unwrap_or_else(|error| panic!("{event}: {error}"));
    }
}

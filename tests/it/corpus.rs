//! GitHub's own example payloads: every one of the events that we read is understood, every other is ignored, and no
//! new action, vanished account or added field makes a delivery unreadable.

use std::collections::BTreeMap;

use cloud_agent::webhook::{Heard, Names, Us, hear, ignorable};
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

const US: Us = Us { bot_id: 1, app_id: 1 };
/// The events that we read.
const READ: [&str; 12] = [
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "check_run",
    "check_suite",
    "merge_group",
    "installation",
    "installation_repositories",
    "installation_target",
    "repository",
];

fn names() -> Names {
    Names { mention: "cloud-agent".to_owned() }
}

#[test]
fn every_example_is_read_or_ignored() {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for (event, payload) in examples() {
        let bytes = serde_json::to_vec(&payload).unwrap();
        let envelope = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{event}: {error}"));
        let heard = match ignorable(&event, &envelope, &names()) {
            Some(_) => "ignored at the door",
            None => match hear(&event, &bytes, &names(), US) {
                Ok(Heard::Ask(_)) => "asks",
                Ok(Heard::Pull(_)) => "tells of a pull request",
                Ok(Heard::Click(_)) => "clicks",
                Ok(Heard::Edited(_)) => "tells of an edit",
                Ok(Heard::MergeGroup { .. }) => "asks for a merge group",
                Ok(Heard::Installation(_)) => "tells of a change",
                Ok(Heard::Nothing(_)) => "ignored by the worker",
                Err(error) => panic!("{event}: {error}\n{payload:#}"),
            },
        };
        // The events that we read, read whole, whatever their action.
        if READ.contains(&event.as_str()) {
            hear(&event, &bytes, &names(), US).unwrap_or_else(|error| panic!("{event}: {error}\n{payload:#}"));
            *told.entry(format!("{event} {heard}")).or_default() += 1;
        } else {
            assert_eq!(heard, "ignored at the door", "{event}");
        }
    }
    insta::assert_debug_snapshot!(told, @r#"
    {
        "check_run ignored at the door": 15,
        "check_run ignored by the worker": 3,
        "check_suite ignored at the door": 16,
        "check_suite ignored by the worker": 4,
        "installation ignored at the door": 4,
        "installation tells of a change": 12,
        "installation_repositories tells of a change": 12,
        "issue_comment ignored at the door": 16,
        "issue_comment ignored by the worker": 2,
        "issue_comment tells of an edit": 2,
        "issues asks": 2,
        "issues ignored at the door": 36,
        "issues ignored by the worker": 12,
        "merge_group asks for a merge group": 2,
        "pull_request asks": 4,
        "pull_request ignored at the door": 21,
        "pull_request ignored by the worker": 3,
        "pull_request tells of a pull request": 18,
        "pull_request_review ignored at the door": 11,
        "pull_request_review_comment ignored at the door": 11,
        "pull_request_review_comment tells of an edit": 1,
        "repository ignored at the door": 20,
        "repository ignored by the worker": 4,
        "repository tells of a change": 2,
    }
    "#);
}

#[test]
fn what_github_may_change_tomorrow_changes_nothing() {
    for (event, payload) in examples().into_iter().filter(|(event, _)| READ.contains(&event.as_str())) {
        for change in [
            json!({ "action": "made_up_tomorrow" }),
            json!({ "x_new": { "deep": [1, null, "x"] } }),
            json!({ "organization": null, "enterprise": {} }),
        ] {
            let mut payload = payload.clone();
            payload.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            hear(&event, payload.to_string().as_bytes(), &names(), US)
                .unwrap_or_else(|error| panic!("{event}: {error}"));
        }
        let mut payload = payload.clone();
        for part in ["issue", "pull_request", "comment", "review"] {
            if payload[part].is_object() {
                payload[part]["user"] = Value::Null;
                payload[part]["body"] = Value::Null;
            }
        }
        if payload["pull_request"]["head"].is_object() {
            payload["pull_request"]["head"]["repo"] = Value::Null;
        }
        hear(&event, payload.to_string().as_bytes(), &names(), US).unwrap_or_else(|error| panic!("{event}: {error}"));
    }
}

//! Deliveries: whatever the door turns away, the worker would not have acted on.

use cloud_agent::webhook::{Envelope, Heard, Names, Us, hear, ignorable, json_of};
use serde_json::Value;

use super::choice;

const EVENTS: [&str; 14] = [
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
    "ping",
    "made_up_tomorrow",
];
const FORM: &str = "application/x-www-form-urlencoded";
const US: Us = Us { bot_id: 41, app_id: 42 };

/// The first byte chooses the event and how the body is written, the rest is the body.
pub fn holds(data: &[u8]) {
    let (chosen, raw) = choice(data);
    let event = EVENTS[chosen % EVENTS.len()];
    let content_type = if chosen < 128 { "application/json" } else { FORM };
    let Ok(json) = json_of(content_type, raw) else { return };
    let again = json_of("application/json", &json).expect("bare JSON has no form to miss");
    assert_eq!(again, json, "mended twice is mended once");
    if content_type != FORM {
        assert_eq!(json.len(), raw.len(), "mending moves nothing");
    }

    let names = Names { mention: "cloud-agent".to_owned() };
    let heard = hear(event, &json, &names, US);
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&json) else { return };
    let ignored = ignorable(event, &envelope, &names);
    match heard {
        Ok(Heard::Ask(ask)) => {
            assert_ne!(ask.asker.id, US.bot_id, "we ask nothing of ourselves");
            assert!(ignored.is_none() || is_odd(&json), "the door turned an ask away: {ignored:?}");
        }
        Ok(Heard::Nothing(_)) | Err(_) => (),
        Ok(other) => assert!(ignored.is_none(), "the door turned away {other:?}: {ignored:?}"),
    }
}

/// A pull request of ours whose author does not say that it is a bot, which GitHub never sends.
fn is_odd(json: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<Value>(json) else { return true };
    let author = &json["pull_request"]["user"];
    author["id"] == US.bot_id && author["type"] != "Bot"
}

//! What `ca` makes of servers that refuse, break off and ask to be left alone, and of outputs that take nothing.

use std::fs::OpenOptions;
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::line::{line, said};
use super::machine::Machine;

/// Somebody whose server gives these answers, one to each request, and what it was asked.
async fn with_answers(answers: Vec<String>) -> (Machine, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (seen, mut answers) = (heard.clone(), answers.into_iter());
    let url = line(None, move |asked| {
        seen.lock().unwrap().push(asked.to_owned());
        answers.next()
    });
    let me = Machine::bare().with("CA_API_KEY", "ca_test").with("CA_URL", &url.await);
    (me, heard)
}

fn full() -> std::fs::File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// The line of JSON that it ends with.
fn problem(err: &str) -> Value {
    serde_json::from_str(err.lines().last().unwrap_or_default()).unwrap_or_else(|_| panic!("no JSON: {err}"))
}

#[tokio::test]
async fn an_answer_that_could_not_be_written_fails() {
    let me = Machine::bare();
    let unwritten = me.ca_into(&["completions", "bash"], full()).await;
    assert_snapshot!(unwritten.steady(), @"
    # 1
    ca: the answer could not be written: No space left on device (os error 28)
    ");
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let unread = me.ca_into(&["completions", "bash"], closed).await;
    assert_eq!((unread.code, unread.err.as_str()), (0, ""), "whoever read it had enough");

    let made = json!({ "api_key": "ca_new", "key_id": "0197" }).to_string();
    let patch = "+hello\n";
    let (me, _) = with_answers(vec![said("201 Created", "", &made), said("200 OK", "", patch)]).await;
    let key = me.ca_into(&["keys", "create", "ci", "--scope", "tasks:read", "--json"], full()).await;
    let says = problem(&key.err)["detail"].as_str().unwrap().to_owned();
    assert!(
        key.code == 1 && says.contains("the key 0197 was made") && says.contains("`ca keys revoke 0197`"),
        "{says}"
    );
    assert!(!key.err.contains("ca_new"), "{}", key.err);
    let diff = me.ca_into(&["task", "diff", "x"], full()).await;
    assert!(diff.code == 1 && diff.err.contains("could not be written"), "{}", diff.err);
}

#[tokio::test]
async fn programs_are_told_in_json_what_went_wrong() {
    let told = json!({
        "type": "about:blank", "title": "Conflict", "status": 409, "code": "already_ended", "detail": "it has ended"
    });
    let (me, _) = with_answers(vec![said("409 Conflict", "", &told.to_string()), said("204 No Content", "", "")]).await;
    let late = me.ca(&["task", "cancel", "x", "--json"]).await;
    assert_eq!((late.code, late.out.as_str(), problem(&late.err)), (1, "", told));
    let revoked = me.ca(&["keys", "revoke", "0197", "--json"]).await;
    assert_eq!((revoked.code, revoked.json()), (0, vec![json!({ "key_id": "0197", "revoked": true })]));
    assert_eq!(me.ca(&["logout", "--json"]).await.json(), [json!({ "forgotten": false })]);

    let nobody = Machine::bare().with("CA_URL", "http://127.0.0.1:1");
    for (args, code, is) in [
        (vec!["status", "--json"], 1, "unreached"),
        (vec!["--json", "pr", "review", "7"], 2, "usage"),
        (vec!["task", "list", "--json", "--since", "soon"], 2, "usage"),
        (vec!["task", "list", "--json", "--api-key", "ca_test"], 2, "usage"),
    ] {
        let wrong = nobody.ca(&args).await;
        assert_eq!((wrong.code, &problem(&wrong.err)["code"]), (code, &is.into()), "{args:?}: {}", wrong.err);
        assert_eq!(wrong.err.lines().count(), 1, "{args:?}: {}", wrong.err);
    }
}

#[tokio::test]
async fn a_list_waits_for_a_server_that_asks_for_it() {
    let page = |next: Option<&str>| said("200 OK", "", &json!({ "tasks": [], "next_cursor": next }).to_string());
    let too_much = json!({ "status": 429, "code": "rate_limited", "detail": "wait" }).to_string();
    let too_much = || said("429 Too Many Requests", "retry-after: 0\r\n", &too_much);
    let (me, heard) = with_answers(vec![too_much(), page(Some("next")), too_much(), too_much(), page(None)]).await;
    let all = me.ca(&["task", "list", "--all", "--json"]).await;
    assert_eq!((all.code, all.json().len()), (0, 2), "{}", all.err);
    let heard = heard.lock().unwrap();
    assert!(heard.len() == 5 && heard.iter().all(|asked| asked.contains("limit=200")), "{heard:?}");
}

#[tokio::test]
async fn a_task_is_asked_for_again_when_its_answer_breaks_off() {
    let whole = json!({ "task_id": "0197", "status": "queued", "created_at": 1, "url": "http://x" }).to_string();
    let answers = vec![
        "HTTP/1.1 202 Accepted\r\ncontent-length: 500\r\n\r\n{\"task".to_owned(),
        said("502 Bad Gateway", "retry-after: 0\r\n", "<html>"),
        said("504 Gateway Timeout", "retry-after: 0\r\n", ""),
        said("202 Accepted", "", &whole),
    ];
    let (me, heard) = with_answers(answers).await;
    let made = me.ca(&["task", "create", "greet", "--repo", "octo/app"]).await;
    assert_eq!((made.code, made.out.as_str()), (0, "0197\n"), "{}", made.err);
    let keys: Vec<_> = heard.lock().unwrap().iter().map(|asked| key_of(asked)).collect();
    assert!(keys.len() == 4 && keys.iter().all(|key| !key.is_empty() && *key == keys[0]), "{keys:?}");

    let busy = said("503 Service Unavailable", "retry-after: 0\r\n", "busy");
    let (me, _) = with_answers(vec![busy; 6]).await;
    let lost = me.ca(&["task", "retry", "x", "--idempotency-key", "mine"]).await;
    assert!(lost.code == 1 && lost.err.ends_with("repeat it with --idempotency-key mine\n"), "{}", lost.err);
}

fn key_of(asked: &str) -> String {
    let found = asked.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
    found.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_key_goes_to_its_server_as_it_was_meant() {
    let ready = said("200 OK", "", &json!({ "status": "ready", "parts": {} }).to_string());
    let (me, heard) = with_answers(vec![ready]).await;
    let me = me.with("HTTP_PROXY", "http://127.0.0.1:1").with("CA_API_KEY", "ca_test\r\n");
    let status = me.ca(&["status"]).await;
    assert_eq!(status.code, 0, "no proxy stands between: {}", status.err);
    assert!(heard.lock().unwrap()[0].contains("authorization: Bearer ca_test\r\n"), "{heard:?}");
    let broken = me.with("CA_API_KEY", "ca_one\nca_two").ca(&["status"]).await;
    assert!(broken.code == 2 && broken.err.contains("CA_API_KEY") && !broken.err.contains("ca_one"), "{}", broken.err);
    let empty = Machine::bare().with("CA_URL", "").with("CA_GITHUB_URL", "").ca(&["logout"]).await;
    assert_eq!(empty.steady(), "# 0\nNothing was kept.");
}

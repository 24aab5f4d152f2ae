//! The Messages API as a plain client sees it.

use serde_json::{Value, json};
use simulator::model::{bash, text, thinking};
use simulator::{Model, Script};

async fn ask(model: &Model, key: &str, body: &Value) -> (u16, String) {
    let url = format!("{}/v1/messages?beta=true", model.url());
    let answer = reqwest::Client::new().post(url).header("x-api-key", key).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap_or_else(|_| "cut".to_owned()))
}

fn conversation(results: usize) -> Value {
    let mut messages = vec![json!({ "role": "user", "content": "fix [[it]]" })];
    for nth in 0..results {
        messages.push(json!({ "role": "assistant", "content": [] }));
        messages.push(json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": nth }] }));
    }
    json!({ "model": "m", "max_tokens": 9, "tools": [{ "name": "Bash" }], "messages": messages })
}

#[tokio::test]
async fn scripts_are_played_step_by_step() {
    let model = Model::start().await;
    assert_eq!(ask(&model, "wrong", &conversation(0)).await.0, 401);
    model.will(Script::steps(vec![vec![thinking("hm"), bash("echo {ARG}")], vec![text("done")]]));
    let key = model.api_key();
    let first = ask(&model, &key, &conversation(0)).await.1;
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&first["stop_reason"], &first["content"][1]["input"]["command"]),
        (&json!("tool_use"), &json!("echo it"))
    );
    let mut streamed = conversation(1);
    streamed["stream"] = json!(true);
    let events = ask(&model, &key, &streamed).await.1;
    assert!(events.starts_with("event: message_start\n") && events.contains("\"text\":\"done\""), "{events}");
    assert!(events.ends_with("\n\n") && events.contains("event: message_stop\n"));
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn the_model_can_fail() {
    let model = Model::start().await;
    let key = model.api_key();
    model.next(Script::flaky(2, 529, Script::says("recovered")));
    let statuses = [
        ask(&model, &key, &conversation(0)).await.0,
        ask(&model, &key, &conversation(0)).await.0,
        ask(&model, &key, &conversation(0)).await.0,
    ];
    assert_eq!(statuses, [529, 529, 200]);
    model.reset();
    model.will(Script::cut_stream());
    let mut streamed = conversation(0);
    streamed["stream"] = json!(true);
    assert_eq!(ask(&model, &key, &streamed).await.1, "cut");
    model.reset();
    model.will(Script::midstream_error());
    assert_eq!(ask(&model, &key, &conversation(0)).await.0, 529, "without a stream there is no middle");
}

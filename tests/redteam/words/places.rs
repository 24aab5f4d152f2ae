//! The ways out that are not GitHub: the API and the log.

use serde_json::Value;

use super::{KEY, answer, ask, world};
use crate::world::World;

const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----";

/// Everything that the API says of the newest task, as text.
async fn read(world: &World) -> String {
    let task = world.last_task(1).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut all = String::new();
    for path in ["tasks".to_owned(), format!("tasks/{}", task.id), format!("tasks/{}/logs", task.id)] {
        let url = format!("http://{}/api/v1/{path}", world.address());
        let answer = client.get(url).bearer_auth("ca_test").send().await.unwrap().text().await.unwrap();
        let value: Value = serde_json::from_str(&answer).expect("it is still JSON");
        all += &super::words_of(&value);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn class_01_the_api_and_the_log_say_no_key() {
    let mut world = world().await;
    world.set("ADMIN_API_KEY", "ca_test");
    world.set("RUST_LOG", "debug");
    let line = format!(
        r#"{{"type":"assistant","message":{{"id":"m","role":"assistant","content":[{{"type":"text","text":"I send {KEY}"}}]}}}}"#
    );
    world.claude_says(
        &format!("echo '{line}'; echo {KEY} >&2; echo more >> README.md"),
        &answer("Greet", &format!("{KEY} {PEM}")),
    );
    world.start_process().await;
    ask(&world, &format!("fix this, the token is {KEY}")).await;
    world.told();

    let said = read(&world).await;
    assert!(said.contains("fix this, the token is [redacted]") && said.contains("I send [redacted]"), "{said}");
    assert!(!said.contains(KEY), "{said}");
    let log = world.log();
    assert!(log.lines().count() > 20 && log.contains("Ended"), "{log}");
    assert!(!log.contains(KEY) && !log.contains(PEM));
    // What the bot itself holds is in neither.
    for (name, secret) in world.secrets() {
        assert!(!said.contains(&secret) && !log.contains(&secret), "{name}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_01_the_store_behind_the_api_has_the_persons_words() {
    let mut world = world().await;
    world.start().await;
    ask(&world, &format!("fix this, the token is {KEY}")).await;
    world.told();
    // Without the filter on the way out the API would say it.
    let task = world.last_task(1).await.unwrap();
    assert_eq!(task.prompt, format!("fix this, the token is {KEY}"));
}

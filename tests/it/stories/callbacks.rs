//! Whoever asked for a task through the API is called when it has ended.

use http::Method;
use serde_json::{Value, json};

use super::api::{ask, get, key};
use super::api_tasks::{order, task_id};
use super::ca::Machine;
use crate::world::{Database, Does, Receiver, World};

const SECRET: &str = "It's a Secret to Everybody";

/// A world whose Claude answers at once, and which calls back to loopback.
async fn calling(database: Database, settings: &[(&str, &str)]) -> World {
    let mut world = World::on(database).await;
    let answer = r#"{"title":"Answer","summary":"It says hello.","details":"","verification":"","changed":false}"#;
    world.claude_says("true", answer);
    for (name, value) in [("ADMIN_API_KEY", "ca_test"), ("CALLBACK_HOSTS", "127.0.0.1"), ("CALLBACK_RETRY", "50ms")] {
        world.set(name, value);
    }
    for (name, value) in settings {
        world.set(name, value);
    }
    world
}

fn wanted(receiver: &Receiver) -> Value {
    json!({ "prompt": "what does it say?", "repo": "octo/app", "callback_url": receiver.url, "callback_secret": SECRET })
}

async fn asked(world: &World, receiver: &Receiver) -> String {
    task_id(&order(world, "ca_test", wanted(receiver)).await)
}

async fn callback(world: &World, id: &str) -> Value {
    get(world, "ca_test", &format!("tasks/{id}")).await.json()["callback"].clone()
}

/// The callback, once it is over.
async fn over(world: &World, id: &str) -> Value {
    world.wait_for("the callback to be over", async || callback(world, id).await["status"] != "waiting").await;
    let callback = callback(world, id).await;
    assert!(callback["ended_at"].is_i64() && callback["next_at"].is_null(), "{callback}");
    assert_eq!(world.sql("select count(*) from task_secret").await, 0, "its address and secret are gone");
    callback
}

stories! {
    async fn the_end_of_a_task_is_told_to_whoever_asked(database: Database) {
        let receiver = Receiver::that(&[]).await;
        let mut world = calling(database, &[]).await;
        world.start().await;
        let me = Machine::of(&world);
        let create = ["task", "create", "what does it say?", "--repo", "octo/app", "--callback", &receiver.url];
        let unsigned = me.ca(&create).await;
        assert!(unsigned.code == 2 && unsigned.err.contains("put it into CA_CALLBACK_SECRET"), "{}", unsigned.err);
        let shown = me.ca(&[&create[..], &["--callback-secret", SECRET]].concat()).await;
        assert!(shown.code == 2 && shown.err.contains("set CA_CALLBACK_SECRET instead"), "{}", shown.err);

        let me = Machine::of(&world).with("CA_CALLBACK_SECRET", SECRET);
        let made = me.ca(&create).await;
        assert_eq!(made.code, 0, "{}", made.err);
        let id = made.out.trim();
        let callback = over(&world, id).await;
        assert_eq!((&callback["status"], &callback["tries"], &callback["last_status"]), (&json!("delivered"), &json!(1), &json!(204)));
        assert_eq!(callback["host"], json!(receiver.host));

        let heard = receiver.heard();
        assert_eq!(heard.len(), 1);
        assert!(heard[0].is_signed_with(SECRET) && !heard[0].is_signed_with("another secret of theirs"));
        assert_eq!((heard[0].header("x-cloud-agent-event"), heard[0].header("content-type")), ("task", "application/json"));
        assert_eq!(json!(heard[0].header("x-cloud-agent-delivery")), callback["delivery_id"]);
        let mut task = get(&world, "ca_test", &format!("tasks/{id}")).await.json();
        task.as_object_mut().unwrap().remove("callback");
        assert_eq!(heard[0].json(), task);
        assert_eq!((&task["status"], &task["result"]["summary"]), (&json!("completed"), &json!("It says hello.")));

        let card = me.ca(&["task", "get", id]).await;
        assert!(card.out.contains(&format!("callback {} delivered after 1 try\n", receiver.host)), "{}", card.out);
        let said = me.ca(&["task", "get", id, "--json"]).await.out;
        assert!(!said.contains("hidden") && !said.contains("Secret to"), "{said}");
        // One who hears of the next has to say so anew.
        let again = me.ca(&["task", "retry", id]).await;
        assert!(get(&world, "ca_test", &format!("tasks/{}", again.out.trim())).await.json()["callback"].is_null());
        world.settle().await;
        assert_eq!(receiver.heard().len(), 1);
        assert_eq!(world.told(), "");
    }

    async fn a_task_that_was_stopped_has_ended_too(database: Database) {
        let receiver = Receiver::that(&[]).await;
        let mut world = calling(database, &[]).await;
        world.claude_waits("true");
        world.start().await;
        let id = asked(&world, &receiver).await;
        world.claude_is_waiting().await;
        assert_eq!(callback(&world, &id).await["status"], "waiting");
        assert_eq!(receiver.heard().len(), 0);
        ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/cancel"), None).await;
        assert_eq!(over(&world, &id).await["status"], "delivered");
        assert_eq!(receiver.heard()[0].json()["status"], "cancelled");
        assert_eq!(world.told(), "");
    }

    async fn one_that_fails_is_called_again_and_can_tell_that_it_was(database: Database) {
        let receiver = Receiver::that(&[Does::Answers(500), Does::Answers(500)]).await;
        let mut world = calling(database, &[]).await;
        world.start().await;
        let id = asked(&world, &receiver).await;
        let callback = over(&world, &id).await;
        assert_eq!((&callback["status"], &callback["tries"], &callback["says"]), (&json!("delivered"), &json!(3), &Value::Null));
        let heard = receiver.heard();
        assert_eq!(heard.len(), 3);
        assert!(heard.iter().all(|it| json!(it.header("x-cloud-agent-delivery")) == callback["delivery_id"]));
        assert!(heard.iter().all(|it| it.body == heard[0].body && it.is_signed_with(SECRET)));
    }

    async fn one_that_leads_away_is_given_up_and_not_followed(database: Database) {
        let elsewhere = Receiver::that(&[]).await;
        let leads = Does::Redirects(elsewhere.url.clone());
        let receiver = Receiver::that(&[leads.clone(), leads]).await;
        let mut world = calling(database, &[("CALLBACK_TRIES", "2")]).await;
        world.start().await;
        let id = asked(&world, &receiver).await;
        let callback = over(&world, &id).await;
        assert_eq!((&callback["status"], &callback["tries"], &callback["last_status"]), (&json!("given_up"), &json!(2), &json!(307)));
        assert_eq!(callback["says"], "it answered 307 Temporary Redirect; redirects are not followed");
        assert_eq!((receiver.heard().len(), elsewhere.heard().len()), (2, 0));
        // Whoever is gone is not asked again.
        let gone = Receiver::that(&[Does::Answers(410)]).await;
        let id = asked(&world, &gone).await;
        let callback = over(&world, &id).await;
        assert_eq!((&callback["status"], &callback["tries"]), (&json!("given_up"), &json!(1)));
    }

    async fn one_that_hangs_is_left_after_its_time(database: Database) {
        let receiver = Receiver::that(&[Does::Hangs]).await;
        let mut world = calling(database, &[("CALLBACK_TIMEOUT", "300ms"), ("CALLBACK_RETRY", "2s")]).await;
        world.start().await;
        let id = asked(&world, &receiver).await;
        world.wait_for("the first try to be over", async || callback(&world, &id).await["tries"] == 1).await;
        let first = callback(&world, &id).await;
        if first["status"] == "waiting" {
            assert_eq!(first["says"], "it did not answer in time");
            assert!(first["next_at"].is_i64() && first["last_status"].is_null(), "{first}");
        }
        assert_eq!(over(&world, &id).await["status"], "delivered");
    }

    async fn kill_9_between_the_end_and_the_call(database: Database) {
        let receiver = Receiver::that(&[Does::Hangs]).await;
        let mut world = calling(database, &[("CALLBACK_TIMEOUT", "60s")]).await;
        world.start_process().await;
        let id = asked(&world, &receiver).await;
        world.wait_for("the call", async || receiver.heard().len() == 1).await;
        assert_eq!(get(&world, "ca_test", &format!("tasks/{id}")).await.json()["status"], "completed");
        world.kill();
        world.start_process().await;
        let callback = over(&world, &id).await;
        assert_eq!(callback["status"], "delivered");
        let heard = receiver.heard();
        assert_eq!(heard.len(), 2);
        assert!(heard.iter().all(|it| json!(it.header("x-cloud-agent-delivery")) == callback["delivery_id"]));
    }

    async fn nobody_is_called_where_no_call_may_go(database: Database) {
        let receiver = Receiver::that(&[]).await;
        let mut world = calling(database, &[("CALLBACK_HOSTS", &format!("{},127.0.0.1:9", receiver.host))]).await;
        world.claude_waits("true");
        world.start().await;
        let body = |url: &str, secret: Option<&str>| {
            json!({ "prompt": "say it", "repo": "octo/app", "callback_url": url, "callback_secret": secret })
        };
        for url in [
            "http://127.0.0.1:10/x",
            "https://127.0.0.1/x",
            "https://2130706433/x",
            "https://[::1]/x",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/x",
            "https://internal/x",
            "http://hooks.example.com/x",
            "ftp://hooks.example.com/x",
            "https://me:hush@hooks.example.com/x",
            "hooks.example.com",
        ] {
            assert_eq!(order(&world, "ca_test", body(url, Some(SECRET))).await.problem(), "422 invalid callback_url", "{url}");
        }
        for secret in [None, Some("short")] {
            let refused = order(&world, "ca_test", body(&receiver.url, secret)).await;
            assert_eq!(refused.problem(), "422 invalid callback_secret");
        }
        // Who is called reads the task.
        let (writes, _) = key(&world, json!({ "name": "writes", "scopes": ["tasks:write"] })).await;
        let refused = order(&world, &writes, body(&receiver.url, Some(SECRET))).await;
        assert_eq!(refused.problem(), "403 forbidden");
        assert!(refused.text.contains("`tasks:read`"), "{}", refused.text);
        let alone = json!({ "prompt": "say it", "repo": "octo/app", "callback_secret": SECRET });
        assert_eq!(order(&world, "ca_test", alone).await.problem(), "422 invalid callback_url");

        // The operator takes it back meanwhile.
        let id = asked(&world, &receiver).await;
        world.claude_is_waiting().await;
        world.stop().await;
        world.set("CALLBACK_HOSTS", "");
        world.claude_will("true");
        world.start().await;
        let callback = over(&world, &id).await;
        assert_eq!(callback["status"], "refused");
        assert!(callback["says"].as_str().unwrap().contains("CALLBACK_HOSTS"), "{callback}");
        assert_eq!(receiver.heard().len(), 0);
        world.told();
    }
}

//! A delivery is judged once more: as a rehearsal that does nothing, or for real; and many are forgotten at once.

use http::Method;
use serde_json::{Value, json};

use super::api::{Answer, ask, get, key};
use crate::world::{Database, World};

/// A world with an issue, in which the bot is called by this name.
async fn called(database: Database, mention: &str) -> World {
    let mut world = World::on(database).await;
    world.claude_will("echo 'hello, world' > README.md");
    world.set("ADMIN_API_KEY", "ca_test");
    world.set("MENTION", mention);
    world.start().await;
    world.issue("The greeting is short", "");
    world
}

/// What people have said, as deliveries, newest first.
async fn said(world: &World) -> Vec<Value> {
    let page = get(world, "ca_test", "deliveries?event=issue_comment").await.json();
    let ours = |it: &&Value| it["decision"] != "bots are not listened to";
    page["deliveries"].as_array().unwrap().iter().filter(ours).cloned().collect()
}

async fn newest(world: &World) -> String {
    said(world).await[0]["delivery_id"].as_str().unwrap().to_owned()
}

async fn replay(world: &World, key: &str, id: &str, dry: bool) -> Answer {
    let query = if dry { "?dry_run=true" } else { "" };
    ask(world, key, Method::POST, &format!("deliveries/{id}/replay{query}"), None).await
}

/// `status: decision` of a rehearsal.
async fn rehearsed(world: &World, id: &str) -> String {
    let answer = replay(world, "ca_test", id, true).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let view = answer.json();
    assert_eq!((&view["replay_of"], &view["delivery_id"]), (&json!(id), &Value::Null));
    format!("{}: {}", view["status"].as_str().unwrap(), view["decision"].as_str().unwrap())
}

async fn tasks(world: &World) -> i64 {
    get(world, "ca_test", "tasks").await.json()["total"].as_i64().unwrap()
}

stories! {
    async fn a_rehearsal_says_what_would_be_decided_and_does_nothing(database: Database) {
        let mut world = called(database, "cloud-agent").await;
        world.claude_waits("echo 'hello, world' > README.md");
        world.github.comment("alice", "octo/app#1", "nobody is named here").await;
        world.heard().await;
        let silent = newest(&world).await;
        world.github.comment("rita", "octo/app#1", "@cloud-agent fix this").await;
        world.heard().await;
        let refused = newest(&world).await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        let asked = newest(&world).await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent help").await;
        world.heard().await;
        let help = newest(&world).await;

        let running = rehearsed(&world, &asked).await;
        world.claude_goes_on();
        world.settle().await;
        world.told();
        let deliveries = said(&world).await.len();
        let ended = [&silent, &refused, &asked, &help].map(|id| rehearsed(&world, id));
        let ended = futures::future::join_all(ended).await;
        insta::assert_snapshot!([vec![running], ended].concat().join("\n"), @"
        ignored: the task that the same words have made has not ended
        ignored: it does not speak to us
        done: would refuse: not_a_writer
        done: would make a task (issue): fix this
        done: would say what one can say
        ");
        world.settle().await;
        assert_eq!((world.told().as_str(), tasks(&world).await, said(&world).await.len()), ("", 1, deliveries));
    }

    async fn what_nobody_heard_is_heard_by_a_replay(database: Database) {
        // The operator has named the bot wrongly, mends it, and does not want to ask everybody to say it again.
        let mut world = called(database, "cloudagent").await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();
        let unheard = newest(&world).await;
        assert_eq!(said(&world).await[0]["status"], "ignored");
        world.stop().await;
        world.set("MENTION", "cloud-agent");
        world.start().await;

        let answer = replay(&world, "ca_test", &unheard, false).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let new = answer.json()["delivery_id"].as_str().unwrap().to_owned();
        world.settle().await;
        assert_eq!(world.github.pulls("octo/app").len(), 1, "{}", world.told());
        let shown = get(&world, "ca_test", &format!("deliveries/{new}")).await.json();
        assert_eq!((&shown["replay_of"], &shown["decision"]), (&json!(unheard), &json!("made a task")));
        assert_eq!(get(&world, "ca_test", &format!("tasks/{}", shown["task_id"].as_str().unwrap())).await.json()["requester"], "alice");
        world.told();
    }

    async fn a_replay_makes_no_second_task_before_the_first_has_ended(database: Database) {
        let mut world = called(database, "cloud-agent").await;
        world.claude_waits("echo 'hello, world' > README.md");
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.claude_is_waiting().await;
        let asked = newest(&world).await;
        let decided = async |answer: Answer| {
            let id = answer.json()["delivery_id"].as_str().unwrap().to_owned();
            world.heard().await;
            let shown = get(&world, "ca_test", &format!("deliveries/{id}")).await.json();
            shown["decision"].as_str().unwrap().to_owned()
        };
        for _ in 0..2 {
            let open = decided(replay(&world, "ca_test", &asked, false).await).await;
            assert_eq!(open, "the task that the same words have made has not ended");
        }
        assert_eq!(tasks(&world).await, 1);
        world.claude_goes_on();
        world.settle().await;
        assert_eq!(decided(replay(&world, "ca_test", &asked, false).await).await, "made a task");
        // The second is a task of these words as well, and open now.
        world.claude_is_waiting().await;
        let open = decided(replay(&world, "ca_test", &asked, false).await).await;
        assert_eq!(open, "the task that the same words have made has not ended");
        world.claude_goes_on();
        world.settle().await;
        assert_eq!((tasks(&world).await, world.github.pulls("octo/app").len()), (2, 2));
        world.told();
        assert_eq!(world.github.comments("octo/app#1")[0].reactions.len(), 2, "👀 and 🚀, once");
    }

    async fn who_may_not_see_it_can_not_replay_it(database: Database) {
        let world = called(database, "cloud-agent").await;
        world.github.comment("alice", "octo/app#1", "nobody is named here").await;
        world.settle().await;
        world.told();
        let id = newest(&world).await;
        let scopes = ["deliveries:read", "deliveries:write", "tasks:write"];
        let (narrow, _) = key(&world, json!({ "name": "narrow", "scopes": scopes, "repositories": ["octo/lib"] })).await;
        let (reader, _) = key(&world, json!({ "name": "reader", "scopes": scopes[..1] })).await;
        for dry in [true, false] {
            assert_eq!(replay(&world, &narrow, &id, dry).await.problem(), "404 no_such_delivery");
            assert_eq!(replay(&world, &reader, &id, dry).await.problem(), "403 forbidden");
        }
        // What comes of it may be a task.
        let (half, _) = key(&world, json!({ "name": "half", "scopes": scopes[..2] })).await;
        assert_eq!(replay(&world, &half, &id, true).await.status, 200);
        let refused = replay(&world, &half, &id, false).await;
        assert_eq!(refused.problem(), "403 forbidden");
        assert!(refused.text.contains("`tasks:write`"), "{}", refused.text);
        let forget = async |key: &str, query: &str| ask(&world, key, Method::DELETE, &format!("deliveries{query}"), None).await;
        assert_eq!(forget(&reader, "?all=true").await.problem(), "403 forbidden");
        assert_eq!(forget(&narrow, "?all=true").await.json()["forgotten"], 0);
        assert_eq!(forget("ca_test", "?event=issue_comment&until=1").await.json()["forgotten"], 0);
        assert_eq!(replay(&world, "ca_test", &id, true).await.status, 200);

        for wrong in ["", "?all=false", "?all=true&event=push"] {
            assert_eq!(forget("ca_test", wrong).await.problem(), "422 invalid all", "{wrong}");
        }
        assert_eq!(forget("ca_test", "?event=issue_comment&repo=OCTO/app&status=ignored").await.json()["forgotten"], 1);
        assert_eq!(forget("ca_test", "?event=issue_comment").await.json()["forgotten"], 0, "it says nothing any more");
        for dry in [true, false] {
            assert_eq!(replay(&world, "ca_test", &id, dry).await.problem(), "409 body_gone");
        }
        assert_eq!(get(&world, "ca_test", &format!("deliveries/{id}")).await.json()["payload"], Value::Null);
    }
}

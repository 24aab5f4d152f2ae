//! A caller's own key for the model: used for their task alone, and gone with it.

use http::Method;
use serde_json::{Value, json};
use simulator::Script;

use super::api::{ask, get};
use super::api_tasks::{order, task_id};
use super::ca::Machine;
use crate::world::World;

const WRONG: &str = "sk-ant-api03-nobody-has-ever-had-this-key";

async fn task(world: &World, id: &str) -> Value {
    get(world, "ca_test", &format!("tasks/{id}")).await.json()
}

fn answer(summary: &str) -> Value {
    json!({ "title": "Answer", "summary": summary, "details": "", "verification": "", "changed": false })
}

async fn asked(world: &World, key: Option<&str>) -> String {
    let body = json!({ "prompt": "what does it say?", "repo": "octo/app", "anthropic_api_key": key });
    task_id(&order(world, "ca_test", body).await)
}

stories! {
    // The operator's key is refused, and nobody notices.
    async fn a_task_works_with_its_callers_key_alone(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.set("ADMIN_API_KEY", "ca_test");
        world.set("ANTHROPIC_API_KEY", "the-operators-own-key-is-of-no-use");
        world.start().await;
        let key = world.model.api_key();
        // Whatever the agent says it has seen.
        world.model.next(Script::runs("env; cat /proc/*/environ | tr '\\0' '\\n'; true", answer(&format!("The key is {key}."))));
        let me = Machine::of(&world).with("CA_ANTHROPIC_API_KEY", &key);
        let made = me.ca(&["task", "create", "what does it say?", "--repo", "octo/app", "--own-key"]).await;
        assert_eq!(made.code, 0, "{}", made.err);
        let id = made.out.trim().to_owned();
        world.settle().await;
        let done = task(&world, &id).await;
        assert_eq!((&done["ending"], &done["own_key"]), (&json!("answered"), &json!(true)), "{done}\n{}", world.log());
        assert!(done["cost_micros"].as_i64().unwrap() > 0, "it is counted all the same");
        let usage = get(&world, "ca_test", "usage?by=model").await.json();
        assert_eq!(usage["usage"][0]["own_key_cost_micros"], done["cost_micros"], "{usage}");
        let usage = get(&world, "ca_test", "usage").await.json();
        assert_eq!(usage["usage"][0]["own_key_cost_micros"], done["cost_micros"], "{usage}");
        let log = get(&world, "ca_test", &format!("tasks/{id}/logs")).await.text;
        assert!(log.contains("ANTHROPIC_API_KEY=") && !log.contains(&key), "nothing in the sandbox knows it: {log}");
        let headers = world.model.headers();
        assert!(!headers.is_empty() && headers.iter().all(|it| it["x-api-key"] == key.as_str()), "{headers:?}");
        assert!(!done.to_string().contains(&key), "{done}");
        assert_eq!(world.sql("select count(*) from task_secret").await, 0, "it is wiped");
        let card = me.ca(&["task", "get", &id]).await.out;
        assert!(card.contains("key      of whoever asked\n"), "{card}");

        // Neither goes on without it.
        let resume = async |body: Value| ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/resume"), Some(body)).await;
        assert_eq!(resume(json!({ "prompt": "and then?" })).await.problem(), "422 key_needed anthropic_api_key");
        let retry = ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/retry"), None).await;
        assert_eq!(retry.problem(), "422 key_needed anthropic_api_key");
        world.model.next(Script::runs("true", answer("Nothing more.")));
        let child = task_id(&resume(json!({ "prompt": "and then?", "anthropic_api_key": key })).await);
        world.settle().await;
        assert_eq!(task(&world, &child).await["result"]["summary"], "Nothing more.");
        assert_eq!(world.told(), "");
    }

    async fn a_key_that_is_refused_is_its_callers_to_mend_and_stops_nobody_else(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.set("ADMIN_API_KEY", "ca_test");
        world.start_process().await;
        world.model.will(Script::runs("true", answer("It says hello.")));
        let (theirs, ours) = (asked(&world, Some(WRONG)).await, asked(&world, None).await);
        world.settle().await;
        let (theirs, ours) = (task(&world, &theirs).await, task(&world, &ours).await);
        assert_eq!((&ours["ending"], &ours["own_key"]), (&json!("answered"), &json!(false)), "{ours}");
        assert_eq!((&theirs["status"], &theirs["error"]["code"]), (&json!("failed"), &json!("own_key_refused")), "{theirs}");
        let says = theirs["error"]["message"].as_str().unwrap();
        assert!(says.starts_with("The model does not take the `anthropic_api_key` that was brought for this task."), "{says}");
        let log = world.log();
        assert!(log.contains("own_key_refused") && !log.contains("model is not well"), "nobody else hears of it: {log}");
        assert_eq!(world.sql("select count(*) from task_secret").await, 0, "it is wiped");
    }

    async fn an_account_without_credit_ends_its_callers_task_and_no_other(database: Database) {
        let mut world = World::on(database).await;
        world.claude_is_real();
        world.set("ADMIN_API_KEY", "ca_test");
        world.start_process().await;
        world.model.will(Script::error(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", &[]));
        let theirs = asked(&world, Some(&world.model.api_key())).await;
        world.settle().await;
        let theirs = task(&world, &theirs).await;
        assert_eq!((&theirs["status"], &theirs["error"]["code"]), (&json!("failed"), &json!("own_key_out_of_credit")), "{theirs}");
        let says = theirs["error"]["message"].as_str().unwrap();
        assert!(says.starts_with("The account behind the `anthropic_api_key` that was brought for this task has no credit left."), "{says}");
        assert!(says.contains("The model says: Your credit balance is too low"), "{says}");
        // The operator's model is as well as before.
        world.model.will(Script::runs("true", answer("It says hello.")));
        let ours = asked(&world, None).await;
        world.settle().await;
        assert_eq!(task(&world, &ours).await["ending"], "answered");
        assert!(!world.log().contains("model is not well"), "nobody else hears of it: {}", world.log());
        assert_eq!(world.sql("select count(*) from task_secret").await, 0, "it is wiped");
    }

    async fn a_key_that_can_not_be_read_any_more_ends_its_task(database: Database) {
        let mut world = World::on(database).await;
        world.claude_waits("true");
        world.set("ADMIN_API_KEY", "ca_test");
        world.set("RUNS", "1");
        world.start().await;
        let before = asked(&world, None).await;
        world.claude_is_waiting().await;
        let theirs = asked(&world, Some(WRONG)).await;
        world.sql("delete from task_secret").await;
        world.claude_goes_on();
        world.settle().await;
        assert_eq!(task(&world, &before).await["status"], "completed");
        let theirs = task(&world, &theirs).await;
        assert_eq!((&theirs["status"], &theirs["error"]["code"]), (&json!("failed"), &json!("own_key_gone")), "{theirs}");
        let says = theirs["error"]["message"].as_str().unwrap();
        assert!(says.starts_with("The `anthropic_api_key` that was brought for this task can't be read any more."), "{says}");
        assert_eq!(theirs["cost_micros"], 0, "the operator's key takes nothing over");
        world.told();
    }

    async fn a_key_goes_with_a_task_that_is_stopped(database: Database) {
        let mut world = World::on(database).await;
        world.claude_waits("true");
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let id = asked(&world, Some(WRONG)).await;
        world.claude_is_waiting().await;
        assert_eq!(world.sql("select count(*) from task_secret").await, 1);
        let dump = world.sql("select count(*) from task_secret where cast(sealed as text) like '%nobody%'").await;
        assert_eq!(dump, 0, "it is sealed");
        ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/cancel"), None).await;
        world.settle().await;
        assert_eq!(task(&world, &id).await["status"], "cancelled");
        assert_eq!(world.sql("select count(*) from task_secret").await, 0, "it is wiped");
    }

    // Whoever may ask could otherwise fill the memory of the process with keys of nobody.
    async fn a_key_is_held_once_there_is_a_task_for_it_and_not_before(database: Database) {
        let mut world = World::on(database).await;
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let key = uuid::Uuid::new_v4().simple().to_string() + "0123";
        let said = format!("it is {key}.");
        for (repo, problem) in [("octo/nothing", "404 no_such_repository"), ("octo", "422 invalid repo")] {
            let body = json!({ "prompt": "what does it say?", "repo": repo, "anthropic_api_key": key });
            let refused = order(&world, "ca_test", body).await;
            assert_eq!(refused.problem(), problem);
            assert!(!refused.text.contains(&key), "{}", refused.text);
            assert_eq!(cloud_agent::text::redact_logged(&said), said, "nothing is held for what was refused");
        }
        let body = json!({ "prompt": "what does it say?", "repo": "octo/app", "anthropic_api_key": key });
        task_id(&order(&world, "ca_test", body).await);
        assert!(!cloud_agent::text::redact_logged(&said).contains(&key), "it is held with its task");
        world.settle().await;
        world.told();
    }

    async fn a_key_is_kept_out_of_what_its_own_task_says_and_of_no_other(database: Database) {
        // Something that others may well want to say: who may make tasks does not choose what they can't.
        const SAID: &str = "5ca1ab1e0ddba11c0ffee5eaf00dfacade123456";
        let mut world = World::on(database).await;
        let line = json!({ "type": "assistant", "message": { "content": [{ "type": "text", "text": format!("I see {SAID}.") }] } });
        world.claude_says(&format!("echo '{line}'"), &answer(&format!("It was fixed in {SAID}.")).to_string());
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let (theirs, ours) = (asked(&world, Some(SAID)).await, asked(&world, None).await);
        world.settle().await;
        let (theirs, ours) = (task(&world, &theirs).await, task(&world, &ours).await);
        assert_eq!(theirs["result"]["summary"], "It was fixed in [redacted].", "{theirs}");
        assert_eq!(ours["result"]["summary"], format!("It was fixed in {SAID}."), "{ours}");
        let log = get(&world, "ca_test", &format!("tasks/{}/logs", theirs["task_id"].as_str().unwrap())).await.text;
        assert!(log.contains("I see [redacted].") && !log.contains(SAID), "{log}");
        // It would be read by everybody who sees the task.
        let body = json!({ "prompt": format!("take {SAID}"), "repo": "octo/app", "anthropic_api_key": SAID });
        assert_eq!(order(&world, "ca_test", body).await.problem(), "422 invalid prompt");
        world.told();
    }

    async fn what_can_be_brought_is_said(database: Database) {
        let mut world = World::on(database).await;
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let with = |name: &str, value: Value| {
            let mut body = json!({ "prompt": "say it", "repo": "octo/app" });
            body[name] = value;
            body
        };
        for key in ["", "short", "it has a space in the middle of it"] {
            let refused = order(&world, "ca_test", with("anthropic_api_key", json!(key))).await;
            assert_eq!(refused.problem(), "422 invalid anthropic_api_key", "{key}");
        }
        let refused = order(&world, "ca_test", with("agent", json!("hal"))).await;
        assert_eq!(refused.problem(), "422 invalid agent");
        assert_eq!(refused.json()["detail"], "give one of claude-code, or leave it out");
        let made = order(&world, "ca_test", with("agent", json!("claude-code"))).await;
        task_id(&made);
        world.settle().await;
        world.told();
    }
}

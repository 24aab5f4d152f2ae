//! `POST /api/code`: words and a repository in, a stream of typed events out.

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::api::{Answer, get, key, read};
use super::api_tasks::greeting;
use crate::world::World;

async fn send(world: &World, key: &str, query: &str, body: Value) -> reqwest::Response {
    let url = format!("http://{}/api/code{query}", world.address());
    reqwest::Client::new().post(url).bearer_auth(key).json(&body).send().await.unwrap()
}

async fn code(world: &World, key: &str, body: Value) -> Answer {
    read(send(world, key, "", body).await).await
}

fn wanted(world: &World) -> Value {
    json!({ "repoUrl": format!("{}/octo/app", world.github.url()), "prompt": "greet the world" })
}

/// The events of a stream: id, type, data.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |message: &str, name: &str| {
        let line = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    let all = text.split("\n\n").filter(|message| message.contains("event: "));
    all.map(|it| (field(it, "id"), field(it, "event"), serde_json::from_str(&field(it, "data")).unwrap())).collect()
}

stories! {
    async fn a_stream_leads_from_the_words_to_the_pull_request(database: Database) {
        let mut world = greeting(database, &[]).await;
        let tool = |name: &str, input: Value| {
            let content = json!([{ "type": "tool_use", "id": "t", "name": name, "input": input }]);
            format!("echo '{}'", json!({ "type": "assistant", "message": { "content": content } }))
        };
        let plays = [
            "echo '{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"I look around.\"}]}}'".to_owned(),
            tool("Read", json!({ "file_path": "/workspace/README.md" })),
            tool("Edit", json!({ "file_path": "/workspace/README.md" })),
            tool("Bash", json!({ "command": "sh test.sh" })),
            tool("Bash", json!({ "command": "git commit -qam x" })),
            "echo 'hello, world' > README.md".to_owned(),
        ];
        world.claude_will(&plays.join("\n"));
        let (key, _) = key(&world, json!({ "name": "desk", "scopes": ["tasks:write", "tasks:read"] })).await;
        let stream = code(&world, &key, wanted(&world)).await;
        assert_eq!((stream.status, stream.kind.as_str()), (200, "text/event-stream"), "{}", stream.text);
        world.settle().await;
        let told = world.told();
        assert!(told.contains("pull #1 \"Greet the world\""), "{told}");

        let events = events(&stream.text);
        let types: Vec<&str> = events.iter().map(|it| it.1.as_str()).collect();
        assert_eq!(
            types,
            [
                "repo_cloning", "sandbox_creating", "agent_thinking", "agent_thinking", "tool_read", "tool_edit", "tool_bash",
                "git_operation", "git_operation", "pr_created", "complete"
            ]
        );
        let of = |kind: &str| &events.iter().find(|it| it.1 == kind).unwrap().2;
        assert_eq!((&of("tool_read")["path"], &of("tool_bash")["command"]), (&json!("README.md"), &json!("sh test.sh")));
        assert_eq!(of("git_operation")["command"], "git commit -qam x");
        assert!(of("pr_created")["url"].as_str().unwrap().ends_with("/octo/app/pull/1"), "{}", of("pr_created"));
        let task = &of("complete")["task"];
        assert_eq!((&task["status"], &task["source"], &task["requester"]), (&json!("completed"), &json!("api"), &json!("api:desk")));
        let id = task["task_id"].as_str().unwrap();
        assert!(stream.headers["location"].to_str().unwrap().ends_with(&format!("/api/v1/tasks/{id}")));
        assert!(events.iter().all(|it| it.2["task_id"] == id && it.2["type"] == it.1.as_str()));
        // The ids are those of the log: it is gone on with after any of them.
        let (seq, ..) = &events[3];
        let rest = get(&world, &key, &format!("tasks/{id}/events?after={seq}")).await.text;
        assert!(rest.contains("README.md") && !rest.contains("I look around."), "{rest}");
    }

    async fn what_can_not_be_begun_is_a_problem_and_what_fails_is_an_event(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_plays("exit 3");
        let text = code(&world, "ca_test", wanted(&world)).await.text;
        let (id, kind, data) = events(&text).pop().unwrap();
        assert_eq!((id.as_str(), kind.as_str(), &data["code"]), ("end", "error", &json!("crashed")), "{data}");
        world.settle().await;

        let nowhere = |url: &str| json!({ "repoUrl": url, "prompt": "greet" });
        assert_eq!(code(&world, "ca_test", nowhere("https://example.com/o/r")).await.problem(), "422 invalid repoUrl");
        let missing = format!("{}/octo/nothing", world.github.url());
        assert_eq!(code(&world, "ca_test", nowhere(&missing)).await.problem(), "404 no_such_repository");
        assert_eq!(code(&world, "ca_test", json!({ "prompt": "greet" })).await.problem(), "422 invalid repoUrl");
        assert_eq!(code(&world, "", wanted(&world)).await.problem(), "401 unauthorized");
        let (writes, _) = key(&world, json!({ "name": "deaf", "scopes": ["tasks:write"] })).await;
        assert_eq!(code(&world, &writes, wanted(&world)).await.problem(), "403 forbidden");
        let (poor, _) = key(&world, json!({ "name": "poor", "scopes": ["tasks:write", "tasks:read"], "budget_usd_per_day": 0.01 })).await;
        let made = code(&world, &poor, wanted(&world)).await;
        assert_eq!(made.status, 200, "{}", made.text);
        world.settle().await;
        world.told();
    }

    async fn whoever_leaves_stops_it_only_if_they_said_so(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_waits("true");
        let leave = async |query: &str| {
            let stream = send(&world, "ca_test", query, wanted(&world)).await;
            let id = stream.headers()["location"].to_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let mut heard = stream.bytes_stream();
            world.claude_is_waiting().await;
            heard.next().await.unwrap().unwrap();
            id
        };
        let left = leave("?cancel_on_disconnect=true").await;
        world.settle().await;
        let task = get(&world, "ca_test", &format!("tasks/{left}")).await.json();
        assert_eq!(task["status"], "cancelled", "{task}");
        let left = leave("").await;
        world.claude_goes_on();
        world.settle().await;
        let task = get(&world, "ca_test", &format!("tasks/{left}")).await.json();
        assert_eq!(task["status"], "completed", "{task}");
        world.told();
    }
}

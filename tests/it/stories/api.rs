//! The API: keys and what they open, the list of tasks, a task that is watched live and stopped.

use futures::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::world::World;

/// What the API answers.
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub text: String,
    pub headers: http::HeaderMap,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// `status code`, as it stands in a problem.
    pub fn problem(&self) -> String {
        assert_eq!(self.kind, "application/problem+json", "{}", self.text);
        let json = self.json();
        let field = json["field"].as_str().map(|it| format!(" {it}")).unwrap_or_default();
        format!("{} {}{field}", self.status, json["code"].as_str().unwrap())
    }
}

pub async fn ask(world: &World, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let client = reqwest::Client::new();
    let mut request = client.request(method, format!("http://{}/api/v1/{path}", world.address()));
    if !key.is_empty() {
        request = request.bearer_auth(key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    read(request.send().await.unwrap()).await
}

pub async fn get(world: &World, key: &str, path: &str) -> Answer {
    ask(world, key, Method::GET, path, None).await
}

pub async fn read(answer: reqwest::Response) -> Answer {
    let kind = answer.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned()).unwrap_or_default();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answer { status, kind, headers, text: answer.text().await.unwrap() }
}

pub async fn key(world: &World, new: Value) -> (String, String) {
    let made = ask(world, "ca_test", Method::POST, "admin/api-keys", Some(new)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    (made["api_key"].as_str().unwrap().to_owned(), made["key_id"].as_str().unwrap().to_owned())
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A WebSocket on a task: its id, or that with the rest of the path.
async fn open(world: &World, task: &str, key: &str) -> Socket {
    let path = if task.contains('/') { task.to_owned() } else { format!("{task}/ws") };
    let mut request = format!("ws://{}/api/v1/tasks/{path}", world.address()).into_client_request().unwrap();
    if !key.is_empty() {
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    }
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

/// All that a socket says, and the code that it is closed with.
async fn hear(socket: &mut Socket) -> (Vec<Value>, u16) {
    let mut said = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => said.push(serde_json::from_str(&text).unwrap()),
            Message::Close(Some(frame)) => return (said, frame.code.into()),
            _ => (),
        }
    }
    (said, 0)
}

/// A world with one finished task on issue 1.
async fn worked(database: crate::world::Database) -> World {
    let world = asked(database, "echo 'hello, world' > README.md").await;
    world.settle().await;
    world.told();
    world
}

/// A world with a task that does not end by itself, and that task's id.
async fn working(database: crate::world::Database) -> (World, String) {
    let world = asked(database, "echo working; while :; do sleep 0.05; done").await;
    world.heard().await;
    let task = world.last_task(1).await.unwrap().id.to_string();
    (world, task)
}

/// A world in which alice has asked for something on issue 1, and the agent does this.
async fn asked(database: crate::world::Database, does: &str) -> World {
    let mut world = World::on(database).await;
    world.claude_will(does);
    world.set("ADMIN_API_KEY", "ca_test");
    world.start().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world
}

stories! {
    async fn a_key_opens_what_it_says_until_it_is_revoked(database: Database) {
        let world = worked(database).await;
        let id = world.last_task(1).await.unwrap().id.to_string();
        for guess in ["", "ca_guess", "ca_0123456789abcdef"] {
            assert_eq!(get(&world, guess, "tasks").await.problem(), "401 unauthorized");
        }

        let new = json!({ "name": "reader", "scopes": ["tasks:read"] });
        let (reader, reader_id) = key(&world, new).await;
        assert!(reader.starts_with("ca_"), "{reader}");
        let one = get(&world, &reader, &format!("tasks/{id}")).await.json();
        assert_eq!((one["status"].as_str(), one["source"].as_str()), (Some("completed"), Some("comment")));
        assert!(one["result"]["artifacts"]["pr_url"].as_str().unwrap().ends_with("/octo/app/pull/2"), "{one}");
        for path in ["deliveries", "usage", "admin/api-keys"] {
            assert_eq!(get(&world, &reader, path).await.problem(), "403 forbidden", "{path}");
        }
        let cancel = ask(&world, &reader, Method::POST, &format!("tasks/{id}/cancel"), None).await;
        assert_eq!(cancel.problem(), "403 forbidden");

        // A key for another repository sees nothing of this one, anywhere.
        let scopes = ["tasks:read", "tasks:write", "deliveries:read", "usage:read"];
        let (narrow, _) = key(&world, json!({ "name": "narrow", "scopes": scopes, "repositories": ["octo/lib"] })).await;
        for path in ["", "/logs", "/events", "/ws"] {
            let answer = get(&world, &narrow, &format!("tasks/{id}{path}")).await;
            assert_eq!(answer.problem(), "404 no_such_task", "{path}");
            let nothing = get(&world, &narrow, &format!("tasks/nothing{path}")).await;
            assert_eq!(nothing.text, answer.text, "what may not be seen looks like what is not there");
        }
        let list = get(&world, &narrow, "tasks").await.json();
        assert_eq!((list["tasks"].as_array().unwrap().len(), list["total"].as_i64()), (0, Some(0)));
        assert_eq!(get(&world, &narrow, "deliveries").await.json()["deliveries"], json!([]));
        assert_eq!(get(&world, &narrow, "usage").await.json()["usage"], json!([]));

        let revoked = ask(&world, "ca_test", Method::DELETE, &format!("admin/api-keys/{reader_id}"), None).await;
        assert_eq!(revoked.status, 204);
        assert_eq!(get(&world, &reader, "tasks").await.problem(), "401 unauthorized");
        let keys = get(&world, "ca_test", "admin/api-keys").await;
        assert!(!keys.text.contains(&narrow) && !keys.text.contains("reader") && keys.text.contains("narrow"), "{}", keys.text);
    }

    async fn an_expired_key_opens_nothing(database: Database) {
        let world = worked(database).await;
        let task = world.last_task(1).await.unwrap().id;
        let hour = cloud_agent::clock::now() + 3_600_000;
        let (short, id) = key(&world, json!({ "name": "short", "scopes": ["tasks:read"], "expires_at": hour })).await;
        assert_eq!(get(&world, &short, "tasks").await.status, 200);
        world.sql(&format!("update api_key set expires_at = 1 where key_id = '{id}'")).await;
        for path in ["tasks".to_owned(), format!("tasks/{task}/events"), format!("tasks/{task}/ws")] {
            assert_eq!(get(&world, &short, &path).await.problem(), "401 unauthorized", "{path}");
        }
    }

    async fn a_key_is_counted(database: Database) {
        let mut world = World::on(database).await;
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let (slow, _) = key(&world, json!({ "name": "slow", "scopes": ["tasks:read"], "rate_limit": 1 })).await;
        let first = get(&world, &slow, "tasks").await;
        assert_eq!((first.status, first.headers["ratelimit-policy"].to_str().unwrap()), (200, "\"minute\";q=1;w=60"));
        let second = get(&world, &slow, "tasks").await;
        assert_eq!(second.problem(), "429 rate_limited");
        assert!(second.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    }

    async fn a_mistake_is_named(database: Database) {
        let mut world = World::on(database).await;
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        for (path, problem) in [
            ("tasks?limit=0", "422 invalid limit"),
            ("tasks?limit=many", "422 invalid limit"),
            ("tasks?stauts=failed", "422 invalid stauts"),
            ("tasks?status=done", "422 invalid status"),
            ("tasks?cursor=x", "422 invalid cursor"),
            ("deliveries?status=done_", "422 invalid status"),
            ("tasks/nothing", "404 no_such_task"),
            ("deliveries/nothing", "404 no_such_delivery"),
            ("nothing", "404 no_such_route"),
            ("usage?by=moon", "422 invalid by"),
        ] {
            assert_eq!(get(&world, "ca_test", path).await.problem(), problem, "{path}");
        }
        for (body, problem) in [
            (json!({ "scopes": ["admin"] }), "422 invalid name"),
            (json!({ "name": "x", "scopes": [] }), "422 invalid scopes"),
            (json!({ "name": "x", "scopes": ["everything"] }), "422 invalid scopes[0]"),
            (json!({ "name": "`x`", "scopes": ["admin"] }), "422 invalid name"),
            (json!({ "name": "x", "scopes": ["admin"], "repositories": ["octo/app"] }), "422 invalid repositories"),
            (json!({ "name": "x", "scopes": ["tasks:read"], "repositories": ["octo"] }), "422 invalid repositories[0]"),
            (json!({ "name": "x", "scopes": ["tasks:read"], "expires_at": 1 }), "422 invalid expires_at"),
            (json!({ "name": "x", "scopes": ["tasks:read"], "colour": 1 }), "422 invalid colour"),
        ] {
            let answer = ask(&world, "ca_test", Method::POST, "admin/api-keys", Some(body.clone())).await;
            assert_eq!(answer.problem(), problem, "{body}");
        }
        let url = format!("http://{}/api/v1/admin/api-keys", world.address());
        let post = reqwest::Client::new().post(url).bearer_auth("ca_test").header("x-request-id", "mine");
        let json = post.try_clone().unwrap().header("content-type", "application/json");
        let answer = read(json.try_clone().unwrap().body("{").send().await.unwrap()).await;
        assert_eq!((answer.problem().as_str(), &answer.headers["x-request-id"]), ("400 malformed_json", &"mine".parse().unwrap()));
        let answer = read(json.body(" ".repeat((1 << 20) + 1)).send().await.unwrap()).await;
        assert_eq!(answer.problem(), "413 too_large");
        assert_eq!(read(post.body("{}").send().await.unwrap()).await.problem(), "415 unsupported_media_type");
        let answer = ask(&world, "ca_test", Method::PUT, "tasks", None).await;
        assert_eq!(answer.problem(), "405 method_not_allowed");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }

    async fn a_client_that_comes_back_hears_every_event_once(database: Database) {
        let world = worked(database).await;
        let task = world.last_task(1).await.unwrap().id.to_string();
        let logged = world.store().events(&task, 0, 1000).await.unwrap().len();
        let url = format!("http://{}/api/v1/tasks/{task}/events", world.address());
        let follow = async |last: &str| {
            let request = reqwest::Client::new().get(&url).bearer_auth("ca_test").header("last-event-id", last);
            read(request.send().await.unwrap()).await
        };
        let ids = |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
        };
        let whole = follow("").await;
        assert_eq!(whole.kind, "text/event-stream");
        let expected: Vec<String> = (1..=logged).map(|n| n.to_string()).chain(["end".to_owned()]).collect();
        assert_eq!(ids(&whole.text), expected);
        assert!(whole.text.contains(r#"data: {"ending":"pull_request","status":"completed"}"#), "{}", whole.text);
        assert_eq!(ids(&follow("3").await.text), expected[3..]);
        assert_eq!(follow("end").await.status, 204, "who has heard the end need not come back");
    }

    async fn a_task_is_watched_while_it_runs_and_stopped(database: Database) {
        let (world, task) = working(database).await;
        let events = format!("http://{}/api/v1/tasks/{task}/events", world.address());
        let watching = tokio::spawn(async move {
            read(reqwest::Client::new().get(events).bearer_auth("ca_test").send().await.unwrap()).await
        });
        world.wait_for("the agent to start", async || {
            world.steps(1).await.iter().any(|step| step.contains("agent started"))
        }).await;
        for _ in 0..2 {
            let stopped = ask(&world, "ca_test", Method::POST, &format!("tasks/{task}/cancel"), None).await;
            assert_eq!(stopped.status, 202, "{}", stopped.text);
        }
        world.settle().await;
        let seen = watching.await.unwrap().text;
        assert!(seen.contains("agent started") && seen.contains(r#""status":"cancelled""#), "{seen}");
        assert!(world.told().contains("The admin key asked me to stop."));
        let list = get(&world, "ca_test", "tasks?status=cancelled&repo=OCTO/app&requester=Alice&source=comment").await.json();
        assert_eq!((list["total"].as_i64(), list["tasks"][0]["task_id"].as_str()), (Some(1), Some(task.as_str())));
    }

    async fn a_socket_tells_the_same_to_whoever_shows_a_key(database: Database) {
        let world = worked(database).await;
        let task = world.last_task(1).await.unwrap().id.to_string();
        let logged = world.store().events(&task, 0, 1000).await.unwrap().len();
        // A browser can set no headers: the key is its first message.
        let mut socket = open(&world, &task, "").await;
        socket.send(Message::text(r#"{"api_key":"ca_test"}"#)).await.unwrap();
        let (said, close) = hear(&mut socket).await;
        assert_eq!((said.len(), close), (logged + 1, 1000));
        let seqs: Vec<_> = said.iter().filter_map(|it| it["seq"].as_u64()).collect();
        assert_eq!(seqs, (1..=logged as u64).collect::<Vec<_>>());
        assert_eq!(said.last().unwrap()["kind"], "end");
        // Programs can, and may begin where they were.
        let mut socket = open(&world, &format!("{task}/ws?after={}", logged - 1), "ca_test").await;
        assert_eq!(hear(&mut socket).await.0.len(), 2);
        for (first, code) in [(r#"{"api_key":"ca_guess"}"#, 4401), ("nothing", 4401)] {
            let mut socket = open(&world, &task, "").await;
            socket.send(Message::text(first)).await.unwrap();
            assert_eq!(hear(&mut socket).await, (Vec::new(), code));
        }
        assert_eq!(get(&world, "ca_test", &format!("tasks/{task}/ws")).await.problem(), "426 upgrade_required");
    }

    async fn a_stream_ends_when_its_key_is_revoked(database: Database) {
        let (world, task) = working(database).await;
        let (reader, id) = key(&world, json!({ "name": "reader", "scopes": ["tasks:read"] })).await;
        let events = format!("http://{}/api/v1/tasks/{task}/events", world.address());
        let stream = reqwest::Client::new().get(events).bearer_auth(&reader).send().await.unwrap();
        let mut socket = open(&world, &task, &reader).await;
        assert_eq!(ask(&world, "ca_test", Method::DELETE, &format!("admin/api-keys/{id}"), None).await.status, 204);
        let said = stream.text().await.unwrap();
        assert!(said.ends_with(": the key was revoked or has expired\n\n"), "{said}");
        assert_eq!(hear(&mut socket).await.1, 4401);
        assert_eq!(ask(&world, "ca_test", Method::POST, &format!("tasks/{task}/cancel"), None).await.status, 202);
        world.settle().await;
        world.told();
    }

    async fn a_socket_takes_nothing_after_its_key(database: Database) {
        let (world, task) = working(database).await;
        for more in [Message::text(r#"{"api_key":"ca_test"}"#), Message::binary(vec![0_u8])] {
            let mut socket = open(&world, &task, "ca_test").await;
            socket.send(more).await.unwrap();
            assert_eq!(hear(&mut socket).await.1, 1008);
        }
        assert_eq!(ask(&world, "ca_test", Method::POST, &format!("tasks/{task}/cancel"), None).await.status, 202);
        world.settle().await;
        world.told();
    }

    // Each ping calls away whoever waits for what comes next.
    async fn a_socket_that_is_never_quiet_ends_with_its_key_too(database: Database) {
        let (world, task) = working(database).await;
        let (reader, id) = key(&world, json!({ "name": "reader", "scopes": ["tasks:read"] })).await;
        let (mut says, mut hears) = open(&world, &task, &reader).await.split();
        assert_eq!(ask(&world, "ca_test", Method::DELETE, &format!("admin/api-keys/{id}"), None).await.status, 204);
        let noise = tokio::spawn(async move {
            while says.send(Message::Ping(vec![0_u8].into())).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        let mut closed: u16 = 0;
        while let Some(Ok(said)) = hears.next().await {
            if let Message::Close(frame) = said {
                closed = frame.map_or(0, |it| it.code.into());
                break;
            }
        }
        noise.abort();
        assert_eq!(closed, 4401);
        assert_eq!(ask(&world, "ca_test", Method::POST, &format!("tasks/{task}/cancel"), None).await.status, 202);
        world.settle().await;
        world.told();
    }

    async fn a_stream_shows_no_key(database: Database) {
        let world = worked(database).await;
        let task = world.last_task(1).await.unwrap().id.to_string();
        let secret = format!("ghp_{}", "a1B2".repeat(9));
        world.sql(&format!(
            "insert into task_event (task_id, seq, at, kind, body) values ('{task}', 900, 1, 'said', '{{\"text\":\"it is {secret}\"}}')"
        )).await;
        for path in ["events", "logs"] {
            let said = get(&world, "ca_test", &format!("tasks/{task}/{path}")).await.text;
            assert!(!said.contains(&secret) && said.contains("it is [redacted]"), "{path}: {said}");
        }
        let (said, _) = hear(&mut open(&world, &task, "ca_test").await).await;
        assert!(said.iter().any(|it| it["body"]["text"] == "it is [redacted]"), "{said:?}");
    }

    async fn a_delivery_says_what_was_decided_and_can_be_forgotten(database: Database) {
        let world = worked(database).await;
        let list = get(&world, "ca_test", "deliveries?event=issue_comment&status=done").await.json();
        let first = &list["deliveries"][0];
        assert_eq!(first["decision"], "made a task", "{list}");
        let path = format!("deliveries/{}", first["delivery_id"].as_str().unwrap());
        let one = get(&world, "ca_test", &path).await.json();
        assert_eq!(one["payload"]["comment"]["body"], "@cloud-agent fix this");
        assert_eq!(ask(&world, "ca_test", Method::DELETE, &path, None).await.status, 204);
        let one = get(&world, "ca_test", &path).await.json();
        assert_eq!((one.get("payload"), &one["decision"]), (None, &json!("made a task")));
        let usage = get(&world, "ca_test", "usage?by=person").await.json();
        assert_eq!((&usage["usage"][0]["of"], &usage["usage"][0]["pulls"]), (&json!("alice"), &json!(1)), "{usage}");
        let csv = get(&world, "ca_test", "usage?by=repository&format=csv").await;
        assert_eq!((csv.kind.as_str(), csv.text.lines().nth(1).map(|it| it.starts_with("octo/app,1,1,0,0,1,"))), ("text/csv; charset=utf-8", Some(true)));
    }

    async fn every_route_is_described_and_shut(database: Database) {
        let mut world = World::on(database).await;
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let described = get(&world, "", "openapi.json").await.json();
        assert!(described["openapi"].as_str().unwrap().starts_with("3.1"), "{described}");
        let paths = described["paths"].as_object().unwrap();
        assert!(paths.len() >= 11, "{:?}", paths.keys());
        for (path, methods) in paths {
            for method in methods.as_object().unwrap().keys() {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let path = match path.strip_prefix("/api/v1") {
                    Some(rest) => rest.trim_start_matches('/').replace("{id}", "x"),
                    None => "../code".to_owned(),
                };
                if !["", "openapi.json"].contains(&path.as_str()) && !path.ends_with("/ws") {
                    let answer = ask(&world, "", method, &path, None).await;
                    assert_eq!(answer.problem(), "401 unauthorized", "{path}");
                }
            }
        }
    }
}

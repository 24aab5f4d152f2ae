//! `ca` as people and scripts use it: the real binary against a server.

mod create;
mod follow;
mod machine;
mod plain;

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use machine::Machine;
use serde_json::Value;

use crate::world::{Database, World};

/// A world with a server that has the admin key `ca_test`.
async fn served(database: Database, claude: &str) -> World {
    let mut world = World::on(database).await;
    world.claude_will(claude);
    world.set("ADMIN_API_KEY", "ca_test");
    world.start().await;
    world.issue("The greeting is short", "");
    world
}

/// The same, with one finished task.
async fn worked(database: Database) -> (World, String) {
    let world = served(database, "echo 'hello, world' > README.md").await;
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.settle().await;
    world.told();
    let task = world.last_task(1).await.unwrap().id.to_string();
    (world, task)
}

stories! {
    async fn a_login_is_kept_for_its_owner_and_its_server(database: Database) {
        let mut world = World::on(database).await;
        world.set("ADMIN_API_KEY", "ca_test");
        world.start().await;
        let url = format!("http://{}", world.address());
        let here = url.replace("127.0.0.1", "localhost");
        let me = Machine::bare();
        let mut told = Vec::new();
        let mut tell = |what: &str, said: &machine::Said| {
            told.push(format!("$ {what} {}", said.steady().replace(&url, "URL").replace(&here, "LOCALHOST")));
        };
        tell("ca login URL < wrong", &me.ca_reads(&["login", &url], "ca_wrong\n").await);
        tell("ca login URL < nothing", &me.ca_reads(&["login", &url], "").await);
        let file = me.home.path().join(".config/cloud-agent/login.json");
        assert!(!file.exists(), "a key that opens nothing is not kept");
        tell("ca login URL < key", &me.ca_reads(&["login", &url], "ca_test\n").await);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(me.ca(&["task", "list"]).await.code, 0);

        // The key goes nowhere else, and the variable wins.
        let me = me.with("CA_URL", &here);
        tell("CA_URL=LOCALHOST ca task list", &me.ca(&["task", "list"]).await);
        let me = me.unset().with("CA_API_KEY", "ca_guess");
        tell("CA_API_KEY=guess ca task list", &me.ca(&["task", "list"]).await);
        tell("ca login --api-key key", &me.ca(&["login", "--api-key", "ca_test"]).await);

        let me = me.unset();
        let made = me.ca(&["keys", "create", "reader", "--scope", "tasks:read", "--repo", "octo/app", "--expires", "2100-01-01"]).await;
        let key = made.out.trim().to_owned();
        assert!(made.code == 0 && key.starts_with("ca_") && made.err.is_empty(), "{}{}", made.out, made.err);
        let reader = Machine::bare();
        tell("ca login URL < narrow", &reader.ca_reads(&["login", &url], &key).await);
        tell("ca usage", &reader.ca(&["usage"]).await);
        tell("ca logout", &reader.ca(&["logout"]).await);
        tell("ca logout", &reader.ca(&["logout"]).await);
        assert_snapshot!(told.join("\n\n"), @"");
    }

    async fn tasks_deliveries_keys_and_usage_are_managed(database: Database) {
        let (world, task) = worked(database).await;
        let me = Machine::of(&world);
        let url = world.github.url().to_owned();
        let mut told = Vec::new();
        let found = me.ca(&["deliveries", "--event", "issue_comment", "--json"]).await.json();
        let delivery = found[0]["deliveries"][0]["delivery_id"].as_str().unwrap().to_owned();
        for args in [
            vec!["task", "list", "--status", "completed", "--repo", "octo/app", "--requester", "alice", "--since", "1d"],
            vec!["task", "list", "--status", "failed"],
            vec!["task", "list", "--status", "done"],
            vec!["task", "list", "--since", "soon"],
            vec!["task", "get", &task],
            vec!["task", "get", "../x"],
            vec!["task", "logs", &task],
            vec!["task", "logs", "-f", &task],
            vec!["task", "wait", &task],
            vec!["task", "cancel", &task],
            vec!["deliveries", "--event", "issue_comment"],
            vec!["deliveries", "show", "nothing"],
            vec!["usage", "--by", "person"],
            vec!["usage", "--by", "repository", "--csv"],
            vec!["keys", "create", "all", "--scope", "everything"],
            vec!["keys", "revoke", "nothing"],
            vec!["pr", "review", "7"],
        ] {
            let said = me.ca(&args).await;
            let shown = said.steady().replace(&url, "GITHUB");
            told.push(format!("$ ca {} {shown}", args.join(" ").replace(&task, "ID")));
        }
        let shown = me.ca(&["deliveries", "show", &delivery]).await;
        assert!(shown.out.contains("decision made a task") && shown.out.contains("\"body\": \"@cloud-agent fix this\""), "{}", shown.out);
        let told = told.join("\n\n");
        let told: Vec<String> = told.lines().map(steady_times).collect();
        assert_snapshot!(told.join("\n"), @"");

        let made = &me.ca(&["keys", "create", "ci", "--scope", "tasks:read", "--rate-limit", "60", "--json"]).await.json()[0];
        let (key, id) = (made["api_key"].as_str().unwrap(), made["key_id"].as_str().unwrap());
        let ci = Machine::of(&world).with("CA_API_KEY", key);
        assert_eq!(ci.ca(&["task", "list"]).await.code, 0);
        let list = me.ca(&["keys", "list"]).await.out;
        assert!(list.contains(id) && !list.contains(key) && list.contains("tasks:read"), "{list}");
        assert_eq!(me.ca(&["keys", "revoke", id]).await.code, 0);
        assert_eq!(ci.ca(&["task", "list"]).await.code, 5);
    }

    async fn json_is_what_the_server_sent(database: Database) {
        let (world, task) = worked(database).await;
        let me = Machine::of(&world);
        let get = async |path: &str| -> Value {
            let url = format!("http://{}/{path}", world.address());
            reqwest::Client::new().get(url).bearer_auth("ca_test").send().await.unwrap().json().await.unwrap()
        };
        for (args, path) in [
            (vec!["task", "get", &task], format!("api/v1/tasks/{task}")),
            (vec!["task", "list"], "api/v1/tasks?limit=20".to_owned()),
            (vec!["deliveries"], "api/v1/deliveries?limit=20".to_owned()),
            (vec!["usage", "--by", "repository"], "api/v1/usage?by=repository".to_owned()),
            (vec!["keys", "list"], "api/v1/admin/api-keys".to_owned()),
        ] {
            let args = [&args[..], &["--json"]].concat();
            assert_eq!(me.ca(&args).await.json(), [get(&path).await], "{args:?}");
        }
        let status = me.ca(&["status"]).await;
        assert!(status.code == 0 && status.out.contains("\n  database     ok\n"), "{}{}", status.out, status.err);
        let events = get(&format!("api/v1/tasks/{task}/logs")).await["events"].as_array().unwrap().clone();
        let logs = me.ca(&["task", "logs", &task, "--json"]).await;
        assert_eq!(logs.json(), events);
        let followed = me.ca(&["task", "logs", "-f", &task, "--json"]).await;
        assert_eq!(followed.out.lines().take(events.len()).collect::<Vec<_>>(), logs.out.lines().collect::<Vec<_>>());
        assert_eq!(followed.json().last(), me.ca(&["task", "get", &task, "--json"]).await.json().last());
        let pages = me.ca(&["deliveries", "--limit", "1", "--all", "--json"]).await.json();
        let ids: Vec<_> = pages.iter().map(|page| page["deliveries"][0]["delivery_id"].clone()).collect();
        let all = get("api/v1/deliveries").await;
        let all: Vec<_> = all["deliveries"].as_array().unwrap().iter().map(|it| it["delivery_id"].clone()).collect();
        assert!(all.len() > 1 && ids == all, "{ids:?} {all:?}");
    }
}

/// Days and moments, made the same.
fn steady_times(line: &str) -> String {
    let is_digit = |c: Option<&u8>| c.is_some_and(u8::is_ascii_digit);
    let mut out = line.to_owned();
    for at in 0..line.len().saturating_sub(19) {
        let part = &line.as_bytes()[at..];
        if is_digit(part.first()) && part[4] == b'-' && part[10] == b'T' && part.get(19) == Some(&b'Z') {
            out = format!("{}{}{}", &line[..at], "TIME", &line[at + 20..]);
            break;
        }
    }
    out
}

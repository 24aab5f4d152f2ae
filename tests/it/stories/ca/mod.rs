//! `ca` as people and scripts use it: the real binary against a server.

mod artifacts;
mod create;
mod follow;
mod line;
mod machine;
mod plain;
mod refused;

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
pub use machine::Machine;
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
        assert_snapshot!(told.join("\n\n"), @"
        $ ca login URL < wrong # 5
        ca: URL/ does not take this key: run `ca login` with one that is valid, or set CA_API_KEY. (unauthorized)

        $ ca login URL < nothing # 2
        ca: that is no key: give one line, such as the one in the server's DATA_DIR/admin-api-key

        $ ca login URL < key # 0
        Logged in to URL/ with the key `admin`: tasks:read, tasks:write, deliveries:read, deliveries:write, usage:read, admin

        $ CA_URL=LOCALHOST ca task list # 5
        ca: there is no key for LOCALHOST/: run `ca login`, or set CA_API_KEY. The server's first key stands in its DATA_DIR/admin-api-key.

        $ CA_API_KEY=guess ca task list # 5
        ca: URL/ does not take this key: run `ca login` with one that is valid, or set CA_API_KEY. (unauthorized)

        $ ca login --api-key key # 2
        ca: everybody on this machine can read command lines: run `ca login`, or set CA_API_KEY instead of the flag

        $ ca login URL < narrow # 0
        Logged in to URL/ with the key `reader`: tasks:read of octo/app, until 2100-01-01T00:00:00Z

        $ ca usage # 5
        ca: this key lacks the scope `usage:read`: ask whoever runs the server for one that has it (forbidden)
          `ca login` shows what your key may do.

        $ ca logout # 0
        Forgotten. The key itself still opens the server: `ca keys revoke` ends it.

        $ ca logout # 0
        Nothing was kept.
        ");
    }

    async fn tasks_deliveries_keys_and_usage_are_managed(database: Database) {
        let (world, task) = worked(database).await;
        let me = Machine::of(&world);
        for (args, code, says) in [
            (vec!["task", "list", "--status", "completed", "--repo", "octo/app", "--requester", "alice", "--since", "1d"], 0, "ID  completed  pull_request   octo/app#1  fix this  $0.00"),
            (vec!["task", "list", "--status", "failed"], 0, "# 0"),
            (vec!["task", "list", "--status", "done"], 2, "ca: status: `done` is none of queued, running"),
            (vec!["task", "list", "--since", "soon"], 2, "`soon` is no moment; write 12h, 7d, 2026-01-31"),
            (vec!["task", "get", &task], 0, "about    octo/app#1, asked by alice"),
            (vec!["task", "get", &task], 0, "file     README.md +1 -1"),
            (vec!["task", "get", "../x"], 1, "(no_such_task)\n  `ca task list` shows the newest."),
            (vec!["task", "logs", &task], 0, "   3  run            agent started, session ID"),
            (vec!["task", "logs", "-f", &task], 0, "   3  run            agent started, session ID"),
            (vec!["task", "wait", &task], 0, "# 0\ncompleted: pull_request. TIME · $COST\nThe greeting was too short.\n"),
            (vec!["task", "cancel", &task], 1, "(already_ended)"),
            (vec!["deliveries", "--event", "issue_comment"], 0, "issue_comment.created"),
            (vec!["deliveries", "list", "--status", "done"], 0, "made a task"),
            (vec!["deliveries", "show", "nothing"], 1, "(no_such_delivery)\n  `ca deliveries` shows the newest."),
            (vec!["usage", "--by", "person"], 0, "\nalice "),
            (vec!["usage", "--by", "repository", "--csv"], 0, "\nocto/app,1,1,0,0,1,"),
            (vec!["keys", "create", "all", "--scope", "everything"], 2, "give one of tasks:read, tasks:write"),
            (vec!["keys", "revoke", "nothing"], 1, "(no_such_key)\n  `ca keys list` shows them."),
            (vec!["pr", "review", "7"], 2, "give the number with `--repo owner/name`"),
        ] {
            let said = me.ca(&args).await;
            assert!(said.code == code && said.steady().contains(says), "{args:?}: {}", said.steady());
        }
        let found = me.ca(&["deliveries", "--event", "issue_comment", "--status", "done", "--json"]).await.json();
        let delivery = found[0]["deliveries"][0]["delivery_id"].as_str().unwrap();
        let shown = me.ca(&["deliveries", "show", delivery]).await;
        assert!(shown.out.contains("decision made a task") && shown.out.contains("\"body\": \"@cloud-agent fix this\""), "{}", shown.out);

        let dry = me.ca(&["deliveries", "replay", delivery, "--dry-run"]).await;
        assert_eq!((dry.code, dry.out.as_str()), (0, "done: would make a task (issue): fix this\n"), "{}", dry.err);
        let replayed = &me.ca(&["deliveries", "replay", delivery, "--json"]).await.json()[0];
        assert_eq!((&replayed["replay_of"], &replayed["dry_run"]), (&delivery.into(), &false.into()));
        world.settle().await;
        world.told();
        let new = replayed["delivery_id"].as_str().unwrap();
        let shown = me.ca(&["deliveries", "show", new]).await.out;
        assert!(shown.contains(&format!("replays  {delivery}\n")) && shown.contains("decision made a task"), "{shown}");
        assert_eq!(me.ca(&["deliveries", "replay", "nothing"]).await.code, 1);

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

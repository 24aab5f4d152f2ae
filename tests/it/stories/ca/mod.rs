//! `ca` as people and scripts use it: the real binary against a server.

mod machine;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use machine::Machine;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

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

/// The same, with a task that runs until it is told to go on.
async fn working(database: Database) -> (World, String) {
    let mut world = World::on(database).await;
    world.claude_waits("echo 'hello, world' > README.md");
    world.set("ADMIN_API_KEY", "ca_test");
    world.start().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.claude_is_waiting().await;
    let task = world.last_task(1).await.unwrap().id.to_string();
    (world, task)
}

/// A line between `ca` and its server that breaks after some bytes of each stream.
async fn brittle(world: &World, bytes: usize) -> (String, Arc<AtomicUsize>) {
    let (listener, server) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), world.address());
    let url = format!("http://{}", listener.local_addr().unwrap());
    let breaks = Arc::new(AtomicUsize::new(0));
    let counted = breaks.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.unwrap();
            tokio::spawn(carry(client, server, bytes, counted.clone()));
        }
    });
    (url, breaks)
}

async fn carry(mut client: TcpStream, mut server: TcpStream, bytes: usize, breaks: Arc<AtomicUsize>) {
    let mut asked = [0; 4096];
    let n = client.read(&mut asked).await.unwrap();
    server.write_all(&asked[..n]).await.unwrap();
    if !String::from_utf8_lossy(&asked[..n]).contains("/events") {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    let mut left = bytes;
    while let Ok(n @ 1..) = server.read(&mut asked[..left.min(4096)]).await {
        if client.write_all(&asked[..n]).await.is_err() {
            return;
        }
        left -= n;
        if left == 0 {
            breaks.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
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

    async fn every_event_is_heard_once_over_a_line_that_breaks(database: Database) {
        let (world, task) = working(database).await;
        let (url, breaks) = brittle(&world, 900).await;
        let me = Machine::of(&world).with("CA_URL", &url);
        let args = ["task", "logs", "--follow", &task, "--json"];
        let following = tokio::spawn({
            let mut command = tokio::process::Command::from(me.command(&args));
            async move { command.output().await.unwrap() }
        });
        world.wait_for("a break", async || breaks.load(Ordering::Relaxed) > 0).await;
        world.claude_goes_on();
        let heard = following.await.unwrap();
        world.settle().await;
        world.told();
        let lines: Vec<Value> = String::from_utf8(heard.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let seqs: Vec<_> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
        assert_eq!(heard.status.code(), Some(0));
        assert_eq!(seqs, (1..lines.len() as u64).collect::<Vec<_>>(), "each once, in order");
        assert_eq!(lines.last().unwrap()["status"], "completed");
        assert!(breaks.load(Ordering::Relaxed) > 1);
        let said = String::from_utf8(heard.stderr).unwrap();
        assert!(said.contains("trying again"), "{said}");
    }

    async fn the_exit_code_says_how_it_ended(database: Database) {
        let (world, task) = working(database).await;
        let me = Machine::of(&world);
        let late = me.ca(&["task", "wait", &task, "--timeout", "200ms"]).await;
        assert_snapshot!(late.steady(), @"");
        assert_eq!(me.ca(&["task", "cancel", &task]).await.code, 0);
        assert_eq!(me.ca(&["task", "wait", &task]).await.code, 3);
        world.settle().await;
        world.told();
        assert_eq!(me.ca(&["task", "wait"]).await.code, 2);
        assert_eq!(me.with("CA_API_KEY", "x").ca(&["task", "wait", &task]).await.code, 5);
    }

    async fn a_task_that_fails_fails_the_command(database: Database) {
        let world = served(database, "exit 3").await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();
        let task = world.last_task(1).await.unwrap().id.to_string();
        let failed = Machine::of(&world).ca(&["task", "wait", &task]).await;
        assert_snapshot!(failed.steady(), @"");
    }

    async fn ctrl_c_asks_whether_the_task_is_to_go_on(database: Database) {
        let (world, task) = working(database).await;
        let me = Machine::of(&world).with("NO_COLOR", "1");
        let mut terminal = me.terminal(&["task", "logs", "--follow", &task]);
        terminal.shows(&world, "agent started").await;
        terminal.shows(&world, "running").await;
        terminal.presses_ctrl_c();
        terminal.shows(&world, "running? [Y/n] ").await;
        terminal.types("\n");
        assert_eq!(terminal.ends().await, 130);
        assert!(terminal.screen().contains(&format!("ca task logs --follow {task}")), "{}", terminal.screen());
        assert!(!is_coloured(&terminal.screen()), "NO_COLOR is respected: {:?}", terminal.screen());

        // Where nobody can be asked, the task goes on.
        let mut child = tokio::process::Command::from(me.command(&["task", "logs", "-f", &task]));
        let mut child = child.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut first = [0; 8];
        child.stdout.as_mut().unwrap().read_exact(&mut first).await.unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        let left = child.wait_with_output().await.unwrap();
        assert_eq!(left.status.code(), Some(130));
        assert_snapshot!(crate::world::steady(&String::from_utf8(left.stderr).unwrap()), @"");

        let mut terminal = Machine::of(&world).terminal(&["task", "wait", &task]);
        terminal.shows(&world, "\x1b[36mrunning").await;
        assert!(is_coloured(&terminal.screen()));
        terminal.presses_ctrl_c();
        terminal.shows(&world, "running? [Y/n] ").await;
        terminal.types("n\n");
        assert_eq!(terminal.ends().await, 3);
        world.settle().await;
        assert!(world.told().contains("The admin key asked me to stop."));
    }

    async fn nothing_that_people_wrote_speaks_to_the_terminal(database: Database) {
        let (world, task) = worked(database).await;
        let evil = "all\u{1b}]0;owned\u{7} \u{9b}2Jwell\r\u{202e}now";
        world.sql(&format!("update task set prompt = '{evil}' where task_id = '{task}'")).await;
        let body = json!({ "text": evil, "nested": { evil: [evil] } }).to_string();
        world.sql(&format!("insert into task_event (task_id, seq, at, kind, body) values ('{task}', 900, 1, 'text', '{body}')")).await;
        let me = Machine::of(&world);
        for args in [vec!["list"], vec!["get", &task], vec!["logs", &task], vec!["logs", "-f", &task], vec!["wait", &task]] {
            for json in [false, true] {
                let mut args = [&["task"][..], &args[..]].concat();
                args.extend(json.then_some("--json"));
                let said = me.ca(&args).await;
                assert!(!said.out.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{args:?}: {:?}", said.out);
                match json {
                    true if args[1] == "get" => assert_eq!(said.json()[0]["prompt"], evil),
                    false if args[1] == "get" => assert!(said.out.contains("all well now"), "{}", said.out),
                    _ => (),
                }
            }
        }
    }
}

/// Whether something sets a colour; to move about is none.
fn is_coloured(screen: &str) -> bool {
    let mut sequences = screen.split("\x1b[").skip(1);
    sequences.any(|it| it.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
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

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let said = Machine::bare().with("CA_URL", "http://127.0.0.1:1").ca(&["status"]).await;
    assert_snapshot!(said.steady(), @"");
    let said = Machine::bare().with("CA_URL", "ftp://x").ca(&["status"]).await;
    assert_snapshot!(said.steady(), @"");
}

#[tokio::test]
async fn the_help_teaches() {
    assert_snapshot!(Machine::bare().ca(&["--help"]).await.steady(), @"");
    assert_snapshot!(Machine::bare().ca(&["task", "create", "--help"]).await.steady(), @"");
}

#[tokio::test]
async fn every_shell_completes_the_commands() {
    let me = Machine::bare();
    for shell in ["bash", "zsh", "fish"] {
        let said = me.ca(&["completions", shell]).await;
        assert!(said.code == 0 && said.out.contains("deliveries"), "{shell}: {}", said.err);
    }
    assert_eq!(me.ca(&["completions", "tcl"]).await.code, 2);
}

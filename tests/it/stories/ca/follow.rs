//! Tasks that are watched with `ca`, and how that ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::line::{line, said};
use super::machine::Machine;
use super::{served, worked};
use crate::world::{Database, World};

/// A world with a task that runs until it is told to go on.
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
        assert_snapshot!(late.steady(), @"
        # 4
        ca: the task has not ended within 200ms. Come back with: ca task wait ID
        ");
        assert_eq!(me.ca(&["task", "cancel", &task]).await.code, 0);
        assert_eq!(me.ca(&["task", "wait", &task]).await.code, 3);
        world.settle().await;
        world.told();
        assert_eq!(me.ca(&["task", "wait"]).await.code, 2);
        assert_eq!(me.with("CA_API_KEY", "x").ca(&["task", "wait", &task]).await.code, 5);
    }

    async fn a_server_that_refuses_makes_no_failure_of_a_task_that_has_completed(database: Database) {
        let (world, task) = worked(database).await;
        let its_own = format!("GET /api/v1/tasks/{task} HTTP");
        let mut refusals = vec![
            String::new(),
            said("503 Service Unavailable", "retry-after: 0\r\n", "busy"),
            said("429 Too Many Requests", "retry-after: 0\r\n", "{}"),
        ];
        let asks = its_own.clone();
        let url = line(Some(world.address()), move |asked| asked.starts_with(&asks).then(|| refusals.pop()).flatten());
        let me = Machine::of(&world).with("CA_URL", &url.await);
        let waited = me.ca(&["task", "wait", &task]).await;
        assert!(waited.code == 0 && waited.err.is_empty(), "{}", waited.steady());
        assert!(waited.out.contains("\nThe greeting was too short.\n"), "{}", waited.out);

        let gone = json!({ "status": 404, "code": "no_such_task", "detail": "it is gone" }).to_string();
        let gone = said("404 Not Found", "", &gone);
        let url = line(Some(world.address()), move |asked| asked.starts_with(&its_own).then(|| gone.clone()));
        let me = me.with("CA_URL", &url.await);
        let ended = me.ca(&["task", "wait", &task]).await;
        assert_eq!((ended.code, ended.out.as_str()), (0, "completed: pull_request.\n"), "{}", ended.err);
        assert!(ended.err.contains("could not be looked at: it is gone"), "{}", ended.err);
        let ended = me.ca(&["task", "logs", "-f", &task, "--json"]).await;
        let last: Value = serde_json::from_str(ended.out.lines().last().unwrap()).unwrap();
        assert_eq!(last, json!({ "task_id": task, "status": "completed", "ending": "pull_request" }));
        assert_eq!(ended.code, 0);
    }

    async fn a_task_that_fails_fails_the_command(database: Database) {
        let world = served(database, "exit 3").await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
        world.settle().await;
        world.told();
        let task = world.last_task(1).await.unwrap().id.to_string();
        let failed = Machine::of(&world).ca(&["task", "wait", &task]).await;
        assert_snapshot!(failed.steady(), @"
        # 1
        failed: crashed. TIME · $COST
        Claude Code ended without an answer. Nothing was published. Say `@cloud-agent retry` to try again.
        ");
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
        assert_snapshot!(crate::world::steady(&String::from_utf8(left.stderr).unwrap()), @"ca: the task goes on. Come back with: ca task logs --follow ID");

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

//! What a task has left, taken home with `ca`.

use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::machine::Machine;
use super::{served, worked};
use crate::stories::artifacts::transcript;
use crate::world::World;

/// Takes what was downloaded over into a clone: the patch, the commits and the files have to be the same.
const TAKE_OVER: &str = r#"
base=$(sed -n 's/^-\([0-9a-f]*\).*/\1/p;/^$/q' left/commits.bundle | head -n 1)
git init -q clone
echo "$OBJECTS" > clone/.git/objects/info/alternates
cd clone
git reset -q --hard "$base"
git fetch -q ../left/commits.bundle cloud-agent/work
git log --format=%s "$base..FETCH_HEAD"
git apply --index ../left/changes.patch
git diff --cached --exit-code FETCH_HEAD
git rm -qrf .
git checkout -q -f "$base"
tar -xf ../left/files.tar
git rm -q old.txt
git add -A
git diff --cached --exit-code FETCH_HEAD
tar -tf ../left/files.tar | wc -l
"#;

/// A server that says this to whoever asks, whatever for.
async fn liar(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let n = client.read(&mut asked).await.unwrap_or_default();
            let list = String::from_utf8_lossy(&asked[..n]).contains("/artifacts HTTP");
            let (kind, body) = if list { ("application/json", answer.as_str()) } else { ("text/plain", "four") };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = client.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    url
}

fn mirror(world: &World) -> String {
    let mirrors = std::fs::read_dir(world.data_dir().join("mirrors")).unwrap().flatten();
    let objects = mirrors.map(|it| it.path().join("objects")).find(|it| it.is_dir()).expect("a mirror");
    objects.canonicalize().unwrap().display().to_string()
}

stories! {
    async fn what_is_downloaded_is_the_work(database: Database) {
        let long = "directory/".repeat(12);
        let script = format!(
            "{}mkdir -p {long}; echo deep > {long}file; echo '#!/bin/sh' > run.sh; chmod +x run.sh; ln -s run.sh link
             git rm -q old.txt; git add -A; git commit -qm 'Move in'; printf 'caf\\351\\n' > README.md",
            transcript("echo '{\"text\":\"hello\"}'")
        );
        let world = served(database, &script).await;
        world.github.push_quietly("bob", "octo/app", "main", &[("old.txt", "old\n")], "Have a file to remove");
        world.github.told();
        let me = Machine::of(&world);
        let made = me.ca(&["task", "create", "greet the world", "--repo", "octo/app", "--follow", "--json"]).await;
        assert_eq!(made.code, 0, "{}{}", made.out, made.err);
        let task = made.json()[0]["task_id"].as_str().unwrap().to_owned();
        world.settle().await;
        world.told();

        let left = me.home.path().join("left");
        let dir = left.to_str().unwrap();
        let said = me.ca(&["task", "download", &task, "-o", dir]).await;
        assert_snapshot!(said.steady().replace(dir, "DIR"), @"
        # 0
        DIR/changes.patch
        DIR/commits.bundle
        DIR/files.tar
        DIR/transcript.jsonl
        ");
        assert_eq!(std::fs::metadata(left.join("files.tar")).unwrap().permissions().mode() & 0o111, 0);
        let me = me.with("OBJECTS", &mirror(&world));
        let over = me.shell(TAKE_OVER).await;
        assert_eq!(over.code, 0, "{}\n{}", over.out, over.err);
        assert_snapshot!(over.out, @"
        Greet the world
        Move in
        4
        ");

        // Nothing is replaced unasked, and nothing of it is touched before that is known.
        std::fs::write(left.join("files.tar"), "mine").unwrap();
        std::fs::remove_file(left.join("changes.patch")).unwrap();
        let kept = me.ca(&["task", "download", &task, "--output", dir]).await;
        assert_snapshot!(kept.steady().replace(dir, "DIR"), @"
        # 2
        ca: DIR/commits.bundle is there already; `--force` replaces it
        ");
        assert_eq!(std::fs::read_to_string(left.join("files.tar")).unwrap(), "mine");
        assert!(!left.join("changes.patch").exists());
        let one = me.ca(&["task", "download", &task, "files.tar", "-o", dir, "--force", "--json"]).await.json();
        assert_eq!((&one[0]["name"], one[0]["sha256"].as_str().unwrap().len()), (&json!("files.tar"), 64));
        assert_ne!(std::fs::read(left.join("files.tar")).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(&left).unwrap().count(), 3, "nothing half-written is left");
        let mut terminal = me.terminal(&["task", "download", &task, "transcript.jsonl", "-o", me.home.path().to_str().unwrap()]);
        assert_eq!(terminal.ends().await, 0);
        terminal.shows(&world, "transcript.jsonl  1 of 1 kB").await;
        let none = me.ca(&["task", "download", &task, "nothing", "-o", dir]).await;
        assert!(none.code == 1 && none.err.contains("(no_such_artifact)"), "{}", none.steady());
    }

    async fn a_diff_is_coloured_for_people_and_whole_for_programs(database: Database) {
        let (world, task) = worked(database).await;
        let me = Machine::of(&world);
        let plain = me.ca(&["task", "diff", &task]).await;
        assert_snapshot!(plain.steady(), @"
        # 0
        diff --git a/README.md b/README.md
        index SHA..SHA 100644
        --- a/README.md
        +++ b/README.md
        @@ -1 +1 @@
        -hello
        +hello, world
        ");
        let json = me.ca(&["task", "diff", &task, "--json"]).await.json();
        assert_eq!((&json[0]["task_id"], json[0]["patch"].as_str().unwrap()), (&json!(task), plain.out.as_str()));
        let mut terminal = me.terminal(&["task", "diff", &task]);
        assert_eq!(terminal.ends().await, 0);
        terminal.shows(&world, "\x1b[32m+hello, world\x1b[0m").await;
        assert!(terminal.screen().contains("\x1b[31m-hello\x1b[0m") && terminal.screen().contains("\x1b[36m@@ -1 +1 @@"));
        let mut terminal = me.with("NO_COLOR", "1").terminal(&["task", "diff", &task]);
        assert_eq!(terminal.ends().await, 0);
        terminal.shows(&world, "+hello, world\r\n").await;
        assert!(!terminal.screen().contains('\x1b'), "{:?}", terminal.screen());
        let card = Machine::of(&world).ca(&["task", "get", &task]).await;
        assert!(card.out.contains("\ncommit   ") && card.out.contains(" Greet the world\n"), "{}", card.out);
    }

    async fn a_task_without_an_issue_has_no_number(database: Database) {
        let world = served(database, "exit 3").await;
        let me = Machine::of(&world);
        let made = me.ca(&["task", "create", "greet the world", "--repo", "octo/app", "--follow"]).await;
        assert_eq!(made.code, 1);
        let words = made.out.lines().skip_while(|line| !line.starts_with("failed")).collect::<Vec<_>>().join("\n");
        assert_snapshot!(crate::world::steady(&words), @"
        failed: crashed. TIME · $COST
        Claude Code ended without an answer. Nothing was published. Run `ca task retry ID` (`POST /api/v1/tasks/ID/retry`) to try again.
        ");
        let task = made.out.lines().next().unwrap();
        for args in [vec!["task", "list"], vec!["task", "get", task]] {
            let said = me.ca(&args).await.out;
            assert!(said.contains("octo/app") && !said.contains('#'), "{args:?}: {said}");
        }
        let none = me.ca(&["task", "diff", task]).await;
        assert_snapshot!(none.steady(), @"
        # 1
        ca: this task has left nothing that is kept (no_such_artifact)
        ");
        let none = me.ca(&["task", "download", task, "-o", "nowhere"]).await;
        assert_snapshot!(none.steady(), @"
        # 1
        ca: this task has left nothing that is kept
        ");
        world.settle().await;
        world.told();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_writes_nothing_anywhere_else() {
    let me = Machine::bare().with("CA_API_KEY", "ca_test");
    let home = me.home.path().join("home");
    let dir = home.to_str().unwrap().to_owned();
    let list = |name: &str, size: u64| {
        let it = json!({ "name": name, "size": size, "content_type": "text/plain", "sha256": "0".repeat(64), "created_at": 0 });
        json!({ "artifacts": [it], "left_out": [] }).to_string()
    };
    let mut me = me;
    for (name, size, says) in [
        ("../../outside", 4, "which is no plain name"),
        ("/tmp/outside", 4, "which is no plain name"),
        (".bashrc", 4, "which is no plain name"),
        ("short", 3, "larger than the server said"),
        ("long", 5, "came broken"),
        ("other", 4, "came broken"),
    ] {
        me = me.with("CA_URL", &liar(list(name, size)).await);
        let said = me.ca(&["task", "download", "x", "-o", &dir]).await;
        assert!(said.code == 1 && said.err.contains(says), "{name}: {}", said.err);
        let left = std::fs::read_dir(&home).map(Iterator::count).unwrap_or_default();
        assert_eq!(left, 0, "{name}");
    }
    assert!(!me.home.path().join("outside").exists());
}

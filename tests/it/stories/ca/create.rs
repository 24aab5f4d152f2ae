//! Work that is asked for with `ca`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::machine::Machine;
use super::served;
use crate::world::World;

/// A line on which the answer to the first request is lost, after the server has heard it.
async fn forgetful(world: &World) -> String {
    let (listener, server) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), world.address());
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lost = Arc::new(AtomicBool::new(false));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (mut server, lost) = (TcpStream::connect(server).await.unwrap(), lost.clone());
            tokio::spawn(async move {
                if lost.swap(true, Ordering::Relaxed) {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
                let mut bytes = [0; 4096];
                let n = client.read(&mut bytes).await.unwrap();
                server.write_all(&bytes[..n]).await.unwrap();
                // Its headers and body may come apart; the answer comes after both.
                tokio::select! {
                    n = client.read(&mut bytes) => {
                        let n = n.unwrap();
                        server.write_all(&bytes[..n]).await.unwrap();
                        server.readable().await.unwrap();
                    }
                    ready = server.readable() => ready.unwrap(),
                }
            });
        }
    });
    url
}

/// The branch of a task without an issue has digits of its own.
fn steady_branch(text: &str) -> String {
    const OPENS: &str = "cloud-agent/task-";
    match text.split_once(OPENS) {
        Some((before, after)) => format!("{before}{OPENS}DIGITS{}", &after[8..]),
        None => text.to_owned(),
    }
}

/// The commands that a section of the README shows, block by block.
fn readme(section: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let section = text.split(&format!("\n### {section}\n")).nth(1).unwrap().split("\n### ").next().unwrap();
    section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

stories! {
    async fn a_task_is_created_and_followed_to_its_pull_request(database: Database) {
        let world = served(database, "echo 'hello, world' > README.md").await;
        let me = Machine::of(&world).with("CA_GITHUB_URL", world.github.url());
        let made = me.ca(&["task", "create", "greet the world", "--repo", "octo/app", "--budget", "1.50", "--follow"]).await;
        let said = steady_branch(&made.steady().replace(world.github.url(), "GITHUB"));
        assert_snapshot!(said, @r#"
        # 0
        ID
           1  run            checkout SHA
           2  run            sandbox local
           3  run            agent started, session ID
           4  init           {"model":"claude-actor","session_id":"s","version":"0"}
           5  result         done
           6  run            answered
           7  run            inspect
           8  run            branch cloud-agent/task-DIGITS-greet-the-world pushed
           9  run            pull_request #2
          10  run            ended pull_request
          11  run            told
        completed: pull_request. TIME · $COST
        The greeting was too short.
        GITHUB/octo/app/pull/2
        "#);
        world.settle().await;
        world.told();
        let task = made.out.lines().next().unwrap().to_owned();

        let again = me.ca(&["task", "resume", &task, "-", "--json"]).await;
        assert_eq!(again.code, 2, "nothing was said: {}", again.err);
        let again = me.ca_reads(&["task", "resume", &task, "-", "--follow", "--json"], "and now again\n").await.json();
        assert_eq!((&again[0]["status"], &again.last().unwrap()["prompt"]), (&"queued".into(), &"and now again".into()));
        world.settle().await;
        world.told();
        let retried = me.ca(&["task", "retry", &task]).await;
        assert_eq!((retried.code, retried.out.trim().len()), (0, 36), "{}", retried.err);
        world.settle().await;
        world.told();
    }

    async fn issues_are_fixed_and_pull_requests_reviewed(database: Database) {
        let world = served(database, "echo 'hello, world' > README.md").await;
        let me = Machine::of(&world).with("CA_GITHUB_URL", world.github.url());
        let fixed = me.ca(&["issue", "fix", "1", "in two words", "--repo", "octo/app", "--follow"]).await;
        assert_eq!(fixed.code, 0, "{}{}", fixed.out, fixed.err);
        world.settle().await;
        let told = world.told();
        assert!(told.contains("Opened") && fixed.out.trim().ends_with("/octo/app/pull/2"), "{told}\n{}", fixed.out);
        let url = format!("{}/octo/app/pull/2", world.github.url());
        let review = me.ca(&["pr", "review", &url, "--json"]).await.json();
        let review = me.ca(&["task", "get", review[0]["task_id"].as_str().unwrap(), "--json"]).await.json();
        assert_eq!((&review[0]["kind"], &review[0]["number"]), (&"review".into(), &2.into()));
        world.settle().await;
        world.told();

        // Without the variable it is another GitHub's: nothing is made of the name alone.
        let before = me.ca(&["task", "list", "--json"]).await.json()[0]["total"].clone();
        let me = Machine::of(&world);
        let elsewhere = me.ca(&["pr", "review", "2", "--repo", "octo/app"]).await;
        assert!(elsewhere.code == 2 && elsewhere.err.contains("repository_url: give `owner/name`"), "{}", elsewhere.err);
        assert!(elsewhere.err.contains("CA_GITHUB_URL"), "{}", elsewhere.err);
        assert_eq!(me.ca(&["task", "list", "--json"]).await.json()[0]["total"], before);
    }

    async fn a_lost_answer_makes_no_second_task(database: Database) {
        let world = served(database, "true").await;
        let me = Machine::of(&world).with("CA_URL", &forgetful(&world).await);
        let made = me.ca(&["task", "create", "greet the world", "--repo", "octo/app"]).await;
        assert_eq!(made.code, 0, "{}", made.err);
        let all = me.ca(&["task", "list", "--json"]).await.json();
        assert_eq!((&all[0]["total"], &all[0]["tasks"][0]["task_id"]), (&1.into(), &made.out.trim().into()));
        let twice = ["task", "create", "greet again", "--repo", "octo/app", "--idempotency-key", "mine"];
        let (one, two) = (me.ca(&twice).await, me.ca(&twice).await);
        assert_eq!((one.code, &one.out), (0, &two.out));
        world.settle().await;
        world.told();
    }

    async fn the_readme_says_what_works(database: Database) {
        let world = served(database, "date +%s%N >> README.md").await;
        let me = Machine::bare().with("CA_GITHUB_URL", world.github.url());
        std::fs::create_dir(me.home.path().join("data")).unwrap();
        std::fs::write(me.home.path().join("data/admin-api-key"), "ca_test\n").unwrap();
        let script = readme("The command line")[0].replace("http://localhost:3000", &format!("http://{}", world.address()));
        let said = me.shell(&script).await;
        assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
        assert!(me.home.path().join("ca.bash").exists());
        world.settle().await;
        world.told();
    }

    async fn the_readme_says_what_works_with_curl(database: Database) {
        let world = served(database, "date +%s%N >> README.md").await;
        let me = Machine::of(&world);
        // An answer that is an error fails the script.
        std::fs::write(me.home.path().join(".curlrc"), "silent\nshow-error\nfail\nmax-time = 60\n").unwrap();
        let mut answers = Vec::new();
        for block in readme("REST API") {
            // The bot's GitHub is another one here.
            let block = block.replace("https://github.com", world.github.url());
            let said = me.shell(&block).await;
            assert_eq!(said.code, 0, "{block}\n{}\n{}", said.out, said.err);
            world.settle().await;
            answers.push(said.out);
        }
        assert!(answers[0].contains(r#""api_key":"ca_"#) && answers[1].contains(r#""task_id":"#), "{answers:?}");
        assert!(answers.iter().any(|it| it.contains(r#""type":"pr_created""#)), "{answers:?}");
        assert_eq!(world.github.pulls("octo/app").len(), 2);
        world.told();
    }
}

//! What a task leaves for scripts, and what its end says to them.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::api::{Answer, get, key, read};
use super::api_tasks::{greeting, order, steady_branch, task_id};
use super::findings::{APP, finding, findings};
use crate::world::{Database, World, steady};

/// What the CLI would write down of its conversation: this, in place of the session's transcript.
pub fn transcript(lines: &str) -> String {
    format!(
        r#"while [ "$1" != --session-id ]; do shift; done
mkdir -p "$HOME/.claude/projects/-workspace"
{lines} > "$HOME/.claude/projects/-workspace/$2.jsonl"
"#
    )
}

async fn ask(world: &World) -> String {
    let id = task_id(&order(world, "ca_test", json!({ "prompt": "greet the world", "repo": "octo/app" })).await);
    world.settle().await;
    world.told();
    id
}

/// Each with its size, and what was left out with its reason.
async fn left(world: &World, id: &str) -> String {
    let list = get(world, "ca_test", &format!("tasks/{id}/artifacts")).await.json();
    let kept = list["artifacts"].as_array().unwrap().iter();
    let kept = kept.map(|it| {
        let (name, size) = (it["name"].as_str().unwrap(), it["size"].as_u64().unwrap());
        assert!(size > 0, "{name}");
        // Its commits have dates, which compress to a byte more or less.
        let size = if name == "commits.bundle" { "SIZE".to_owned() } else { size.to_string() };
        format!("{name} {} {size}", it["content_type"].as_str().unwrap())
    });
    let missed = list["left_out"].as_array().unwrap().iter();
    let missed = missed.map(|it| {
        format!(
            "not {} ({}): {}",
            it["name"].as_str().unwrap(),
            it["code"].as_str().unwrap(),
            it["detail"].as_str().unwrap()
        )
    });
    kept.chain(missed).collect::<Vec<_>>().join("\n")
}

async fn one(world: &World, id: &str, name: &str) -> Answer {
    get(world, "ca_test", &format!("tasks/{id}/artifacts/{name}")).await
}

async fn message(world: &World, id: &str) -> String {
    let task = get(world, "ca_test", &format!("tasks/{id}")).await.json();
    steady(&steady_branch(task["error"]["message"].as_str().unwrap()))
}

stories! {
    async fn what_a_task_leaves_is_given_out(database: Database) {
        let mut world = greeting(database, &[]).await;
        let token = format!("ghp_{}", "x".repeat(36));
        let said = format!("printf '%s\\n' '{{\"text\":\"hello\"}}' '{{\"text\":\"{token}\"}}'");
        world.claude_will(&format!("{}echo 'hello, world' > README.md; git commit -qam 'Say more'; echo new > new.txt", transcript(&said)));
        let early = task_id(&order(&world, "ca_test", json!({ "prompt": "greet the world", "repo": "octo/app" })).await);
        assert_eq!(one(&world, &early, "changes.patch").await.problem(), "404 no_such_artifact");
        world.settle().await;
        world.told();
        assert_snapshot!(left(&world, &early).await, @"
        changes.patch text/x-diff 384
        commits.bundle application/x-git-bundle SIZE
        files.tar application/x-tar 3072
        transcript.jsonl application/x-ndjson 39
        ");
        let patch = one(&world, &early, "changes.patch").await;
        assert_snapshot!(patch.text, @"
        diff --git a/README.md b/README.md
        index ce013625030ba8dba906f756967f9e9ca394464a..4b5fa63702dd96796042e92787f464e28f09f17d 100644
        --- a/README.md
        +++ b/README.md
        @@ -1 +1 @@
        -hello
        +hello, world
        diff --git a/new.txt b/new.txt
        new file mode 100644
        index 0000000000000000000000000000000000000000..3e757656cf36eca53338e520d134963a44f793f8
        --- /dev/null
        +++ b/new.txt
        @@ -0,0 +1 @@
        +new
        ");
        let header = |name: &str| patch.headers[name].to_str().unwrap().to_owned();
        assert_eq!(
            [header("content-type"), header("content-disposition"), header("content-length")],
            ["text/x-diff".to_owned(), "attachment; filename=\"changes.patch\"".to_owned(), patch.text.len().to_string()]
        );
        let list = get(&world, "ca_test", &format!("tasks/{early}/artifacts")).await.json();
        assert_eq!(header("etag"), format!("\"{}\"", list["artifacts"][0]["sha256"].as_str().unwrap()));
        let url = format!("http://{}/api/v1/tasks/{early}/artifacts/changes.patch", world.address());
        let again = async |tag: &str| {
            let request = reqwest::Client::new().get(&url).bearer_auth("ca_test").header("if-none-match", tag);
            read(request.send().await.unwrap()).await
        };
        let known = again(&header("etag")).await;
        assert_eq!((known.status, known.text.as_str(), &known.headers["etag"]), (304, "", &patch.headers["etag"]));
        assert_eq!(again("\"other\"").await.status, 200);
        let said = one(&world, &early, "transcript.jsonl").await.text;
        assert!(said.starts_with("{\"text\":\"hello\"}\n") && said.lines().count() == 2 && !said.contains(&token), "{said}");

        let task = get(&world, "ca_test", &format!("tasks/{early}")).await.json();
        let artifacts = &task["result"]["artifacts"];
        let commits: Vec<_> = artifacts["commits"].as_array().unwrap().iter().map(|it| it["subject"].as_str().unwrap()).collect();
        assert_eq!(commits, ["Say more", "Greet the world"]);
        assert_eq!(artifacts["commits"][1]["sha"], artifacts["head"]);
        assert_eq!(artifacts["files"].as_array().unwrap().len(), 2);
        let missing = one(&world, &early, "nothing").await;
        assert_eq!(missing.problem(), "404 no_such_artifact");
        assert_snapshot!(missing.json()["detail"].as_str().unwrap(), @"this task has left `changes.patch`, `commits.bundle`, `files.tar`, `transcript.jsonl`");
    }

    async fn only_who_may_see_the_task_sees_what_it_leaves(database: Database) {
        let world = greeting(database, &[]).await;
        world.github.create_repo("octo/lib", &[("README.md", "hi\n")]);
        let id = ask(&world).await;
        let (narrow, _) = key(&world, json!({ "name": "narrow", "scopes": ["tasks:read"], "repositories": ["octo/lib"] })).await;
        let (writer, _) = key(&world, json!({ "name": "writer", "scopes": ["tasks:write"] })).await;
        for path in ["artifacts", "artifacts/changes.patch", "artifacts/nothing"] {
            let path = format!("tasks/{id}/{path}");
            assert_eq!(get(&world, &narrow, &path).await.problem(), "404 no_such_task");
            assert_eq!(get(&world, &writer, &path).await.problem(), "403 forbidden");
        }
    }

    async fn what_the_gate_holds_back_is_kept_unless_it_is_a_secret(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_will("mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml");
        let id = ask(&world).await;
        assert_snapshot!(left(&world, &id).await, @"
        changes.patch text/x-diff 244
        commits.bundle application/x-git-bundle SIZE
        files.tar application/x-tar 2048
        ");
        assert!(one(&world, &id, "changes.patch").await.text.contains("\n+on: push\n"));
        assert_snapshot!(message(&world, &id).await, @"
        The work is done, but I may not publish it:

        - it changes the workflow `.github/workflows/ci.yml`, which would run with the repository's secrets

        Whoever may push to the default branch can let this through: put `gate: { allow: [workflows] }` in `.github/cloud-agent.yml` there, once the operator has added `workflows` to `GATE_MOST`. Then ask again.

        Nothing was published. Ask again without these changes, or make them yourself.
        ");

        let token = format!("ghp_{}", "x".repeat(36));
        let said = transcript(&format!("echo '{{\"text\":\"{token}\"}}'"));
        world.claude_will(&format!("{said}echo 'token: {token}' > README.md"));
        let id = ask(&world).await;
        assert_snapshot!(left(&world, &id).await, @"
        not changes.patch (secret): the work holds what looks like a password or an access token, so nothing of it is given out
        not commits.bundle (secret): the work holds what looks like a password or an access token, so nothing of it is given out
        not files.tar (secret): the work holds what looks like a password or an access token, so nothing of it is given out
        not transcript.jsonl (secret): the work holds what looks like a password or an access token, so nothing of it is given out
        ");
        let refused = one(&world, &id, "files.tar").await;
        assert_eq!(refused.problem(), "404 no_such_artifact");
        assert_snapshot!(refused.json()["detail"].as_str().unwrap(), @"`files.tar` was not kept: the work holds what looks like a password or an access token, so nothing of it is given out; this task has left nothing that is kept");

        // Too long to be looked through; and a conversation that is too large.
        let said = transcript("head -c 17000000 /dev/zero | tr '\\0' x");
        world.claude_will(&format!("{said}head -c 9000000 /dev/zero | tr '\\0' x > long.txt"));
        let id = ask(&world).await;
        assert_snapshot!(left(&world, &id).await, @"
        not changes.patch (unread): the work is too long to be looked through for passwords and access tokens, so nothing of it is given out
        not commits.bundle (unread): the work is too long to be looked through for passwords and access tokens, so nothing of it is given out
        not files.tar (unread): the work is too long to be looked through for passwords and access tokens, so nothing of it is given out
        not transcript.jsonl (too_large): it is larger than 16 MB, the most that is kept of one thing
        ");
    }

    async fn work_that_github_refuses_is_kept(database: Database) {
        let world = greeting(database, &[]).await;
        world.github.protect("octo/app", "cloud-agent/*");
        let id = ask(&world).await;
        assert!(left(&world, &id).await.contains("changes.patch") && left(&world, &id).await.contains("commits.bundle"));
        assert_snapshot!(message(&world, &id).await, @"
        GitHub did not let me publish the work: push declined due to repository rule violations (GH013: Repository rule violations found for refs/heads/cloud-agent/task-DIGITS-greet-the-world.)

        Run `ca task retry ID` (`POST /api/v1/tasks/ID/retry`) when that is settled.
        ");
    }

    async fn an_end_says_what_to_do_where_it_can_be_done(database: Database) {
        let mut world = greeting(database, &[("RUN_TIMEOUT", "1s")]).await;
        world.claude_plays("trap 'exit 1' INT TERM; while :; do sleep 0.1; done");
        let own = ask(&world).await;
        assert_snapshot!(message(&world, &own).await, @"I stopped after 1 s, the limit for one run. Nothing was published. A smaller request may fit, or the operator can raise `RUN_TIMEOUT`; run `ca task retry ID` (`POST /api/v1/tasks/ID/retry`) to try again.");
        assert_eq!(left(&world, &own).await, "");
        world.issue("The greeting is short", "");
        let prompt = format!("fix {}/octo/app/issues/1", world.github.url());
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": prompt })).await);
        world.settle().await;
        world.told();
        assert_snapshot!(message(&world, &id).await, @"I stopped after 1 s, the limit for one run. Nothing was published. A smaller request may fit, or the operator can raise `RUN_TIMEOUT`; say `@cloud-agent retry` to try again.");
        let listed = get(&world, "ca_test", "tasks?status=failed").await.json();
        assert!(listed["tasks"].as_array().unwrap().iter().all(|it| it["error"]["message"].as_str().unwrap().contains("1 s")));
    }

    async fn a_review_is_named_by_its_address(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_finds(&findings(&[finding("app.txt", 2, "Two is wrong", "")]));
        world.pull("change", &[("app.txt", APP)]).await;
        let prompt = format!("review {}/octo/app/pull/1", world.github.url());
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": prompt })).await);
        world.settle().await;
        world.told();
        let task: Value = get(&world, "ca_test", &format!("tasks/{id}")).await.json();
        let review = world.github.reviews("octo/app#1").pop().unwrap().id;
        let url = format!("{}/octo/app/pull/1#pullrequestreview-{review}", world.github.url());
        assert_eq!(task["result"]["artifacts"]["review_url"], url, "{task}");
        assert_eq!(left(&world, &id).await, "");
    }

    // What somebody pushes meanwhile comes before ours, and what is kept is what was pushed.
    async fn what_is_kept_is_what_was_pushed_in_the_end(database: Database) {
        let mut world = greeting(database, &[]).await;
        world.claude_waits("sed -i s/two/zwei/ app.txt");
        world.pull("change", &[("app.txt", APP)]).await;
        let prompt = format!("say two in German, on {}/octo/app/pull/1", world.github.url());
        let id = task_id(&order(&world, "ca_test", json!({ "prompt": prompt })).await);
        world.claude_is_waiting().await;
        world.github.push_quietly("bob", "octo/app", "change", &[("NOTES", "one\n")], "Note it");
        world.claude_goes_on();
        world.settle().await;
        world.told();
        let task = get(&world, "ca_test", &format!("tasks/{id}")).await.json();
        let artifacts = &task["result"]["artifacts"];
        let head = artifacts["head"].as_str().unwrap();
        assert_eq!(artifacts["commits"].as_array().unwrap().last().unwrap()["sha"], head, "{task}");
        let url = format!("http://{}/api/v1/tasks/{id}/artifacts/commits.bundle", world.address());
        let bundle = reqwest::Client::new().get(url).bearer_auth("ca_test").send().await.unwrap().bytes().await.unwrap();
        let bundle = String::from_utf8_lossy(&bundle).into_owned();
        assert!(bundle.contains(&format!("\n{head} refs/heads/cloud-agent/work\n")), "{bundle}");
        assert!(!one(&world, &id, "changes.patch").await.text.contains("NOTES"));
    }
}

/// The database is all that a server needs: not the machine that has done the work.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_gives_out_what_this_one_has_made() {
    let world = greeting(Database::postgres(), &[]).await;
    let id = ask(&world).await;
    let here = one(&world, &id, "changes.patch").await.text;
    let mut other = world.hand("serve", "other");
    other.start(&world);
    let url = format!("http://{}", other.address());
    let up = async || reqwest::get(format!("{url}/healthz")).await.is_ok_and(|it| it.status() == 200);
    world.wait_for("the other server", up).await;
    let there = reqwest::Client::new().get(format!("{url}/api/v1/tasks/{id}/artifacts/changes.patch"));
    let there = read(there.bearer_auth("ca_test").send().await.unwrap()).await;
    assert_eq!((there.status, there.text), (200, here));
}

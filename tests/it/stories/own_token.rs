//! A caller's own token for GitHub: what their task does there it does with this, in their name, also where the App is not
//! installed.

use http::Method;
use insta::assert_snapshot;
use serde_json::{Value, json};
use simulator::github::{Credential, Role};

use super::api::{ask, get};
use super::api_tasks::{order, steady_branch, task_id};
use super::ca::Machine;
use crate::world::{Database, World};

const ALL: &[(&str, &str)] = &[("contents", "write"), ("issues", "write"), ("pull_requests", "write")];

/// A world that greets, with a repository that the App is not installed on.
async fn abroad(database: Database, script: &str) -> World {
    let mut world = World::on(database).await;
    world.claude_will(script);
    world.set("ADMIN_API_KEY", "ca_test");
    world.github.create_repo("other/app", &[("README.md", "hello\n")]);
    world.start().await;
    world.github.set_installed("other/app", false);
    world.settle().await;
    world.github.told();
    world
}

async fn task(world: &World, id: &str) -> Value {
    get(world, "ca_test", &format!("tasks/{id}")).await.json()
}

/// Ask for a greeting there with this token.
async fn asked(world: &World, token: &str) -> String {
    let body = json!({ "prompt": "greet the world", "repo": "other/app", "github_token": token });
    task_id(&order(world, "ca_test", body).await)
}

/// How a task with this token ends, and what is said about it.
async fn ends(world: &World, token: &str) -> (String, String) {
    let id = asked(world, token).await;
    world.settle().await;
    let done = task(world, &id).await;
    assert_eq!(done["status"], "failed", "{done}");
    assert_eq!(world.sql("select count(*) from task_secret").await, 0, "it is wiped");
    (done["error"]["code"].as_str().unwrap().to_owned(), done["error"]["message"].as_str().unwrap().to_owned())
}

/// What the App itself has done in a repository since then.
fn done_as_app(world: &World, repo: &str, since: usize) -> Vec<String> {
    let (id, name) = (world.github.repo_id(repo).to_string(), format!("/{repo}"));
    let journal = world.github.journal();
    let there = journal.iter().skip(since).filter(|it| it.path.contains(&name) || it.path.contains(&id));
    there
        .filter(|it| it.method != "GET")
        .filter(|it| !matches!(it.credential, Credential::Person { .. } | Credential::None))
        .map(|it| format!("{} {}", it.method, it.path))
        .collect()
}

stories! {
    async fn a_task_works_with_its_callers_token_where_the_app_is_not_installed(database: Database) {
        let spy = "(env; cat /proc/*/environ) 2>/dev/null | grep -q github_pat_ && echo leaked > leaked.txt";
        let world = abroad(database, &format!("{spy}\necho 'hello, world' > README.md")).await;
        let number = world.github.open_issue_quietly("alice", "other/app", "The greeting is short", "Greet the world.");
        world.github.told();
        let token = world.github.personal_token("alice", Some(&["other/app"]), ALL);
        let before = world.github.journal().len();
        let me = Machine::of(&world).with("CA_GITHUB_TOKEN", &token);
        let words = format!("fix {}/other/app/issues/{number}", world.github.url());
        let made = me.ca(&["task", "create", &words, "--own-token"]).await;
        assert_eq!(made.code, 0, "{}", made.err);
        let id = made.out.trim().to_owned();
        world.settle().await;
        let told = world.told().replace('\u{2060}', "<U+2060>");
        assert_snapshot!(told, @r#"
        alice on other/app#1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > fi<U+2060>x http://github/other/app/issues/1

          <sub>Asked for through the API by `api:admin`.</sub>

          <sub>TIME · $COST · `ca task cancel ID` ends this</sub>
        alice pushes cloud-agent/issue-1-the-greeting-is-short
        alice opens pull other/app#2 "Greet the world" cloud-agent/issue-1-the-greeting-is-short -> main
          The greeting was too short.

          ### How it was checked

          I read it again.

          Fixes #1

          ---
          <sub>Asked for by `api:admin`. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · 2 turns</sub>
          <!-- cloud-agent:task=ID -->
          README.md: -hello +hello, world
        alice edits other/app#1: <!-- cloud-agent:task=ID -->
          ### Opened #2

          > fi<U+2060>x http://github/other/app/issues/1

          <sub>Asked for through the API by `api:admin`.</sub>

          The greeting was too short.

          <sub>There is no check run: GitHub takes those from Apps alone, and this was done with a person's own token. What was done and how it was checked stands in the pull request, and step by step in the log, `GET /api/v1/tasks/ID/logs`.</sub>

          <sub>TIME · $COST · 2 turns</sub>
        "#);
        let done = task(&world, &id).await;
        assert_eq!((&done["ending"], &done["own_token"]), (&json!("pull_request"), &json!(true)), "{done}");
        let pulls = world.github.pulls("other/app");
        assert_eq!(pulls[0].author, "alice");
        assert_eq!(world.github.file_at("other/app", &pulls[0].head, "leaked.txt"), None, "the sandbox knows nothing of it");
        assert_snapshot!(done["result"]["notes"][0].as_str().unwrap().replace(&id, "ID"), @"There is no check run: GitHub takes those from Apps alone, and this was done with a person's own token. What was done and how it was checked stands in the pull request, and step by step in the log, `GET /api/v1/tasks/ID/logs`.");
        assert_eq!(done_as_app(&world, "other/app", before), Vec::<String>::new());
        let checks = world.github.journal().iter().filter(|it| it.path.contains("check-runs") && it.method == "POST").count();
        assert_eq!(checks, 0, "GitHub takes none from a person, so none is tried");
        let log = get(&world, "ca_test", &format!("tasks/{id}/logs")).await.text;
        assert!(!log.contains(&token) && !done.to_string().contains(&token));
        assert_eq!(world.sql("select count(*) from task_secret").await, 0, "it is wiped");
        let card = me.ca(&["task", "get", &id]).await.out;
        assert!(card.contains("token    of whoever asked\n") && card.contains("note     There is no check run"), "{card}");

        // Neither goes on without it.
        let again = async |how: &str, body: Value| ask(&world, "ca_test", Method::POST, &format!("tasks/{id}/{how}"), Some(body)).await;
        assert_eq!(again("retry", json!({})).await.problem(), "422 token_needed github_token");
        assert_eq!(again("resume", json!({ "prompt": "and?" })).await.problem(), "422 token_needed github_token");
        let child = task_id(&again("resume", json!({ "prompt": "and?", "github_token": token })).await);
        world.settle().await;
        world.told();
        let child = task(&world, &child).await;
        assert_eq!((&child["status"], &child["own_token"]), (&json!("completed"), &json!(true)), "{child}");
    }

    async fn a_token_wins_over_the_installation_for_its_task(database: Database) {
        let world = abroad(database, "echo 'hello, world' > README.md").await;
        let token = world.github.personal_token("bob", None, ALL);
        let before = world.github.journal().len();
        let body = json!({ "prompt": "greet the world", "repo": "octo/app", "github_token": token });
        task_id(&order(&world, "ca_test", body).await);
        world.settle().await;
        assert_snapshot!(steady_branch(&world.told()), @r#"
        bob pushes cloud-agent/task-DIGITS-greet-the-world
        bob opens pull #1 "Greet the world" cloud-agent/task-DIGITS-greet-the-world -> main
          The greeting was too short.

          ### How it was checked

          I read it again.

          ---
          <sub>Asked for by `api:admin`. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · 2 turns</sub>
          <!-- cloud-agent:task=ID -->
          README.md: -hello +hello, world
        "#);
        assert_eq!(world.github.pulls("octo/app")[0].author, "bob");
        assert_eq!(done_as_app(&world, "octo/app", before), Vec::<String>::new());
        // The next one without it is the App's.
        task_id(&order(&world, "ca_test", json!({ "prompt": "greet the world again", "repo": "octo/app" })).await);
        world.settle().await;
        world.told();
        assert_eq!(world.github.pulls("octo/app")[1].author, "cloud-agent[bot]");
    }

    async fn a_token_that_opens_nothing_begins_nothing(database: Database) {
        let world = abroad(database, "true").await;
        let number = world.github.open_issue_quietly("alice", "other/app", "Short", "It is short.");
        let change = [("b.txt", "b\n")];
        world.github.push_quietly("bob", "other/app", "change", &change, "Change");
        let pull = world.github.open_pull("bob", "other/app", "change", "main", "Change").await;
        world.github.told();
        let url = |kind: &str, number: u64| format!("{}/other/app/{kind}/{number}", world.github.url());
        let all = world.github.personal_token("alice", Some(&["other/app"]), ALL);
        let elsewhere = world.github.personal_token("alice", Some(&["octo/app"]), ALL);
        let no_issues = world.github.personal_token("alice", None, &[("contents", "write")]);
        let stranger = world.github.personal_token("nobody", None, ALL);
        let unknown = "github_pat_that_github_has_never_heard_of";
        for (token, prompt, expected, says) in [
            (unknown, "greet the world", "422 own_token_refused github_token", "bring a token that is valid"),
            (&elsewhere, "greet the world", "422 own_token_no_access github_token", "has to be for this repository"),
            (&stranger, "greet the world", "422 own_token_no_access github_token", "allowed to see it"),
            (&no_issues, &url("issues", number), "422 own_token_forbidden github_token", "need `issues: read`"),
            (&all, &format!("review {}", url("pull", pull)), "422 invalid github_token", "posted in the App's name"),
            ("ghs_0123456789012345678901234567890123456789", "greet", "422 invalid github_token", "an App's, ghs_…"),
            ("not a token at all, but rather long", "greet", "422 invalid github_token", "give a person's token"),
        ] {
            let refused = order(&world, "ca_test", json!({ "prompt": prompt, "repo": "other/app", "github_token": token })).await;
            assert_eq!(refused.problem(), expected, "{prompt}: {}", refused.text);
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(says) && !detail.contains(token), "{detail}");
        }
        let without = order(&world, "ca_test", json!({ "prompt": "greet the world", "repo": "other/app" })).await;
        assert_eq!(without.problem(), "404 no_such_repository", "the App sees nothing there");
        assert_eq!(world.sql("select count(*) from task").await, 0);
    }

    async fn what_a_token_may_not_do_ends_its_task_and_says_what_is_missing(database: Database) {
        let world = abroad(database, "echo 'hello, world' > README.md").await;
        let with = |granted: &[(&str, &str)]| world.github.personal_token("alice", None, granted);
        let (code, says) = ends(&world, &with(&[("contents", "read"), ("pull_requests", "write")])).await;
        assert_eq!(code, "own_token_forbidden");
        assert!(says.contains("need `contents: write` on the repository"), "{says}");
        assert_eq!(world.github.branches("other/app"), ["main"]);

        let (code, says) = ends(&world, &with(&[("contents", "write")])).await;
        assert_eq!(code, "own_token_forbidden");
        assert!(says.contains("need `pull_requests: write` on the repository"), "{says}");
        assert_eq!(world.github.branches("other/app").len(), 2, "what was pushed stays");
        world.told();
    }

    async fn a_token_that_is_revoked_meanwhile_ends_its_task(database: Database) {
        let mut world = abroad(database, "true").await;
        world.stop().await;
        world.claude_waits("echo 'hello, world' > README.md");
        world.start().await;
        let token = world.github.personal_token("alice", None, ALL);
        let id = asked(&world, &token).await;
        world.claude_is_waiting().await;
        let dump = world.sql("select count(*) from task_secret where cast(sealed as text) like '%github_pat%'").await;
        assert_eq!((world.sql("select count(*) from task_secret").await, dump), (1, 0), "it is sealed");
        world.github.revoke_personal_token(&token);
        world.claude_goes_on();
        world.settle().await;
        let done = task(&world, &id).await;
        assert_eq!(done["error"]["code"], "own_token_refused", "{done}");
        assert!(done["error"]["message"].as_str().unwrap().contains("bring a token that is valid"), "{done}");

        // One that can't be read any more.
        let token = world.github.personal_token("alice", None, ALL);
        let blocking = asked(&world, &token).await;
        world.claude_is_waiting().await;
        world.stop().await;
        world.sql("delete from task_secret").await;
        world.start().await;
        world.settle().await;
        assert_eq!(task(&world, &blocking).await["error"]["code"], "own_token_gone");
        assert_eq!(world.told(), "");
    }

    async fn who_may_only_read_gets_a_patch(database: Database) {
        let world = abroad(database, "echo 'hello, world' > README.md").await;
        world.github.make_public("other/app");
        let token = world.github.personal_token("rita", None, ALL);
        world.github.role_in("rita", "other/app", Role::Read);
        let id = asked(&world, &token).await;
        world.settle().await;
        let done = task(&world, &id).await;
        assert_eq!((&done["ending"], &done["lane"], &done["ground"]), (&json!("patch"), &json!("untrusted"), &json!("asker")), "{done}");
        assert_eq!(world.github.branches("other/app"), ["main"]);
        assert_eq!(world.told(), "");
    }
}

//! People's own tokens: what they open, and what they are refused.

use serde_json::json;
use simulator::GitHub;
use simulator::github::Role;

use crate::client::Client;

const ALL: &[(&str, &str)] =
    &[("contents", "write"), ("issues", "write"), ("pull_requests", "write"), ("checks", "write")];

#[tokio::test]
async fn a_persons_token_does_what_the_person_may_and_it_was_given() {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("README.md", "hello\n")]);
    github.create_repo("octo/other", &[("README.md", "hello\n")]);
    github.set_installed("octo/app", false);
    let alice = github.person("alice", Role::Write);
    github.person("rita", Role::Read);
    github.open_issue_quietly("rita", "octo/app", "Short", "It is short.");
    let head = github.head("octo/app", "main").unwrap();
    let of =
        |who: &str, granted| Client::with_token(&github, &github.personal_token(who, Some(&["octo/app"]), granted));
    let nobody = Client::with_token(&github, "github_pat_nobody_was_ever_given_this");
    assert_eq!(nobody.get("/repos/octo/app").await.0, 401);

    let all = of("alice", ALL);
    assert_eq!(all.get("/user").await.1["id"], alice);
    assert_eq!(all.get("/repos/octo/app").await.1["permissions"]["push"], true);
    assert_eq!(all.get("/repos/octo/other").await.0, 404, "it is not for that one");
    assert_eq!(all.get("/app").await.0, 401);
    assert_eq!(all.post("/repos/octo/app/issues/1/comments", json!({ "body": "mine" })).await.0, 201);
    assert_eq!(github.comments("octo/app#1")[0].author, "alice");
    // Only an App makes check runs, whatever the token was given.
    let check = json!({ "name": "c", "head_sha": head });
    let (status, said) = all.post("/repos/octo/app/check-runs", check).await;
    assert_eq!((status, &said["message"]), (403, &json!("You must authenticate via a GitHub App.")));

    let narrow = of("alice", &[("contents", "read")]);
    let (status, said) = narrow.post("/repos/octo/app/issues/1/comments", json!({ "body": "mine" })).await;
    assert_eq!((status, &said["message"]), (403, &json!("Resource not accessible by personal access token")));
    assert_eq!(narrow.get("/repos/octo/app/issues/1").await.0, 403);

    let reader = of("rita", ALL);
    assert_eq!(reader.get("/repos/octo/app").await.1["permissions"]["push"], false);
    assert_eq!(reader.get("/repos/octo/app/collaborators/alice/permission").await.0, 403);
    let branch = json!({ "ref": "refs/heads/x", "sha": head });
    assert_eq!(reader.post("/repos/octo/app/git/refs", branch).await.0, 403, "who may only read can't push");

    let text = github.personal_token("alice", None, ALL);
    let gone = Client::with_token(&github, &text);
    assert_eq!(gone.get("/repos/octo/other").await.0, 200);
    github.revoke_personal_token(&text);
    assert_eq!(gone.get("/repos/octo/other").await.0, 401);
}

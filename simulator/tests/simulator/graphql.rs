//! GraphQL as a bot uses it for review threads: refused before it runs, forbidden while it runs, and what it changes.

use http::StatusCode;
use serde_json::{Value, json};
use simulator::github::{Role, TokenFormat};
use simulator::{GitHub, Options};

use super::client::Client;
use super::webhooks::{bot, names};

const THREADS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    isDraft
    reviewThreads(first: 2, after: $after) {
      pageInfo { hasNextPage endCursor }
      nodes { id isResolved isOutdated path line resolvedBy { login databaseId }
        comments(first: 10) { nodes { databaseId body author { login ... on User { databaseId } ...bot } } } }
    }
  } }
}
fragment bot on Bot { databaseId }";

/// A pull request with three threads: alice's, the bot's in alice's, and one on a file.
async fn world() -> (GitHub, Client) {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("a.txt", "1\n2\n3\n")]);
    github.person("alice", Role::Write);
    github.push_quietly("alice", "octo/app", "fix", &[("a.txt", "1\ntwo\n3\n"), ("b.txt", "b\n")], "Write two");
    github.open_pull("alice", "octo/app", "fix", "main", "Two").await;
    let client = Client::of_installation(&github, json!({})).await;
    let first = github.review_comment("alice", "octo/app#1", "a.txt", 2, "Why?").await.comment_id;
    let reply = format!("/repos/octo/app/pulls/1/comments/{first}/replies");
    assert_eq!(client.post(&reply, json!({ "body": "Because." })).await.0, 201);
    github.review_comment("alice", "octo/app#1", "b.txt", 1, "B?").await;
    github.review_comment("alice", "octo/app#1", "b.txt", 0, "All of it?").await;
    github.told();
    (github, client)
}

async fn ask(client: &Client, query: &str, variables: Value) -> Value {
    let (status, answer) = client.post("/graphql", json!({ "query": query, "variables": variables })).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn pull(number: u64, after: &Value) -> Value {
    json!({ "owner": "octo", "name": "app", "number": number, "after": after })
}

fn error(answer: &Value) -> &str {
    answer["errors"][0]["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn threads_come_in_pages() {
    let (github, client) = world().await;
    let first = ask(&client, THREADS, pull(1, &Value::Null)).await;
    assert!(first.get("errors").is_none(), "{first}");
    let threads = &first["data"]["repository"]["pullRequest"]["reviewThreads"];
    assert_eq!((threads["nodes"].as_array().unwrap().len(), &threads["pageInfo"]["hasNextPage"]), (2, &json!(true)));
    let thread = &threads["nodes"][0];
    assert_eq!((&thread["path"], &thread["line"], &thread["isResolved"]), (&json!("a.txt"), &json!(2), &json!(false)));
    let answer = &thread["comments"]["nodes"][1];
    assert_eq!(
        (&answer["author"]["login"], &answer["author"]["databaseId"]),
        (&json!("cloud-agent"), &json!(github.bot_id()))
    );
    assert_eq!(answer["databaseId"], json!(github.review_comments("octo/app#1")[1].id));
    let rest = ask(&client, THREADS, pull(1, &threads["pageInfo"]["endCursor"])).await;
    let threads = &rest["data"]["repository"]["pullRequest"]["reviewThreads"];
    assert_eq!((threads["nodes"].as_array().unwrap().len(), &threads["nodes"][0]["line"]), (1, &Value::Null));
    assert_eq!(threads["pageInfo"]["hasNextPage"], false);
}

#[tokio::test]
async fn documents_are_refused_whole() {
    let (_github, client) = world().await;
    let wrong = async |query: &str| {
        let answer = ask(&client, query, json!({})).await;
        assert!(answer.get("data").is_none(), "{answer}");
        error(&answer).to_owned()
    };
    assert!(wrong("query { repository(").await.starts_with("Parse error"));
    assert_eq!(wrong("{ viewer { login stars } }").await, "Field 'stars' doesn't exist on type 'User'");
    assert_eq!(
        wrong("{ viewer }").await,
        "Field must have selections (field 'viewer' returns User but has no selections."
    );
    assert_eq!(
        wrong("{ viewer { login { x } } }").await,
        "Selections can't be made on scalars (field 'login' returns String)"
    );
    assert_eq!(
        wrong("{ repository(owner: \"o\") { id } }").await,
        "Field 'repository' is missing required arguments: name"
    );
    assert_eq!(wrong("{ viewer(x: 1) { id } }").await, "Field 'viewer' doesn't accept argument 'x'");
    assert_eq!(wrong("{ viewer { ... on Bot { id } } }").await, "Fragment on Bot can't be spread inside User");
    assert_eq!(wrong("{ viewer { ...x } }").await, "Fragment x was used, but not defined");
    assert_eq!(
        wrong("query($x: Int) { viewer { id } }").await,
        "Variable $x is declared by anonymous query but not used"
    );
    assert!(wrong("{ node(id: $x) { id } }").await.contains("not declared"));
    assert!(wrong("query($x: Int!) { node(id: $x) { id } }").await.contains("mismatch"));
    assert!(wrong("query($x: ID!) { node(id: $x) { id } }").await.contains("invalid value"));
    assert!(wrong("{ node(id: RED) { id } }").await.contains("invalid value"));
    let input = "mutation { resolveReviewThread(input: { thread: 1 }) { thread { id } } }";
    assert_eq!(wrong(input).await, "InputObject 'ResolveReviewThreadInput' doesn't accept argument 'thread'");
    assert!(
        wrong("mutation { minimizeComment(input: { subjectId: 1, classifier: \"OUTDATED\" }) { clientMutationId } }")
            .await
            .contains("invalid value")
    );
    assert!(wrong("mutation { mergePullRequest(input: {}) { clientMutationId } }").await.contains("doesn't exist"));
    assert_eq!(
        client.post("/graphql", json!({ "q": 1 })).await.1["errors"][0]["message"],
        "A query attribute must be specified and must be a string."
    );
}

#[tokio::test]
async fn trouble_while_running_stands_beside_the_data() {
    let (github, client) = world().await;
    let none = ask(&client, THREADS, pull(7, &Value::Null)).await;
    assert_eq!(
        (&none["data"]["repository"]["pullRequest"], &none["errors"][0]["type"]),
        (&Value::Null, &json!("NOT_FOUND"))
    );
    assert_eq!(none["errors"][0]["path"], json!(["repository", "pullRequest"]));
    let elsewhere = ask(&client, "{ repository(owner: \"octo\", name: \"x\") { id } }", json!({})).await;
    assert_eq!(error(&elsewhere), "Could not resolve to a Repository with the name 'octo/x'.");
    let unbounded = THREADS.replace("first: 2, ", "");
    assert!(error(&ask(&client, &unbounded, pull(1, &Value::Null)).await).contains("must provide a `first` or `last`"));
    let many = THREADS.replace("first: 2", "first: 101");
    assert!(error(&ask(&client, &many, pull(1, &Value::Null)).await).contains("`first` limit of 100"));
    let blind = Client::of_installation(&github, json!({ "permissions": { "contents": "read" } })).await;
    assert_eq!(ask(&blind, THREADS, pull(1, &Value::Null)).await["errors"][0]["type"], "FORBIDDEN");
    assert_eq!(
        client.http.post(format!("{}/graphql", github.api_url())).body("{}").send().await.unwrap().status(),
        401
    );
    let viewer = ask(&client, "{ viewer { login databaseId } }", json!({})).await;
    assert_eq!(viewer["data"]["viewer"], json!({ "login": "cloud-agent[bot]", "databaseId": github.bot_id() }));
}

#[tokio::test]
async fn threads_are_resolved_answered_and_hidden() {
    let (github, client) = world().await;
    let seen = bot(&github, StatusCode::ACCEPTED).await;
    let threads = ask(&client, THREADS, pull(1, &Value::Null)).await;
    let id = threads["data"]["repository"]["pullRequest"]["reviewThreads"]["nodes"][0]["id"].clone();
    let resolve = "mutation($id: ID!) { resolveReviewThread(input: { threadId: $id }) { thread { isResolved resolvedBy { login } } } }";
    let with = async |permissions: Value| Client::of_installation(&github, json!({ "permissions": permissions })).await;
    let reader = with(json!({ "pull_requests": "write", "contents": "read" })).await;
    let refused = ask(&reader, resolve, json!({ "id": id })).await;
    assert_eq!(
        (&refused["data"]["resolveReviewThread"], &refused["errors"][0]["type"]),
        (&Value::Null, &json!("FORBIDDEN"))
    );
    assert_eq!(error(&refused), "Resource not accessible by integration");
    assert!(!github.threads("octo/app#1")[0].comments[0].resolved);
    let resolved = ask(&client, resolve, json!({ "id": id })).await;
    assert_eq!(
        resolved["data"]["resolveReviewThread"]["thread"],
        json!({ "isResolved": true, "resolvedBy": { "login": "cloud-agent" } })
    );
    ask(&client, resolve, json!({ "id": id })).await;
    ask(&client, &resolve.replace("resolveR", "unresolveR"), json!({ "id": id })).await;
    assert_eq!(ask(&client, resolve, json!({ "id": "PRRT_1" })).await["errors"][0]["type"], "NOT_FOUND");
    let reply =
        "mutation($input: AddPullRequestReviewThreadReplyInput!) { addPullRequestReviewThreadReply(input: $input) {
        clientMutationId comment { databaseId body replyTo { databaseId } } } }";
    let input = json!({ "pullRequestReviewThreadId": id, "body": "Done.", "clientMutationId": "x" });
    let said = ask(&client, reply, json!({ "input": input })).await["data"]["addPullRequestReviewThreadReply"].clone();
    assert_eq!((&said["clientMutationId"], &said["comment"]["body"]), (&json!("x"), &json!("Done.")));
    let comment = github.review_comments("octo/app#1")[0].id;
    assert_eq!(said["comment"]["replyTo"]["databaseId"], json!(comment));
    let hide = "mutation($id: ID!) { minimizeComment(input: { subjectId: $id, classifier: OUTDATED }) { minimizedComment { isMinimized minimizedReason } } }";
    let hidden = ask(&client, hide, json!({ "id": format!("PRRC_{comment}") })).await;
    assert_eq!(
        hidden["data"]["minimizeComment"]["minimizedComment"],
        json!({ "isMinimized": true, "minimizedReason": "outdated" })
    );
    github.quiesce().await;
    assert_eq!(
        names(&seen),
        [
            "pull_request_review_thread.resolved by cloud-agent[bot]",
            "pull_request_review_thread.unresolved by cloud-agent[bot]",
            "pull_request_review_comment.created by cloud-agent[bot]",
            "pull_request_review.submitted by cloud-agent[bot]",
        ]
    );
    assert_eq!(
        github.told(),
        [
            "cloud-agent[bot] resolves the thread on #1 a.txt:2",
            "cloud-agent[bot] reopens the thread on #1 a.txt:2",
            "cloud-agent[bot] replies on #1 a.txt:2: Done.",
            "cloud-agent[bot] hides alice's words on #1 a.txt:2: outdated",
        ]
    );
}

#[tokio::test]
async fn an_enterprise_server_has_it_beside_rest() {
    let options = Options { api_prefix: "/api/v3".to_owned(), token_format: TokenFormat::Short, ..Options::default() };
    let github = GitHub::start_with(options).await;
    github.create_repo("octo/app", &[("a", "a\n")]);
    assert!(github.graphql_url().ends_with("/api/graphql"));
    let client = Client::of_installation(&github, json!({})).await;
    let query = json!({ "query": "{ viewer { login } }" });
    let answer = client.http.post(github.graphql_url()).bearer_auth(&client.token).json(&query).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["data"]["viewer"]["login"], "cloud-agent[bot]");
}

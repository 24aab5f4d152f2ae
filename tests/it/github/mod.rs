//! The client of GitHub's API against the simulator: what it asks, what it reads, and what refusals become.

use cloud_agent::github::{Error, Github, NewLine, NewPull, NewReview, ReactTo, Reaction, Repo, ReviewEvent, Scope};
use cloud_agent::task::review::Side;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use simulator::GitHub;
use simulator::github::{Options, Role};

mod checks;
mod odd;
mod pace;
mod threads;

/// The lines of `new.txt`, each of which can be commented on: more than fit on one page.
const LINES: u64 = 120;
const MARKER: &str = "<!-- cloud-agent:test -->";

/// A GitHub with a pull request by alice, and our client of its repository.
struct Stage {
    github: GitHub,
    client: Github,
    repo: Repo,
    number: u64,
    head: String,
}

impl Stage {
    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let github = GitHub::start_with(options).await;
        github.create_repo("octo/app", &[("a.txt", "one\ntwo\nthree\n"), ("docs/b c#.md", "words\n")]);
        github.person("alice", Role::Write);
        github.branch_from("octo/app", "fix/it", "main");
        let new = (1..=LINES).fold(String::new(), |text, it| format!("{text}{it}\n"));
        let files = [("a.txt", "one\n2\nthree\n"), ("new.txt", &*new)];
        let head = github.push_quietly("alice", "octo/app", "fix/it", &files, "Count");
        let number = github.open_pull("alice", "octo/app", "fix/it", "main", "Count").await;
        let client = client(&github);
        let repo = client.repo(github.installation_id(), github.repo_id("octo/app"), "octo/app");
        Self { github, client, repo, number, head }
    }

    fn place(&self) -> String {
        format!("octo/app#{}", self.number)
    }

    /// Alice comments on every line of `new.txt`, in one review.
    async fn many_comments(&self) {
        let comments: Vec<_> = (1..=LINES).map(|line| ("new.txt", line, "RIGHT", "Hm.")).collect();
        self.github.review("alice", &self.place(), "COMMENT", "Look.", &comments).await;
    }

    /// Send as the bot what our client never sends.
    async fn post(&self, path: &str, body: Value) -> u16 {
        let token = self.repo.git_token(Scope::Talk).await.unwrap();
        let request = reqwest::Client::new().post(format!("{}{path}", self.github.api_url()));
        let request = request.bearer_auth(token.expose_secret()).header("user-agent", "test").json(&body);
        request.send().await.unwrap().status().as_u16()
    }

    fn review<'a>(&'a self, body: &'a str, comments: &'a [NewLine]) -> NewReview<'a> {
        NewReview { commit_id: &self.head, body, event: ReviewEvent::Comment, comments }
    }
}

fn client(github: &GitHub) -> Github {
    client_of(github.api_url(), github.app_id(), github.private_key_pem())
}

fn client_of(api_url: &str, app_id: u64, private_key: &str) -> Github {
    let settings = [
        ("GITHUB_API_URL", api_url),
        ("GITHUB_APP_ID", &app_id.to_string()),
        ("GITHUB_APP_PRIVATE_KEY", private_key),
        ("GITHUB_WRITE_SPACING_MS", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Github::new(&cloud_agent::cli::config_of(&settings).unwrap().github).unwrap()
}

fn on(path: &str, line: u32, start_line: Option<u32>) -> NewLine {
    NewLine { path: path.into(), body: "Why?".into(), line, side: Side::Right, start_line }
}

#[tokio::test]
async fn a_review_is_made_and_found_again() {
    let stage = Stage::new().await;
    let (repo, number) = (&stage.repo, stage.number);
    assert!(repo.find_review(number, MARKER).await.unwrap().is_none());
    let old = NewLine { side: Side::Left, ..on("a.txt", 2, None) };
    // A range of one line is none.
    let comments = [on("new.txt", 7, Some(5)), on("new.txt", 9, Some(9)), old];
    let body = format!("Three remarks.\n{MARKER}");
    let made = repo.create_review(number, &stage.review(&body, &comments)).await.unwrap();
    assert_eq!((made.state.as_str(), made.commit_id.as_ref()), ("COMMENTED", Some(&stage.head)));
    assert_eq!(made.user.as_ref().unwrap().id, stage.github.bot_id());
    assert!(made.html_url.starts_with(stage.github.url()));
    assert_eq!(repo.find_review(number, MARKER).await.unwrap().unwrap().id, made.id);
    let of_it = repo.review_comments_of(number, made.id).await.unwrap();
    assert_eq!(of_it.len(), 3);
    let all = repo.review_comments(number).await.unwrap();
    let places: Vec<_> = all.iter().map(|it| (it.path.as_str(), it.start_line, it.line, it.side)).collect();
    let right = Some(Side::Right);
    assert_eq!(
        places,
        [
            ("new.txt", Some(5), Some(7), right),
            ("new.txt", None, Some(9), right),
            ("a.txt", None, Some(2), Some(Side::Left))
        ]
    );
    assert_eq!(all[0].pull_request_review_id, Some(made.id));
    assert!(all[0].diff_hunk.starts_with("@@"));
    // Somebody else's marker is no review of ours.
    let other = Stage::new().await;
    other.github.review("alice", &other.place(), "APPROVE", MARKER, &[]).await;
    assert!(other.repo.find_review(other.number, MARKER).await.unwrap().is_none());
    let states: Vec<_> = other.repo.reviews(other.number).await.unwrap().into_iter().map(|it| it.state).collect();
    assert_eq!(states, ["APPROVED"]);
}

#[tokio::test]
async fn a_line_outside_the_diff_refuses_the_whole_review() {
    let stage = Stage::new().await;
    let bad = [on("new.txt", 1, None), on("new.txt", 999, None)];
    let refused = stage.repo.create_review(stage.number, &stage.review("Hm.", &bad)).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid(said) if said.contains("Line could not be resolved")), "{refused}");
    let approval = NewReview { event: ReviewEvent::Approve, ..stage.review("", &[]) };
    assert_eq!(stage.repo.create_review(stage.number, &approval).await.unwrap().state, "APPROVED");
}

#[tokio::test]
async fn a_pending_review_is_removed_and_only_ours() {
    let stage = Stage::new().await;
    let (repo, number) = (&stage.repo, stage.number);
    assert!(!repo.delete_pending_review(number).await.unwrap());
    let reviews = format!("/repos/octo/app/pulls/{number}/reviews");
    assert_eq!(stage.post(&reviews, json!({ "body": MARKER })).await, 200);
    assert!(repo.find_review(number, MARKER).await.unwrap().is_none(), "it was not submitted");
    let refused = repo.create_review(number, &stage.review("Hm.", &[])).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid(said) if said.contains("one pending review")), "{refused}");
    assert!(repo.delete_pending_review(number).await.unwrap());
    assert!(stage.github.pending_review_of_bot(&stage.place()).is_none());
    let made = repo.create_review(number, &stage.review("Hm.", &[])).await.unwrap();
    assert!(!repo.delete_pending_review(number).await.unwrap(), "one that is submitted stays");
    assert_eq!(repo.reviews(number).await.unwrap()[0].id, made.id);
}

#[tokio::test]
async fn comments_on_later_pages_are_found_and_answered() {
    let stage = Stage::new().await;
    let (repo, number) = (&stage.repo, stage.number);
    stage.many_comments().await;
    assert!(repo.find_review_comment(number, MARKER).await.unwrap().is_none());
    let all = repo.review_comments(number).await.unwrap();
    assert_eq!(all.len() as u64, LINES);
    let last = all.last().unwrap();
    assert_eq!((last.line, last.top(), last.body.as_deref()), (Some(LINES as u32), last.id, Some("Hm.")));
    let reply = repo.reply(number, last.id, &format!("Because.\n{MARKER}")).await.unwrap();
    assert_eq!(repo.find_review_comment(number, MARKER).await.unwrap(), Some(reply));
    let all = repo.review_comments(number).await.unwrap();
    assert_eq!(all.iter().find(|it| it.id == reply).unwrap().top(), last.id);
    repo.edit_review_comment(reply, "Because of that.").await.unwrap();
    repo.react(ReactTo::ReviewComment(last.id), Reaction::Eyes).await.unwrap();
    let seen = stage.github.review_comments(&stage.place());
    assert_eq!(seen.last().unwrap().body, "Because of that.");
    assert_eq!(seen[LINES as usize - 1].reactions, ["cloud-agent[bot] eyes"]);
    let to_a_reply = repo.reply(number, reply, "x").await.unwrap_err();
    assert!(matches!(to_a_reply, Error::NotFound(_)), "GitHub takes only the first of a thread: {to_a_reply}");
}

#[tokio::test]
async fn a_file_is_commented_on_as_a_whole() {
    let stage = Stage::new().await;
    let made = stage.repo.file_comment(stage.number, &stage.head, "new.txt", MARKER).await.unwrap();
    assert_eq!(stage.repo.find_review_comment(stage.number, MARKER).await.unwrap(), Some(made));
    let seen = stage.github.review_comments(&stage.place());
    assert_eq!((seen[0].subject_type.as_str(), seen[0].line), ("file", None));
    let outside = stage.repo.file_comment(stage.number, &stage.head, "docs/b c#.md", "x").await.unwrap_err();
    assert!(matches!(outside, Error::Invalid(_)), "{outside}");
}

#[tokio::test]
async fn a_pull_request_is_read_and_found_by_its_head() {
    let stage = Stage::new().await;
    let (repo, number) = (&stage.repo, stage.number);
    stage.github.label("alice", &stage.place(), "please").await;
    let pull = repo.pull(number).await.unwrap();
    assert_eq!((pull.title.as_str(), pull.is_open(), pull.draft, pull.merged), ("Count", true, false, false));
    assert_eq!((pull.head.branch.as_str(), pull.head.sha.as_str()), ("fix/it", stage.head.as_str()));
    assert_eq!(
        (pull.base.branch.as_str(), pull.base.repo.as_ref().unwrap().id),
        ("main", stage.github.repo_id("octo/app"))
    );
    assert_eq!((pull.labels[0].name.as_str(), pull.user.as_ref().unwrap().login.as_str()), ("please", "alice"));
    assert!(!pull.is_from_fork());
    let numbers = |found: Vec<cloud_agent::github::PullRequest>| found.iter().map(|it| it.number).collect::<Vec<_>>();
    assert_eq!(numbers(repo.open_pulls_with_head(&stage.head).await.unwrap()), [number]);
    assert_eq!(numbers(repo.open_pulls_with_head(&"0".repeat(40)).await.unwrap()), [0; 0]);
    assert!(matches!(repo.pull(999).await, Err(Error::NotFound(_))));
    stage.github.branch_from("octo/app", "more", "fix/it");
    let new = NewPull { title: "More", body: "more\n<!-- mine -->", head: "more", base: "main", draft: true };
    let draft = repo.open_pull(&new).await.unwrap();
    assert!(repo.pull(draft.number).await.unwrap().draft);
    let found = async |marker| repo.find_pull("more", marker).await.unwrap();
    assert_eq!(found("<!-- none -->").await.unwrap().number, draft.number, "an open one needs no marker");
    assert_eq!(numbers(repo.open_pulls_with_head(&stage.head).await.unwrap()).len(), 2);
    assert!(stage.github.merge("alice", &stage.place()).await);
    let merged = repo.pull(number).await.unwrap();
    assert!(merged.merged && !merged.is_open());
    stage.github.close("alice", &format!("octo/app#{}", draft.number)).await;
    assert!(found("<!-- another -->").await.is_none(), "somebody else's");
    let ours = found("<!-- mine -->").await.unwrap();
    assert_eq!((ours.number, ours.fate()), (draft.number, Some("closed")));
}

#[tokio::test]
async fn pull_requests_are_found_by_their_commits_also_those_of_forks() {
    let stage = Stage::new().await;
    let numbers = |found: Vec<cloud_agent::github::PullRequest>| found.iter().map(|it| it.number).collect::<Vec<_>>();
    assert_eq!(numbers(stage.repo.pulls_of_commit(&stage.head).await.unwrap()), [stage.number]);
    let main = stage.github.head("octo/app", "main").unwrap();
    assert_eq!(numbers(stage.repo.pulls_of_commit(&main).await.unwrap()), [0; 0]);
    assert!(matches!(stage.repo.pulls_of_commit(&"0".repeat(40)).await, Err(Error::Invalid(_))));
    let fork = stage.github.fork("rita", "octo/app");
    let head = stage.github.push_quietly("rita", &fork, "main", &[("a.txt", "mine\n")], "Mine");
    let number = stage.github.open_pull_from_fork("rita", &fork, "main", "main", "Mine").await;
    assert_eq!(numbers(stage.repo.open_pulls_with_head(&head).await.unwrap()), [number]);
    let pull = stage.repo.pull(number).await.unwrap();
    assert!(pull.is_from_fork() && pull.head.repo.unwrap().full_name == fork);
    stage.github.delete_fork(&fork);
    let pull = stage.repo.pull(number).await.unwrap();
    assert!(pull.is_from_fork() && pull.head.repo.is_none());
}

#[tokio::test]
async fn files_and_branches_are_read_at_a_commit() {
    let stage = Stage::new().await;
    let repo = &stage.repo;
    assert_eq!(repo.file("a.txt", "main").await.unwrap().unwrap().text(), Some("one\ntwo\nthree\n"));
    assert_eq!(repo.file("a.txt", &stage.head).await.unwrap().unwrap().text(), Some("one\n2\nthree\n"));
    assert_eq!(repo.file("a.txt", "fix/it").await.unwrap().unwrap().text(), Some("one\n2\nthree\n"));
    let file = repo.file("docs/b c#.md", "main").await.unwrap().unwrap();
    assert_eq!((file.text(), file.sha.len()), (Some("words\n"), 40));
    assert_eq!(repo.file("new.txt", "main").await.unwrap(), None);
    assert_eq!(repo.file("docs", "main").await.unwrap(), None, "a directory");
    assert_eq!(repo.file("a.txt", "none").await.unwrap(), None);
    assert_eq!(repo.branch_head("fix/it").await.unwrap().as_ref(), Some(&stage.head));
    assert_eq!(repo.branch_head("none").await.unwrap(), None);
}

#[tokio::test]
async fn what_was_not_granted_is_gone_without() {
    let stage = Stage::new().await;
    let (repo, number) = (&stage.repo, stage.number);
    let talk = [("metadata", "read"), ("contents", "read"), ("issues", "write"), ("pull_requests", "write")];
    stage.github.set_permissions(&talk);
    repo.comment(number, "Hello.").await.unwrap();
    let refused = repo.checks_of(&stage.head).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden(_)), "{refused}");
    let refused = repo.git_token(Scope::Push).await.unwrap_err();
    assert!(matches!(&refused, Error::Forbidden(said) if said.contains("contents: write")), "{refused}");
    // Checks are had without Actions.
    let stage = Stage::new().await;
    stage.github.set_permissions(&[&talk[..], &[("checks", "write")]].concat());
    assert!(stage.repo.checks_of(&stage.head).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_renamed_repository_is_followed_by_reads_and_writes() {
    let stage = Stage::new().await;
    stage.github.rename_repo("octo/app", "tool");
    assert_eq!(stage.repo.pull(stage.number).await.unwrap().number, stage.number);
    assert_eq!(stage.repo.name(), "octo/tool");
    let again = stage.client.repo(stage.github.installation_id(), stage.github.repo_id("octo/tool"), "octo/app");
    again.create_review(stage.number, &stage.review("Hm.", &[])).await.unwrap();
}

#[tokio::test]
async fn an_enterprise_server_has_its_api_below_a_prefix() {
    let stage = Stage::with(Options { api_prefix: "/api/v3".to_owned(), ..Options::default() }).await;
    stage.many_comments().await;
    assert_eq!(stage.repo.review_comments(stage.number).await.unwrap().len() as u64, LINES);
    assert_eq!(stage.repo.file("a.txt", "main").await.unwrap().unwrap().text(), Some("one\ntwo\nthree\n"));
}

#[tokio::test]
async fn our_own_comment_is_found_at_the_end_of_a_very_long_thread() {
    let stage = Stage::new().await;
    let place = stage.place();
    for _ in 0..1_100 {
        stage.github.comment_quietly("alice", &place, "Hm.");
    }
    let ours = stage.repo.comment(stage.number, MARKER).await.unwrap();
    assert_eq!(stage.repo.find_comment(stage.number, MARKER).await.unwrap(), Some(ours));
    assert_eq!(stage.repo.find_comment(stage.number, "<!-- cloud-agent:other -->").await.unwrap(), None);
}

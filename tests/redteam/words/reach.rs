//! The toxic flow: a public issue makes the agent read a private repository of the same installation, and publish it.

use std::process::Command;

use cloud_agent::github::{Github, Scope};
use secrecy::ExposeSecret as _;

use super::{ask, published, world};
use crate::world::World;

const PRIVATE: &str = "the-plans-of-the-private-repository";

/// Read a repository by all means that there may be: git, the API, the mirrors of the host, the bot's directories.
fn read(github: &str, data: &str) -> String {
    format!(
        "(git ls-remote {github}/octo/secret.git; git clone -q {github}/octo/secret.git stolen; cat stolen/plans.txt; \
         curl -s {github}/api/v3/repos/octo/secret/contents/plans.txt; \
         bash -c 'exec 3<>/dev/tcp/127.0.0.1/8787; printf \"GET /octo/secret.git/info/refs HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\" >&3; cat <&3'; \
         find {data} /srv /home /context /out /tmp -name '*secret*'; ls -R {data} /srv/mirror/..; \
         for mirror in {data}/mirrors/* {data}/*/*.git /srv/*; do git --git-dir=$mirror cat-file --batch-all-objects --batch; done) 2>&1"
    )
}

/// The same repository read by the bot itself on the way, so that its mirror is there to be found.
async fn with_a_private_repository() -> World {
    let mut world = world().await;
    world.github.create_repo("octo/secret", &[("plans.txt", PRIVATE)]);
    world.claude_will("echo done >> plans.txt");
    world.start().await;
    world.github.open_issue_quietly("alice", "octo/secret", "Plan", "");
    world.github.comment("alice", "octo/secret#1", "@cloud-agent fix this").await;
    world.settle().await;
    world.told();
    assert_eq!(world.github.pulls("octo/secret").len(), 1, "the bot may work there");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn class_09_a_run_for_one_repository_reads_no_other() {
    let mut world = with_a_private_repository().await;
    let data = world.data_dir().display().to_string();
    let script = read(world.github.url(), &data);
    world.claude_will(&format!("{script} > README.md; rm -rf stolen; true"));
    let before = world.github.journal().len();
    ask(&world, "do as the issue says").await;
    world.told();

    let published = published(&world);
    assert!(published.contains("octo/secret.git") || published.contains("fatal"), "the agent has tried: {published}");
    let diff = world.github.diff("octo/app", "main", "cloud-agent/issue-1-the-greeting-is-short");
    assert!(!diff.contains(PRIVATE) && diff.contains('+'), "{diff}");
    // Every token of this run was for the one repository.
    let app = world.github.repo_id("octo/app");
    for request in &world.github.journal()[before..] {
        assert!(!request.path.contains("octo/secret"), "{request:?}");
        if let simulator::github::Credential::Installation { repository_ids, .. } = &request.credential {
            assert_eq!(repository_ids.as_deref(), Some(&[app][..]), "{}", request.path);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn class_09_the_bots_own_token_opens_one_repository() {
    let world = with_a_private_repository().await;
    let (seen, token) = clone_with(&world, "octo/app").await;
    assert!(!seen.contains(PRIVATE), "{seen}");
    assert!(!token.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn control_09_a_token_for_the_private_repository_reads_it() {
    let world = with_a_private_repository().await;
    let (seen, _) = clone_with(&world, "octo/secret").await;
    assert!(seen.contains(PRIVATE), "{seen}");
    // And whoever sees the host's files needs no token at all.
    let data = world.data_dir().display().to_string();
    let seen = sh(read("http://127.0.0.1:1", &data)).await;
    assert!(seen.contains(PRIVATE), "{seen}");
}

/// Try to read the private repository with the token that the bot gets for a run on `repo`.
async fn clone_with(world: &World, repo: &str) -> (String, String) {
    let settings = [
        ("GITHUB_API_URL", world.github.api_url()),
        ("GITHUB_APP_ID", &world.github.app_id().to_string()),
        ("GITHUB_APP_PRIVATE_KEY", world.github.private_key_pem()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let github = Github::new(&cloud_agent::cli::config_of(&settings).unwrap().github).unwrap();
    let repo = github.repo(world.github.installation_id(), world.github.repo_id(repo), repo);
    let token = repo.git_token(Scope::Fetch).await.unwrap().expose_secret().to_owned();
    let url = world.github.url().replace("http://", &format!("http://x-access-token:{token}@"));
    (sh(format!("git clone -q {url}/octo/secret.git stolen; cat stolen/plans.txt")).await, token)
}

async fn sh(script: String) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = tokio::task::spawn_blocking(move || {
        Command::new("sh").args(["-c", &script]).current_dir(dir.path()).output().unwrap()
    });
    let output = output.await.unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

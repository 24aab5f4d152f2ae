//! Git over HTTP with the real git: tokens, refusals in github.com's words, and what a push causes.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use simulator::GitHub;
use simulator::github::Role;

use super::client::Client;

struct Clone {
    dir: tempfile::TempDir,
    token: String,
}

impl Clone {
    fn git(&self, args: &[&str]) -> (bool, String) {
        git(self.dir.path(), &self.token, args)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        assert!(self.git(&["add", "-A"]).0);
        assert!(self.git(&["commit", "-qm", "Change"]).0);
    }
}

pub fn git(dir: &Path, token: &str, args: &[&str]) -> (bool, String) {
    let basic = STANDARD.encode(format!("x-access-token:{token}"));
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .args(["-c", "user.name=x", "-c", "user.email=x@example.com"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    if !token.is_empty() {
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"));
    }
    let out = command.output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

async fn world() -> (GitHub, Clone) {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("README.md", "hello\n"), ("run.sh", "#!/bin/sh\n")]);
    github.person("alice", Role::Write);
    let client = Client::of_installation(&github, json!({ "repositories": ["app"] })).await;
    let clone = Clone { dir: tempfile::tempdir().unwrap(), token: client.token };
    let (done, said) = clone.git(&["clone", "-q", &format!("{}/octo/app.git", github.url()), "."]);
    assert!(done, "{said}");
    (github, clone)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_living_token_may_read_and_write() {
    let (github, clone) = world().await;
    let url = format!("{}/octo/app.git", github.url());
    let anywhere = tempfile::tempdir().unwrap();
    let ask = |token: &str, url: &str| git(anywhere.path(), token, &["ls-remote", url]);
    assert!(ask(&clone.token, &url).0);
    assert!(!ask("", &url).0, "a private repository");
    let in_url = url.replace("http://", "http://x-access-token:ghs_nonsense@");
    assert!(ask("", &in_url).1.contains("Invalid username or token"));
    assert!(!ask("ghs_nonsense", &url).0);
    let missing = ask(&clone.token, &format!("{}/octo/none.git", github.url())).1;
    assert!(missing.contains("Repository not found."), "{missing}");
    let read_only = json!({ "permissions": { "contents": "read" } });
    let reader = Client::of_installation(&github, read_only).await.token;
    assert!(ask(&reader, &url).0);
    clone.write("a", "1\n");
    let refused = git(clone.dir.path(), &reader, &["push", &url, "HEAD:refs/heads/x"]).1;
    assert!(refused.contains("Write access to repository not granted."), "{refused}");
    github.expire_tokens();
    assert!(!ask(&clone.token, &url).0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_noticed() {
    let (github, clone) = world().await;
    clone.write("README.md", "hello, world\n");
    let (done, said) = clone.git(&["push", "-q", "origin", "HEAD:refs/heads/cloud-agent/x"]);
    assert!(done, "{said}");
    assert_eq!(github.told(), ["push cloud-agent/x"]);
    let number = github.open_pull("alice", "octo/app", "cloud-agent/x", "main", "Greet").await;
    clone.write("b", &"large\n".repeat(400_000));
    assert!(clone.git(&["push", "-q", "origin", "HEAD:refs/heads/cloud-agent/x"]).0);
    assert_eq!(github.head("octo/app", &format!("refs/pull/{number}/head")), github.head("octo/app", "cloud-agent/x"));
    assert!(clone.git(&["fetch", "-q", "origin", &format!("refs/pull/{number}/head")]).0);
    assert!(!clone.git(&["push", "-q", "origin", &format!("HEAD~1:refs/pull/{number}/head")]).0);
    assert!(clone.git(&["push", "-qf", "origin", "HEAD~2:refs/heads/cloud-agent/x"]).0);
    assert!(clone.git(&["push", "-q", "origin", ":refs/heads/cloud-agent/x"]).0);
    let told = github.told();
    assert_eq!(told.last().unwrap(), "deletes the branch cloud-agent/x", "{told:#?}");
    assert_eq!(told[told.len() - 2], "push cloud-agent/x (forced)");
    assert_eq!(github.commits("octo/app", "", "main")[0].author_email, "seed@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_githubs_words() {
    let (github, clone) = world().await;
    github.protect("octo/app", "main");
    github.protect("octo/app", "release/*");
    clone.write("a", "1\n");
    for branch in ["main", "release/1"] {
        let (done, said) = clone.git(&["push", "origin", &format!("HEAD:refs/heads/{branch}")]);
        assert!(!done && said.contains("(push declined due to repository rule violations)"), "{said}");
        assert!(said.contains("remote: error: GH013"), "{said}");
    }
    assert!(clone.git(&["push", "-q", "origin", "HEAD:refs/heads/fine"]).0);
    clone.write(".github/workflows/ci.yml", "on: push\n");
    clone.write("b", "2\n");
    let (done, said) = clone.git(&["push", "origin", "HEAD:refs/heads/ci"]);
    let words = "! [remote rejected] HEAD -> ci (refusing to allow a GitHub App to create or update workflow \
                 `.github/workflows/ci.yml` without `workflows` permission)";
    assert!(!done && said.contains(words), "{said}");
    assert_eq!(github.branches("octo/app"), ["fine", "main"]);
    github.set_permissions(&[("metadata", "read"), ("contents", "write"), ("workflows", "write")]);
    let token = Client::of_installation(&github, json!({})).await.token;
    let (done, said) = git(clone.dir.path(), &token, &["push", "-q", "origin", "HEAD:refs/heads/ci"]);
    assert!(done, "{said}");
}

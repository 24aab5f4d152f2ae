//! The merge queue, which tries a pull request on top of the base and asks the Apps for checks of that commit.

use serde_json::json;

use crate::github::events::{Event, merge};
use crate::github::look::find;
use crate::github::state::Kind;
use crate::github::{Delivered, World};

impl World {
    /// Puts a pull request into the merge queue: makes the group's commit on `gh-readonly-queue/main/pr-1-<base>`
    /// and delivers `merge_group.checks_requested`. The commit, and how that went.
    pub async fn queue_for_merge(&self, place: &str) -> (String, Delivered) {
        let (sha, mut events) = {
            let mut state = self.state();
            let ((repo, number), by) = (find(&state, place), state.account_id("github-merge-queue[bot]", Kind::Bot));
            let bare = self.bare(repo);
            let before = bare.branches();
            let (onto, _) = self.ends(&state, repo, number);
            let base = state.issue(repo, number).and_then(|it| it.pull.as_ref()).expect("a pull request").base.clone();
            let group = format!("gh-readonly-queue/{base}/pr-{number}-{onto}");
            bare.set(&format!("refs/heads/{group}"), Some(&onto));
            let message = format!("Merge pull request #{number}");
            let merged = bare.merge(&group, &format!("refs/pull/{number}/head"), &message, self.clock.now());
            let sha = merged.expect("a pull request without conflicts");
            let mut events = self.branches_moved(&mut state, by, repo, &before);
            let commit = bare.commit_at(&sha).expect("the commit just made");
            let author = json!({ "name": commit.author_name, "email": commit.author_email });
            let mut payload = self.envelope(&state, repo, by, "checks_requested");
            let group = json!({
                "head_sha": sha,
                "head_ref": format!("refs/heads/{group}"),
                "base_sha": onto,
                "base_ref": format!("refs/heads/{base}"),
                "head_commit": {
                    "id": sha, "tree_id": commit.tree, "message": commit.message, "timestamp": commit.date,
                    "author": author, "committer": author,
                },
            });
            merge(&mut payload, json!({ "merge_group": group }));
            events.push(Event { name: "merge_group", repo: Some(repo), payload });
            (sha, events)
        };
        let last = events.split_off(events.len() - 1);
        self.deliver_all(events, 0).await;
        (sha, self.deliver_all(last, 0).await)
    }
}

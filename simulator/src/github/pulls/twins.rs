//! Commits whose ids begin with the same digits, as anybody can make them.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::github::World;
use crate::github::git::Bare;
use crate::github::people::SEEDED_AT;
use crate::github::state::Kind;

/// Commits tried of either kind; two of seven digits meet after some 16,000 of each.
const TRIES: usize = 1 << 20;

impl World {
    /// Two commits that could follow a branch's head, with these files, whose ids have their first digits in common. The
    /// branch stays where it is.
    pub fn twins(
        &self,
        who: &str,
        repo: &str,
        branch: &str,
        files: [&[(&str, &str)]; 2],
        digits: usize,
    ) -> [String; 2] {
        let bare = self.bare(self.repo_id(repo));
        let mut first = HashMap::new();
        let [one, other] = files.map(|files| Draft::of(&bare, who, branch, files));
        for nonce in 0..TRIES {
            let (mine, its) = (one.id(nonce), other.id(nonce));
            first.insert(mine[..digits].to_owned(), nonce);
            if let Some(twin) = first.get(&its[..digits]) {
                return [bare.write_commit(&one.raw(*twin)), bare.write_commit(&other.raw(nonce))];
            }
        }
        panic!("no twins of {digits} digits");
    }

    /// Moves a branch to a commit that is there already, whatever stood there, and delivers the webhooks.
    pub async fn push_commit(&self, who: &str, repo: &str, branch: &str, sha: &str) {
        let events = {
            let repo = self.repo_id(repo);
            let mut state = self.state();
            let (by, bare) = (state.account_id(who, Kind::User), self.bare(repo));
            let before = bare.branches();
            assert!(bare.set(&format!("refs/heads/{branch}"), Some(sha)));
            self.branches_moved(&mut state, by, repo, &before)
        };
        self.deliver_all(events, 0).await;
    }
}

/// A commit but for a number in its message.
struct Draft(String);

impl Draft {
    fn of(bare: &Bare, who: &str, branch: &str, files: &[(&str, &str)]) -> Self {
        let head = bare.branch(branch).expect("a branch to start from");
        let aside = "refs/heads/draft-of-a-twin";
        bare.set(aside, Some(&head));
        let name = format!("{who} <{who}@example.com> {} +0000", SEEDED_AT + 60);
        let sha = bare.commit("draft-of-a-twin", (who, &format!("{who}@example.com")), "Draft", files, SEEDED_AT + 60);
        let tree = bare.commit_at(&sha).expect("the draft").tree;
        bare.set(aside, None);
        Self(format!("tree {tree}\nparent {head}\nauthor {name}\ncommitter {name}\n\nChange things\n\n"))
    }

    fn raw(&self, nonce: usize) -> String {
        format!("{}{nonce}\n", self.0)
    }

    fn id(&self, nonce: usize) -> String {
        let raw = self.raw(nonce);
        let object = format!("commit {}\0{raw}", raw.len());
        hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, object.as_bytes()))
    }
}

//! Step 6: the branch. Pushed by the host, from the repository that no agent has touched, and only where nobody else has
//! worked.

use super::checkout::{YOUNG, git_trouble};
use super::inspect::BENCH;
use super::{Halt, Pause, Run};
use crate::github::Scope;
use crate::report::Undone;
use crate::sandbox::git::{Branch, GitError, Pushed, Remote, Sha, Workbench};
use crate::task::{self, Ending};

/// Names that are tried while branches of that name exist with other people's work.
const NAMES: u32 = 9;

impl Run<'_> {
    /// Push the work; the answer is the branch that it stands on now. Doing it again finds it there.
    pub async fn push(&self, head: &str) -> Result<String, Halt> {
        let git = self.app.git().await?;
        let bench = Workbench::open(&git, &self.dir.join(BENCH));
        let sha: Sha = head.parse().map_err(|_| Pause::Broken(anyhow::anyhow!("the work has no usable id")))?;
        let (mut renewed, mut followed) = (false, false);
        let mut name = 1;
        loop {
            let text = task::branch(self.task.place.number, &self.task.snapshot.title, name);
            let branch: Branch = text.parse().map_err(|_| Pause::Broken(anyhow::anyhow!("{text} is no branch")))?;
            let token = self.repo.git_token(Scope::Push).await.map_err(Pause::from)?;
            let remote =
                Remote::new(&git, &self.repo.name(), Some(token)).map_err(|error| refusal(&error.to_string()))?;
            match bench.push(&remote, &sha, &branch, None).await {
                Ok(pushed) => {
                    let how = if pushed == Pushed::AlreadyThere { "was there already" } else { "pushed" };
                    self.log.step("branch", &format!("{text} {how}"));
                    return Ok(text);
                }
                Err(GitError::Moved) if name < NAMES => name += 1,
                Err(GitError::Auth(_)) if !renewed => {
                    renewed = true;
                    self.repo.forget_token(Scope::Push).await;
                    tokio::time::sleep(YOUNG).await;
                }
                Err(GitError::NotFound(_)) if !followed && self.repo.follow().await? => followed = true,
                Err(GitError::Rejected { reason }) => return Err(refusal(&reason)),
                Err(error) => return Err(git_trouble("github_refused", error)),
            }
        }
    }
}

fn refusal(why: &str) -> Halt {
    Halt::End(Ending::new("github_refused", why))
}

/// What it means for the task that a write which it needs was not made.
pub fn refused(undone: Undone) -> Halt {
    match undone {
        Undone::Refused(why) => refusal(&why),
        other => Halt::Pause(other.into()),
    }
}

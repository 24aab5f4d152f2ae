//! Step 6: the branch. Pushed by the host, from the repository that no agent has touched, and never over what somebody
//! else has done.

use secrecy::SecretString;

use super::checkout::git_trouble;
use super::inspect::BENCH;
use super::{Halt, Pause, Run, own_token};
use crate::github::{Error, Scope, TO_FETCH, TO_PUSH};
use crate::report::Undone;
use crate::sandbox::git::{Branch, Git, GitError, Pushed, Rebased, Remote, Sha, Want, Workbench};
use crate::task::{self, Ending, Kind, Progress, Published, Work};
use crate::text;

/// Names that are tried while branches of that name exist with other people's work.
const NAMES: u32 = 9;
/// Pushes of other people that our work is put on top of, one after the other.
const REBASES: u32 = 5;

/// What came of a push.
enum Sent {
    Done(Pushed),
    /// Somebody has pushed there.
    Moved,
    /// GitHub does not let us.
    Refused(String),
}

impl Run<'_> {
    /// Push the work to a branch of its own; the answer is its name. Doing it again finds it there.
    pub async fn push(&self, work: &Work) -> Result<String, Halt> {
        let sha = sha(work.head.as_deref().unwrap_or_default())?;
        let scope = scope(work);
        for name in 1..=NAMES {
            let text = self.own_name(name);
            match self.send(scope, &sha, &branch(&text)?, None).await? {
                Sent::Done(pushed) => {
                    let how = if pushed == Pushed::AlreadyThere { "was there already" } else { "pushed" };
                    self.log.step("branch", &format!("{text} {how}"));
                    return Ok(text);
                }
                Sent::Moved => (),
                Sent::Refused(reason) => return Err(refusal(&reason)),
            }
        }
        Err(refusal("branches of this name hold other work"))
    }

    /// The so-manieth name for a branch of our own.
    fn own_name(&self, name: u32) -> String {
        let (number, title) = (self.task.place.number, &self.task.snapshot.title);
        match self.task.kind {
            Kind::Pull => task::pull_branch(number, title, name),
            _ if !self.task.place.has_thread() => task::own_branch(number, title, name),
            _ => task::branch(number, title, name),
        }
    }

    /// Where the work stands on GitHub already: an attempt on another machine may have pushed it, and died before it could
    /// keep that. Nothing of that machine is needed to see it.
    pub async fn pushed_before(&self, work: &Work) -> Result<Option<(Work, Published)>, Halt> {
        let Some(head) = work.head.as_ref().filter(|_| self.may_push() && !work.is_a_patch()) else { return Ok(None) };
        let onto = self.task.snapshot.pull.as_ref().filter(|_| !self.is_of_fork()).map(|pull| pull.head_branch.clone());
        let names = onto.iter().cloned().chain((1..=NAMES).map(|name| self.own_name(name)));
        let named: Vec<(String, Branch)> = names.filter_map(|name| Some((name.clone(), name.parse().ok()?))).collect();
        let branches: Vec<Branch> = named.iter().map(|(_, branch)| branch.clone()).collect();
        let heads = self.heads(&branches).await?;
        let there = |it: &Option<Sha>| it.as_ref().is_some_and(|sha| sha.as_str() == head);
        let Some(at) = heads.iter().position(there) else { return Ok(None) };
        let branch = named[at].0.clone();
        self.log.step("branch", &format!("{branch} was there already"));
        let mut work = Work { branch: branch.clone(), ..work.clone() };
        if onto.is_some_and(|onto| onto != branch) && work.is_on_the_pull() {
            "conflict".clone_into(&mut work.aside);
        }
        Ok(Some((work, Published { branch, head: head.clone(), pull: None })))
    }

    /// Where branches are on GitHub now.
    async fn heads(&self, branches: &[Branch]) -> Result<Vec<Option<Sha>>, Halt> {
        let git = self.app.git().await?;
        let (mut refusals, mut followed) = (0, false);
        loop {
            let token = self.repo.git_token(Scope::Fetch).await.map_err(Pause::from)?;
            let remote = self.remote(&git, token)?;
            match git.remote_heads(&remote, branches).await {
                Ok(heads) => return Ok(heads),
                Err(GitError::Auth(_)) if self.repo.git_may_try_again(Scope::Fetch, refusals).await => refusals += 1,
                Err(GitError::NotFound(_)) if !followed && self.repo.follow().await? => followed = true,
                Err(error) => return Err(self.remote_trouble("github_refused", TO_FETCH, error)),
            }
        }
    }

    /// Look once more whether the work may go where it was to go: a push to a fork makes its approval void, and so does
    /// another branch to go into.
    pub async fn before_publishing(&self, work: Work) -> Result<Work, Halt> {
        let Some(pull) = self.task.snapshot.pull.as_ref().filter(|_| work.aside == "beside") else { return Ok(work) };
        let now = self.repo.pull(self.task.place.number).await?;
        if !now.is_open() {
            self.log.step("aside", "the pull request was closed");
            return Ok(Work { aside: "closed".to_owned(), ..work });
        }
        // Also where a later push has brought the commit back.
        let approvals = self.app.store.approvals(&self.task.place).await.map_err(Pause::Broken)?;
        let holds = approvals.iter().any(|(approval, void)| !void && approval.is_of(&pull.head_sha, &now.base.branch));
        let aside = match now.head.sha == pull.head_sha {
            _ if now.base.branch != self.task.snapshot.base_branch => "retargeted",
            true if holds => return Ok(work),
            _ => "moved",
        };
        self.log.step("aside", &format!("the approval is void: {aside}"));
        Ok(Work { aside: aside.to_owned(), ..work })
    }

    /// Push the work onto the pull request's own branch, after what others have pushed meanwhile. Where that can't be, it
    /// goes to a branch of its own, and `aside` says why.
    pub async fn push_onto(&self, mut work: Work) -> Result<(Work, Published), Halt> {
        let Some(pull) = &self.task.snapshot.pull else {
            return Err(Pause::Broken(anyhow::anyhow!("the task is not on a pull request")).into());
        };
        let target = branch(&pull.head_branch)?;
        let rebases = match pull.head_branch == self.task.snapshot.default_branch {
            true => {
                "default".clone_into(&mut work.aside);
                0
            }
            // An earlier attempt has found out that it can't go there, and may have pushed it to where it can.
            false if !work.is_on_the_pull() => 0,
            false => REBASES,
        };
        for _ in 0..rebases {
            let head = work.head.clone().unwrap_or_default();
            let onto = sha(work.onto.as_deref().unwrap_or(&pull.head_sha))?;
            match self.send(scope(&work), &sha(&head)?, &target, Some(&onto)).await? {
                Sent::Done(_) => {
                    self.log.step("branch", &format!("{} pushed", pull.head_branch));
                    work.branch.clone_from(&pull.head_branch);
                    return Ok((work, Published { branch: pull.head_branch.clone(), head, pull: None }));
                }
                Sent::Refused(reason) => {
                    self.log.step("aside", &text::line(&reason, 300));
                    "refused".clone_into(&mut work.aside);
                    break;
                }
                Sent::Moved => {
                    let (moved, rebased) = self.rebase(&sha(&head)?, &onto, &target).await?;
                    let Rebased::Done(head) = rebased else {
                        self.log.step("aside", "the commits conflict with what was pushed meanwhile");
                        "conflict".clone_into(&mut work.aside);
                        break;
                    };
                    work.commits =
                        self.commit_lines(&self.bench().await?, &moved, &head).await.map_err(refused_by_git)?;
                    work.head = Some(head.as_str().to_owned());
                    work.onto = Some(moved.as_str().to_owned());
                    "rebased".clone_into(&mut work.aside);
                    // Who takes over after a crash has to know what was pushed, or it would be pushed twice.
                    self.record(&Progress { work: Some(work.clone()), ..Progress::default() }).await?;
                    self.keep_work(&work).await;
                }
            }
        }
        if work.is_on_the_pull() {
            "conflict".clone_into(&mut work.aside);
        }
        // Whoever takes over finds it on a branch of its own, and has to know why.
        self.note(&Progress { work: Some(work.clone()), ..Progress::default() }).await?;
        let head = work.head.clone().unwrap_or_default();
        work.branch = self.push(&work).await?;
        let branch = work.branch.clone();
        Ok((work, Published { branch, head, pull: None }))
    }

    /// Put our commits on top of what the branch has become: where it is now, and what they are then.
    async fn rebase(&self, head: &Sha, base: &Sha, target: &Branch) -> Result<(Sha, Rebased), Halt> {
        let git = self.app.git().await?;
        let mirror = git.mirror(self.task.place.repository_id).await.map_err(refused_by_git)?;
        let token = self.repo.git_token(Scope::Fetch).await.map_err(Pause::from)?;
        let remote = self.remote(&git, token)?;
        let fetched = mirror.fetch(&remote, &[Want::Branch(target.clone())]).await;
        let fetched = fetched.map_err(|error| self.remote_trouble("github_refused", TO_FETCH, error))?;
        let Some(moved) = fetched.into_iter().next() else {
            return Err(refusal("the branch of the pull request is gone"));
        };
        let bench = Workbench::open(&git, &self.dir.join(BENCH));
        let rebased = bench.rebase(head, base, &moved).await.map_err(refused_by_git)?;
        self.log.step("rebase", &format!("onto {moved}"));
        Ok((moved, rebased))
    }

    async fn bench(&self) -> Result<Workbench, Halt> {
        Ok(Workbench::open(&self.app.git().await?, &self.dir.join(BENCH)))
    }

    fn remote(&self, git: &Git, token: SecretString) -> Result<Remote, Halt> {
        Remote::new(git, &self.repo.name(), Some(token)).map_err(|error| refusal(&error.to_string()))
    }

    /// One push, with a token that GitHub takes and to where the repository is now.
    async fn send(&self, scope: Scope, sha: &Sha, branch: &Branch, expect: Option<&Sha>) -> Result<Sent, Halt> {
        let git = self.app.git().await?;
        let bench = Workbench::open(&git, &self.dir.join(BENCH));
        let (mut refusals, mut followed) = (0, false);
        loop {
            let token = match self.repo.git_token(scope).await {
                // The gate lets through what the App was not granted.
                Err(Error::Forbidden(why)) if scope == Scope::PushWorkflows => return Ok(Sent::Refused(why)),
                token => token.map_err(Pause::from)?,
            };
            let remote = self.remote(&git, token)?;
            match bench.push(&remote, sha, branch, expect).await {
                Ok(pushed) => return Ok(Sent::Done(pushed)),
                Err(GitError::Moved) => return Ok(Sent::Moved),
                // What a person's token is not for is no matter of the branch.
                Err(GitError::Rejected { reason }) if !(self.task.own_token && own_token::names_scope(&reason)) => {
                    return Ok(Sent::Refused(reason));
                }
                Err(GitError::Auth(_)) if self.repo.git_may_try_again(scope, refusals).await => refusals += 1,
                Err(GitError::NotFound(_)) if !followed && self.repo.follow().await? => followed = true,
                Err(error) => return Err(self.remote_trouble("github_refused", needed(scope), error)),
            }
        }
    }
}

/// With what the push needs, and no more.
fn scope(work: &Work) -> Scope {
    if work.workflows { Scope::PushWorkflows } else { Scope::Push }
}

/// The same, for people.
fn needed(scope: Scope) -> &'static str {
    if scope == Scope::PushWorkflows { "`contents: write` and `workflows: write`" } else { TO_PUSH }
}

fn sha(text: &str) -> Result<Sha, Halt> {
    text.parse().map_err(|_| Pause::Broken(anyhow::anyhow!("{text:?} is no commit's id")).into())
}

fn branch(text: &str) -> Result<Branch, Halt> {
    text.parse().map_err(|_| refusal(&format!("the branch `{text}` has a name that I don't use")))
}

fn refused_by_git(error: GitError) -> Halt {
    git_trouble("github_refused", error)
}

fn refusal(why: &str) -> Halt {
    Halt::End(refusal_ending(why))
}

/// The ending, where GitHub refuses what the task can't do without.
pub fn refusal_ending(why: &str) -> Ending {
    own_token::ending(why).unwrap_or_else(|| Ending::new("github_refused", why))
}

/// What it means for the task that a write which it needs was not made.
pub fn refused(undone: Undone) -> Halt {
    match undone {
        Undone::Refused(why) => refusal(&why),
        other => Halt::Pause(other.into()),
    }
}

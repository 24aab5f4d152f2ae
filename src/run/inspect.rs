//! Step 5: what the agent left comes out as a bundle, is taken apart in a throw-away repository, judged, and made anew in
//! the bot's name. The tree that the agent touched is never looked at by the host's git.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;
use tracing::warn;

use super::agent::sandbox_trouble;
use super::artifacts::{SECRET, UNREAD};
use super::checkout::{Tree, git_trouble};
use super::{Halt, Pause, Run, secrets};
use crate::agent::binary::run_in;
use crate::config::Kind;
use crate::sandbox::git::{Caps, HeldBack, Identity, Inspection, PACK_SCRIPT, Plan, Policy, Workbench, judge};
use crate::sandbox::{Exec, Sandbox, SandboxError};
use crate::task::{Ending, FileLine, Work};
use crate::text;

/// The throw-away repository in the run's directory; the push is made from it.
pub const BENCH: &str = "inspect.git";
/// What the sandbox has packed, and where that lies inside.
pub const BUNDLE: &str = "work.bundle";
pub const PACKED: &str = "/out/work.bundle";

/// Bytes of a patch that is told instead of pushed; a comment takes less.
const LARGEST_PATCH: usize = 256 << 10;

/// Characters of what is held back that people are shown; a comment takes some more.
const LONGEST_DIFF: usize = 40_000;

/// What packing said.
pub enum Packed {
    Bundle,
    Unchanged,
}

impl Run<'_> {
    /// Take the work out of the sandbox and fill in what is to be published of it.
    pub async fn inspect(&self, sandbox: &dyn Sandbox, tree: &Tree, mut work: Work) -> Result<Work, Halt> {
        self.log.step("inspect", "");
        if let Packed::Unchanged = self.pack(sandbox, tree, &work.title).await? {
            return Ok(work);
        }
        let caps = Caps::default();
        let bundle = self.dir.join(BUNDLE);
        let bytes = match sandbox.get(Path::new(PACKED), caps.bundle_bytes).await {
            Ok(bytes) => bytes,
            Err(SandboxError::TooLarge(_, limit)) => {
                return Err(held_back(&[json!({ "kind": "bundle", "size": limit >> 20 })]));
            }
            Err(error) => return Err(sandbox_trouble(error)),
        };
        tokio::fs::write(&bundle, bytes).await.map_err(|error| Pause::from(anyhow::Error::from(error)))?;

        let bench = Workbench::make(&tree.mirror, &self.dir.join(BENCH)).await.map_err(inspecting)?;
        let head = bench.take(&bundle, &caps).await.map_err(inspecting)?;
        let seen = bench.look(&tree.base, &head, &caps).await.map_err(inspecting)?;
        let (cured, held): (Vec<_>, Vec<_>) =
            judge(&seen, &self.policy()).into_iter().partition(HeldBack::is_cured_by_squash);
        let mut reasons: Vec<_> = held.iter().map(reason).collect();
        let (unseen, more) = bench.unseen(&seen, &caps).await.map_err(inspecting)?;
        if more {
            reasons.push(json!({ "kind": "long_diff" }));
        }
        let has_secret = secrets::in_work(&seen, unseen, cured.is_empty()).await;
        if has_secret {
            reasons.push(json!({ "kind": "secret" }));
        }
        let requester = self.requester();
        // They are the message of work that becomes one commit.
        let (title, body) = (text::redact(&work.title), text::redact(&work.summary));
        let plan = Plan {
            co_author: requester.as_ref(),
            title: &title,
            body: &body,
            at: self.task.created_at / 1000,
            leave_out: &[],
            squash: !cured.is_empty(),
        };
        if !reasons.is_empty() {
            let is_read = !more && !seen.cut.diff && !seen.cut.files;
            match bench.recreate(&seen, &plan).await {
                _ if has_secret => self.withhold(SECRET).await,
                _ if !is_read => self.withhold(UNREAD).await,
                Ok(made) => self.keep_held_back(&bench, &tree.base, made.head.as_ref()).await,
                Err(error) => warn!("What is held back can't be made anew: {error}"),
            }
            let diff = if has_secret { String::new() } else { text::spelled(&text::cut(&seen.diff, LONGEST_DIFF)) };
            return Err(self.held_back(&reasons, &held, &diff));
        }
        let made = bench.recreate(&seen, &plan).await.map_err(inspecting)?;
        // Where the gate has not let them through, GitHub is the second to hold them back.
        let workflows = self.policy().allow.contains(&Kind::Workflows);
        work.workflows = workflows && seen.has_workflows();
        if let Some(head) = made.head.as_ref().filter(|_| !self.may_push() || self.is_of_fork()) {
            work.patch = bench.patch(&tree.base, head, LARGEST_PATCH).await.map_err(inspecting)?.unwrap_or_default();
            if self.may_push() {
                let fork = self.contributed(&bench, tree).await?;
                work.workflows |= workflows && fork.has_workflows();
                work.contributed = self.not_for_the_repository(&fork);
            }
            let aside = match (self.is_of_fork(), self.may_push()) {
                (true, true) if work.contributed.is_empty() => "beside",
                (true, true) => "gate",
                (true, false) => "fork",
                (false, _) => "lane",
            };
            aside.clone_into(&mut work.aside);
        }
        if let Some(head) = &made.head {
            work.commits = self.commit_lines(&bench, &tree.base, head).await.map_err(inspecting)?;
        }
        work.head = made.head.map(|head| head.as_str().to_owned());
        work.files = seen
            .files
            .iter()
            .map(|file| FileLine { path: shown(&file.path_text()), added: file.added, deleted: file.deleted })
            .collect();
        Ok(work)
    }

    /// What the fork's own commits change.
    async fn contributed(&self, bench: &Workbench, tree: &Tree) -> Result<Inspection, Halt> {
        let from = self.fork_point(tree).await?;
        bench.look(&from, &tree.base, &Caps::default()).await.map_err(inspecting)
    }

    /// What of it may not go onto a branch of the repository, where it would count as the repository's own: a few names, or
    /// nothing. How the commits came about does not matter, as their author is known.
    fn not_for_the_repository(&self, seen: &Inspection) -> String {
        const NAMED: usize = 5;
        let held = judge(seen, &self.policy());
        let mut held: Vec<_> = held.iter().filter(|it| !it.is_cured_by_squash()).collect();
        held.sort_by_key(|it| it.path().is_none());
        let name = |it: &&HeldBack| match it.path() {
            Some(path) => format!("`{}`", shown(&String::from_utf8_lossy(path))),
            None => "too much to be looked through".to_owned(),
        };
        let mut names: Vec<String> = held.iter().take(NAMED).map(name).collect();
        if held.len() > NAMED {
            names.push(format!("{} more", held.len() - NAMED));
        }
        names.join(", ")
    }

    /// Run the packing script inside, without network.
    pub async fn pack(&self, sandbox: &dyn Sandbox, tree: &Tree, title: &str) -> Result<Packed, Halt> {
        sandbox.put(&[("/context/pack.sh".into(), PACK_SCRIPT.into())]).await.map_err(sandbox_trouble)?;
        let exec = Exec {
            argv: ["/bin/sh", "/context/pack.sh"].map(str::to_owned).to_vec(),
            env: BTreeMap::from([
                ("BASE".to_owned(), tree.base.as_str().to_owned()),
                ("MESSAGE".to_owned(), title.to_owned()),
            ]),
            cwd: "/workspace".into(),
            ..Exec::default()
        };
        let ran = run_in(sandbox, exec).await.map_err(sandbox_trouble)?;
        let said = ran.stdout.trim().lines().next_back().unwrap_or_default().to_owned();
        match (ran.exit.code, said.as_str()) {
            (Some(0), "unchanged") => Ok(Packed::Unchanged),
            (Some(0), "packed") => Ok(Packed::Bundle),
            _ => {
                let why = if ran.stderr.trim().is_empty() { said } else { ran.stderr };
                Err(held_back(&[json!({ "kind": "packing", "why": text::line(&why, 200) })]))
            }
        }
    }

    /// What of the work may be published: what the repository lets through, within the operator's limits.
    fn policy(&self) -> Policy {
        let operator = &self.app.config.gate;
        let gate = self.task.snapshot.rules().gate.under(operator);
        let (file_mb, files) = (gate.file_mb.unwrap_or(operator.file_mb), gate.files.unwrap_or(operator.files));
        Policy {
            max_file_bytes: u64::from(file_mb) << 20,
            max_files: files as usize,
            allow: gate.allow,
            ..Policy::default()
        }
    }

    /// The end of work that is held back for these reasons, with whoever can let it through.
    fn held_back(&self, reasons: &[serde_json::Value], held: &[HeldBack], diff: &str) -> Halt {
        let most = self.app.config.gate.most();
        // Nothing helps while one reason is left that nobody can allow.
        let kinds: Option<BTreeSet<Kind>> =
            (reasons.len() == held.len()).then(|| held.iter().map(HeldBack::kind).collect()).flatten();
        let kinds = kinds.unwrap_or_default();
        let names = |kinds: &mut dyn Iterator<Item = &Kind>| kinds.map(|it| it.name()).collect::<Vec<_>>().join(", ");
        let asked = self.task.snapshot.rules().gate.allow.union(&kinds).copied().collect::<BTreeSet<_>>();
        let words = json!({
            "reasons": reasons,
            "allow": if kinds.is_empty() { String::new() } else { names(&mut asked.iter()) },
            "operator": names(&mut kinds.difference(&most)),
        });
        Halt::End(Ending { diff: text::cut(diff, LONGEST_DIFF), ..ending(&words) })
    }

    /// The person who asked, as the co-author of the work, under the address that GitHub maps to the account. A key of the
    /// API is nobody's.
    fn requester(&self) -> Option<Identity> {
        let asker = Some(&self.task.requester).filter(|it| it.is_on_github())?;
        let host = self.app.config.github.noreply_host();
        Some(Identity { name: asker.login.clone(), email: format!("{}+{}@{host}", asker.id, asker.login) })
    }
}

fn inspecting(error: crate::sandbox::git::GitError) -> Halt {
    git_trouble("held_back", error)
}

fn held_back(reasons: &[serde_json::Value]) -> Halt {
    Halt::End(ending(&json!({ "reasons": reasons })))
}

fn ending(words: &serde_json::Value) -> Ending {
    let says = text::render("report/held_back.md", words);
    Ending::new("held_back", says.trim())
}

/// A path that stays in its code span and its cell of a table.
fn shown(path: &str) -> String {
    path.replace(|c: char| c.is_control() || "`|".contains(c), "?")
}

/// A reason as the template reads it.
fn reason(why: &HeldBack) -> serde_json::Value {
    let path = why.path().map(|path| shown(&String::from_utf8_lossy(path)));
    match why {
        HeldBack::Workflow(_) => json!({ "kind": "workflow", "path": path }),
        HeldBack::CodeOwners(_) => json!({ "kind": "code_owners", "path": path }),
        HeldBack::AgentSettings(_) => json!({ "kind": "agent_settings", "path": path }),
        HeldBack::GitSettings(_) => json!({ "kind": "git_settings", "path": path }),
        HeldBack::Binary(_) => json!({ "kind": "binary", "path": path }),
        HeldBack::TestLost(_) => json!({ "kind": "test", "path": path }),
        HeldBack::LongDiff => json!({ "kind": "long_diff" }),
        HeldBack::Symlink { target, .. } => {
            json!({ "kind": "symlink", "path": path, "target": shown(&String::from_utf8_lossy(target)) })
        }
        HeldBack::Submodule(_) => json!({ "kind": "submodule", "path": path }),
        HeldBack::OddPath { why, .. } => json!({ "kind": "odd_path", "path": path, "why": why }),
        HeldBack::LargeFile { bytes, .. } => json!({ "kind": "large_file", "path": path, "size": bytes >> 20 }),
        HeldBack::LockfileAlone(_) => json!({ "kind": "lockfile", "path": path }),
        HeldBack::TooManyFiles(count) => json!({ "kind": "too_many", "count": count }),
        HeldBack::TooLarge(bytes) => json!({ "kind": "too_large", "size": bytes >> 20 }),
        HeldBack::NotDescending | HeldBack::Merge | HeldBack::InHistory(_) | HeldBack::LongHistory => {
            json!({ "kind": "history" })
        }
    }
}

//! What is put aside of an attempt that can't go on for now, for another machine to take up: the agent's conversation, and the
//! work as a bundle. Finished work is carried by the bundle that scripts are given.
//!
//! Strangers had a hand in all of it. It is packed and unpacked only inside sandboxes of the task; the host carries bytes with a
//! limit. A conversation without the tree that it talks about would mislead, so either both are kept or neither.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use serde_json::Value;
use tracing::{info, warn};
use uuid::Uuid;

use super::agent::{Room, sandbox_trouble};
use super::artifacts;
use super::checkout::{Tree, git_trouble};
use super::inspect::{BENCH, BUNDLE, PACKED, Packed};
use super::left::{Left, Source};
use super::session::LARGEST;
use super::{Halt, Pause, Run};
use crate::agent;
use crate::agent::binary::run_in;
use crate::sandbox::git::{Caps, GitError, Sha, UNPACK_SCRIPT, Workbench};
use crate::sandbox::{Exec, Sandbox, SandboxError};
use crate::store::{self, Kept};
use crate::task::{AgentStep, Work};

/// Most bytes of the work's bundle; what is larger stays on its machine.
const LARGEST_WORK: u64 = 24 << 20;
/// Packing and keeping take a moment. A process that goes down has less time than one that waits; an agent that was slow to end
/// has used up some of it.
const PATIENCE: Duration = Duration::from_mins(1);
const LAST_MOMENT: Duration = Duration::from_secs(15);
/// What was not committed is one commit more on the way, known by this.
const NOT_COMMITTED: &str = "cloud-agent: not committed yet";
/// Where the bundle lies inside of the next sandbox.
const BROUGHT: &str = "/out/brought.bundle";
/// What `unpack.sh` says when it has touched nothing.
const NO_BUNDLE: i32 = 11;

/// Work that was put back into a sandbox.
pub struct Back {
    pub session: Uuid,
    pub answer: Option<Value>,
    /// It comes from another machine.
    pub moved: bool,
}

impl Run<'_> {
    /// Put aside what the agent knows and has done, where a pause has cut it off. Best effort: without it, another machine
    /// begins anew.
    pub async fn put_aside<T>(&self, room: &Room, tree: &Tree, came_of_it: &Result<T, Halt>) {
        let patience = match came_of_it {
            Err(Halt::Pause(Pause::Later(_) | Pause::Broken(_))) => PATIENCE,
            Err(Halt::Pause(Pause::Draining)) => LAST_MOMENT,
            // It has ended, or is somebody else's.
            _ => return,
        };
        // With one machine there is no other. An attempt without a conversation has changed nothing that was kept.
        let Some(session) = self.last_conversation().filter(|_| self.app.store.is_shared()) else { return };
        let put = async {
            let Some(kept) = self.packed(room.sandbox.as_ref(), tree, session).await? else { return Ok(()) };
            let bytes = kept.conversation.len() + kept.work.len();
            match self.app.store.put_aside(self.job.lease(), kept).await? {
                true => info!("Put {bytes} bytes aside for whoever goes on"),
                false => warn!("Nothing is put aside: the claim is void"),
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(patience, put).await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => warn!("Nothing is put aside, another machine would begin anew: {error:#}"),
            Err(_) => warn!("Nothing is put aside, another machine would begin anew: it took longer than {patience:?}"),
        }
    }

    async fn packed(&self, sandbox: &dyn Sandbox, tree: &Tree, session: Uuid) -> anyhow::Result<Option<Kept>> {
        let Some(conversation) = agent::session_out(sandbox, session, LARGEST).await? else {
            info!("Nothing is put aside: there is no conversation, or too much of it");
            return Ok(None);
        };
        let packed = match self.pack(sandbox, tree, NOT_COMMITTED).await {
            Ok(packed) => packed,
            Err(Halt::End(ending)) => bail!("pack the work: {}", ending.says),
            Err(Halt::Pause(_)) => bail!("the sandbox does not pack the work"),
        };
        let work = match packed {
            Packed::Unchanged => Vec::new(),
            Packed::Bundle => match sandbox.get(Path::new(PACKED), LARGEST_WORK).await {
                Ok(bundle) => bundle.to_vec(),
                Err(SandboxError::TooLarge(_, limit)) => {
                    info!("Nothing is put aside: the work has more than {} MB", limit >> 20);
                    return Ok(None);
                }
                Err(error) => return Err(error).context("take the work out"),
            },
        };
        let (session, conversation) = (session.to_string(), conversation.to_vec());
        Ok(Some(Kept { session, tree: tree.nonce.clone(), conversation, work }))
    }

    /// What was put aside in this session, with a fresh working tree to put it into.
    pub async fn aside(&self, step: &AgentStep) -> Result<Option<(Kept, Tree)>, Halt> {
        if !self.app.store.is_shared() {
            return Ok(None);
        }
        let kept = match self.app.store.kept(&self.task.id.to_string()).await {
            Ok(kept) => kept,
            Err(error) if is_of_database(&error) => return Err(Pause::from(error).into()),
            Err(error) => {
                warn!("What was put aside can't be opened, beginning anew: {error:#}");
                None
            }
        };
        match kept.filter(|kept| kept.session == step.session) {
            Some(kept) => Ok(Some((kept, self.checkout().await?))),
            None => Ok(None),
        }
    }

    /// Put what is left into a fresh sandbox. None when nothing can be made of it; then the work begins anew.
    pub async fn put_back(&self, sandbox: &dyn Sandbox, left: Left) -> Result<Option<Back>, Halt> {
        let Left { session, from, answer } = left;
        let kept = match from {
            Source::Here(files) => {
                sandbox.put(&files).await.map_err(sandbox_trouble)?;
                return Ok(Some(Back { session, answer, moved: false }));
            }
            Source::Aside(kept) => kept,
        };
        let told = agent::session_in(sandbox, session, kept.conversation.into()).await.map_err(sandbox_trouble)?;
        if told && self.unpacked(sandbox, kept.work.into()).await? {
            return Ok(Some(Back { session, answer, moved: true }));
        }
        warn!("What was put aside can't be used, beginning anew");
        Ok(None)
    }

    /// Whether the work is in the tree now; nothing was touched where it is not.
    async fn unpacked(&self, sandbox: &dyn Sandbox, work: Bytes) -> Result<bool, Halt> {
        if work.is_empty() {
            return Ok(true);
        }
        let files = [(BROUGHT.into(), work), ("/context/unpack.sh".into(), UNPACK_SCRIPT.into())];
        sandbox.put(&files).await.map_err(sandbox_trouble)?;
        let variables = [("BUNDLE", BROUGHT), ("MESSAGE", NOT_COMMITTED)];
        let exec = Exec {
            argv: ["/bin/sh", "/context/unpack.sh"].map(str::to_owned).to_vec(),
            env: BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))),
            cwd: "/workspace".into(),
            ..Exec::default()
        };
        let ran = run_in(sandbox, exec).await.map_err(sandbox_trouble)?;
        match ran.exit.code {
            Some(0) => Ok(true),
            Some(NO_BUNDLE) => {
                warn!("unpack.sh: {}", ran.stderr.trim());
                Ok(false)
            }
            _ => Err(Pause::Broken(anyhow!("put the work into the tree: {}", ran.stderr.trim())).into()),
        }
    }

    /// Whether finished work of another machine can be published from this one now.
    pub async fn bring_back(&self, work: &Work) -> Result<bool, Halt> {
        let Some(Ok(head)) = work.head.as_deref().map(str::parse::<Sha>) else { return Ok(false) };
        let bundle = match self.app.store.artifact_bytes(&self.task.id.to_string(), artifacts::BUNDLE).await {
            Ok(Some(bundle)) => bundle,
            Ok(None) => return Ok(false),
            Err(error) if is_of_database(&error) => return Err(Pause::from(error).into()),
            Err(error) => {
                warn!("The finished work can't be opened, beginning anew: {error:#}");
                return Ok(false);
            }
        };
        // Onto what others have pushed meanwhile it needs that, too.
        let tree = self.checkout_with(work.onto.as_deref().and_then(|onto| onto.parse().ok())).await?;
        let file = self.dir.join(BUNDLE);
        let written = tokio::fs::write(&file, bundle).await;
        written.map_err(|error| Pause::from(anyhow::Error::new(error).context("write the bundle")))?;
        let trouble = |error| git_trouble("github_refused", error);
        let bench = Workbench::make(&tree.mirror, &self.dir.join(BENCH)).await.map_err(trouble)?;
        match bench.take(&file, &Caps::default()).await {
            Ok(found) if found == head => {
                info!("Going on with finished work of another machine");
                self.log.step("resumed", "the work is finished");
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(GitError::Bundle(why) | GitError::Hostile(why)) => {
                warn!("The finished work can't be taken up: {why}");
                Ok(false)
            }
            Err(error) => Err(trouble(error)),
        }
    }
}

/// Whether it was the database that failed: it is asked again.
fn is_of_database(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error + 'static>::is::<store::Error>)
}

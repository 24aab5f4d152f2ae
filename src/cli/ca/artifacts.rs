//! What a task has left: its diff on the terminal, and its files on the disk.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use console::{Style, Term};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::Ca;
use super::args::Download;
use super::screen::{self, escaped_json, harmless, hint, note, tell};
use super::trouble::{INTERRUPTED, Trouble};
use crate::api::{ArtifactList, ArtifactView};

const DIFF: &str = "changes.patch";
/// Most bytes of a diff that are taken from a server; none keeps so many.
const LARGEST: usize = 64 << 20;
/// How often the progress is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// Print what a task has changed: coloured for people, byte by byte for programs.
pub async fn diff(ca: &Ca, task: &str) -> Result<ExitCode> {
    let mut answer = ca.server.download(&["api", "v1", "tasks", task, "artifacts", DIFF]).await?;
    let mut patch = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(|error| ca.server.unreached(&error))? {
        patch.extend_from_slice(&bytes);
        ensure!(patch.len() <= LARGEST, "the diff is too large to be shown; `ca task download` writes it to a file");
    }
    if ca.json {
        let patch = String::from_utf8_lossy(&patch);
        tell(&escaped_json(&json!({ "task_id": task, "patch": patch }).to_string()));
    } else if screen::is_terminal() {
        tell(&coloured(&harmless(&String::from_utf8_lossy(&patch))));
    } else {
        // As it is, so that `git apply` takes it.
        screen::give(&patch);
    }
    Ok(ExitCode::SUCCESS)
}

/// A diff as people know it from git.
fn coloured(diff: &str) -> String {
    let (bold, green, red, cyan) = (Style::new().bold(), Style::new().green(), Style::new().red(), Style::new().cyan());
    let mut in_hunk = false;
    let lines = diff.lines().map(|line| {
        let style = match line.as_bytes().first() {
            Some(b'd') if line.starts_with("diff --git ") => {
                in_hunk = false;
                &bold
            }
            Some(b'@') => {
                in_hunk = true;
                &cyan
            }
            Some(b'+') if in_hunk => &green,
            Some(b'-') if in_hunk => &red,
            _ if in_hunk => return line.to_owned(),
            _ => &bold,
        };
        style.apply_to(line).to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Write what a task has left into a directory, each file whole or not at all.
pub async fn download(ca: &Ca, asked: &Download) -> Result<ExitCode> {
    let list: ArtifactList = ca.server.get(&["api", "v1", "tasks", &asked.task, "artifacts"], &[]).await?.read()?;
    let wanted = wanted(ca, asked, &list).await?;
    let dir = &asked.output;
    let mut files = Vec::new();
    for it in wanted {
        let target = dir.join(file_name(&it.name)?);
        if !asked.force && target.symlink_metadata().is_ok() {
            let says = format!("{} is there already; `--force` replaces it", target.display());
            return Err(Trouble::Usage(says).into());
        }
        files.push((it, target));
    }
    std::fs::create_dir_all(dir).with_context(|| format!("make the directory {}", dir.display()))?;
    for (it, target) in files {
        tokio::select! {
            fetched = fetch(ca, asked, it, &target) => fetched?,
            // What was begun is removed.
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(INTERRUPTED)),
        }
        let path = target.display().to_string();
        tell(&match ca.json {
            true => escaped_json(
                &json!({ "task_id": asked.task, "name": it.name, "path": path, "size": it.size, "sha256": it.sha256 })
                    .to_string(),
            ),
            false => harmless(&path),
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// What was named, or all that is there.
async fn wanted<'a>(ca: &Ca, asked: &Download, list: &'a ArtifactList) -> Result<Vec<&'a ArtifactView>> {
    if asked.names.is_empty() {
        for it in &list.left_out {
            note(&format!("ca: {} was not kept: {}", it.name, it.detail));
        }
        ensure!(!list.artifacts.is_empty(), "this task has left nothing that is kept");
        hint("Applied with `git apply changes.patch`, or `git fetch commits.bundle cloud-agent/work`.");
        return Ok(list.artifacts.iter().collect());
    }
    let mut found = Vec::new();
    for name in &asked.names {
        match list.artifacts.iter().find(|it| it.name == *name) {
            Some(it) => found.push(it),
            None => {
                // The server says what is there, and why this is not.
                ca.server.download(&["api", "v1", "tasks", &asked.task, "artifacts", name]).await?;
                bail!("the server does not list {name}, and has it");
            }
        }
    }
    Ok(found)
}

/// A name that leads nowhere but into the directory.
fn file_name(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !name.is_empty() && !name.starts_with('.') && name.chars().all(plain) {
        true => Ok(name),
        false => bail!("the server names a file `{name}`, which is no plain name: nothing was written"),
    }
}

async fn fetch(ca: &Ca, asked: &Download, it: &ArtifactView, target: &Path) -> Result<()> {
    let mut answer = ca.server.download(&["api", "v1", "tasks", &asked.task, "artifacts", &it.name]).await?;
    let writing = || format!("write {}", target.display());
    // Beside its place, so that nobody meets the half of it.
    let mut file = beside(&asked.output).with_context(writing)?;
    let (mut digest, mut done, mut progress) = (Sha256::new(), 0, Progress::new(ca, it));
    while let Some(bytes) = answer.chunk().await.map_err(|error| ca.server.unreached(&error))? {
        done += bytes.len() as i64;
        ensure!(done <= it.size, "{} is larger than the server said: nothing was written", it.name);
        digest.update(&bytes);
        file.write_all(&bytes).with_context(writing)?;
        progress.show(done);
    }
    let whole = done == it.size && hex::encode(digest.finalize()) == it.sha256;
    ensure!(whole, "{} came broken, or was replaced meanwhile: nothing was written, ask again", it.name);
    match asked.force {
        true => file.persist(target).map_err(|error| error.error).with_context(writing)?,
        false => file.persist_noclobber(target).map_err(|error| error.error).with_context(writing)?,
    };
    Ok(())
}

fn beside(dir: &PathBuf) -> std::io::Result<NamedTempFile> {
    // As any new file: the user's mask takes from it what it takes.
    tempfile::Builder::new().prefix(".ca-").permissions(Permissions::from_mode(0o666)).tempfile_in(dir)
}

/// How far a file has come, where people look on.
struct Progress<'a> {
    term: Option<Term>,
    it: &'a ArtifactView,
    drawn: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(ca: &Ca, it: &'a ArtifactView) -> Self {
        Self { term: (!ca.json && screen::is_live()).then(Term::stderr), it, drawn: None }
    }

    fn show(&mut self, done: i64) {
        let Some(term) = &self.term else { return };
        if done < self.it.size && self.drawn.is_some_and(|at| at.elapsed() < FRAME) {
            return;
        }
        self.drawn = Some(Instant::now());
        let kb = |bytes: i64| (bytes + 1023) / 1024;
        let line = format!("{}  {} of {} kB", harmless(&self.it.name), kb(done), kb(self.it.size));
        // What can't be drawn is not missed.
        let _ = term.clear_line().and_then(|()| term.write_str(&line));
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let (Some(term), Some(_)) = (&self.term, self.drawn) {
            let _ = term.clear_line();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(file_name("changes.patch").unwrap(), "changes.patch");
        for name in ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", ".bashrc", "a\nb", "C:x"] {
            assert!(file_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_header_in_a_hunk_is_a_line() {
        console::set_colors_enabled(true);
        let shown = coloured("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n--- old\n+new\n same");
        console::set_colors_enabled(false);
        let styles: Vec<_> = shown.lines().map(|line| line.get(..5).unwrap_or_default()).collect();
        assert_eq!(
            styles,
            ["\u{1b}[1md", "\u{1b}[1m-", "\u{1b}[1m+", "\u{1b}[36m", "\u{1b}[31m", "\u{1b}[32m", " same"]
        );
    }
}

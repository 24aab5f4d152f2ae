//! The Claude Code executable on this machine: where it is, and whether it runs in a sandbox.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;

use super::command::CLAUDE;
use crate::sandbox::{Channel, Cursor, Exec, ExecEvent, Exit, Finding, Grade, Sandbox, SandboxError};

/// The version that the flags, the stream and the outcomes were recorded with.
pub const TESTED: [u32; 3] = [2, 1, 328];

/// What has to be mounted for Claude Code to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaudeBinary {
    /// The real file, symlinks followed.
    pub path: PathBuf,
    /// For `Spec::read_only`: `(host path, path inside)`.
    pub read_only: Vec<(PathBuf, PathBuf)>,
}

#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    #[error("CLAUDE_BIN: there is no `{}` {}; install Claude Code, or set CLAUDE_BIN to where it is", .0.display(), .1)]
    NotFound(PathBuf, &'static str),
    #[error("CLAUDE_BIN: {path} can't be read: {error}", path = .0.display(), error = .1)]
    Unreadable(PathBuf, std::io::Error),
    #[error("CLAUDE_BIN: {} is neither a program nor a script with `#!`", .0.display())]
    NoProgram(PathBuf),
    #[error("CLAUDE_SHA256: {} has the digest {}, which is another one; it was updated or exchanged", .0.display(), .1)]
    OtherDigest(PathBuf, String),
    #[error(
        "CLAUDE_BIN: {path} says that it is {version}, and its digest {digest} is none of that version: install it anew, or set \
         CLAUDE_SHA256 to it if you know where it comes from",
        path = .0.display(),
        version = shown(TESTED),
        digest = .1
    )]
    NotAsPublished(PathBuf, String),
    #[error(
        "CLAUDE_BIN: {} is npm's placeholder, installed without its scripts; run `npm rebuild @anthropic-ai/claude-code`",
        .0.display()
    )]
    Placeholder(PathBuf),
}

/// Find the executable: a path as it is, a bare name in the directories of `search`, the value of `PATH`.
///
/// npm's `claude` is a symlink to a native program without any dependency but glibc, so the file alone is enough.
pub fn locate(bin: &Path, search: Option<&OsStr>) -> Result<ClaudeBinary, LocateError> {
    let bare = bin.components().count() == 1 && !bin.is_absolute() && !bin.starts_with(".");
    let found = if bare {
        let mut places = search.map(std::env::split_paths).into_iter().flatten().map(|place| place.join(bin));
        places.find(|file| is_executable(file)).ok_or_else(|| LocateError::NotFound(bin.to_owned(), "on PATH"))?
    } else {
        bin.to_owned()
    };
    let path = match found.canonicalize() {
        Ok(path) if path.is_file() => path,
        Ok(_) => return Err(LocateError::NoProgram(found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(LocateError::NotFound(found, "here"));
        }
        Err(error) => return Err(LocateError::Unreadable(found, error)),
    };
    match beginning(&path) {
        Err(error) => Err(LocateError::Unreadable(path, error)),
        Ok(text) if contains(&text, b"native binary not installed") => Err(LocateError::Placeholder(path)),
        Ok(text) if text.starts_with(b"\x7fELF") || text.starts_with(b"#!") => {
            Ok(ClaudeBinary { read_only: vec![(path.clone(), PathBuf::from(CLAUDE))], path })
        }
        Ok(_) => Err(LocateError::NoProgram(path)),
    }
}

impl ClaudeBinary {
    /// Whether it is a script, which runs some other program.
    pub fn is_script(&self) -> Result<bool, LocateError> {
        let text = beginning(&self.path).map_err(|error| LocateError::Unreadable(self.path.clone(), error))?;
        Ok(text.starts_with(b"#!"))
    }
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn beginning(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(4096).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

/// A process that has ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
}

/// Run a short command in a sandbox to its end.
pub async fn run_in(sandbox: &dyn Sandbox, exec: Exec) -> Result<Ran, SandboxError> {
    let id = sandbox.spawn(exec).await?;
    let mut events = sandbox.attach(&id, Cursor::default()).await?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut exit = Exit { code: None, signal: None, limit: None };
    while let Some(event) = events.next().await {
        match event {
            ExecEvent::Out { channel: Channel::Stdout, bytes, .. } => stdout.extend_from_slice(&bytes),
            ExecEvent::Out { channel: Channel::Stderr, bytes, .. } => stderr.extend_from_slice(&bytes),
            ExecEvent::Gap { .. } => {}
            ExecEvent::Exit(end) => exit = end,
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { exit, stdout: text(stdout), stderr: text(stderr) })
}

/// Ask the mounted executable for its version. `run` runs a command in a sandbox that has it mounted, as `run_in` does.
pub async fn preflight<F>(run: impl FnOnce(Exec) -> F) -> Finding
where
    F: Future<Output = Result<Ran, SandboxError>>,
{
    let (grade, says) = judge(run(asks_version()).await);
    Finding { grade, what: "Claude Code".to_owned(), says }
}

/// The command that says its version.
pub(super) fn asks_version() -> Exec {
    Exec {
        argv: vec![CLAUDE.to_owned(), "--version".to_owned()],
        cwd: PathBuf::from("/"),
        max_output: 64 << 10,
        ..Exec::default()
    }
}

fn shown(version: [u32; 3]) -> String {
    version.map(|part| part.to_string()).join(".")
}

fn judge(ran: Result<Ran, SandboxError>) -> (Grade, String) {
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return (Grade::Bad, format!("`claude --version` could not be started: {error}")),
    };
    let Some(version) = version_of(&ran.stdout).filter(|_| ran.exit.code == Some(0)) else {
        let said =
            [ran.stderr.trim(), ran.stdout.trim()].into_iter().find(|text| !text.is_empty()).unwrap_or("nothing");
        let said: String = said.chars().take(300).collect();
        return (
            Grade::Bad,
            format!("`claude --version` failed and said: {said}. Set CLAUDE_BIN to a Claude Code that runs here."),
        );
    };
    if version < TESTED {
        let (version, tested) = (shown(version), shown(TESTED));
        return (
            Grade::Warning,
            format!("{version} is older than {tested}, which is what was tested; update it if runs fail."),
        );
    }
    (Grade::Good, format!("{} runs in the sandbox.", shown(version)))
}

/// `2.1.328 (Claude Code)`
pub(super) fn version_of(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split_whitespace().next()?.split('.');
    let mut part = || parts.next()?.split('-').next()?.parse().ok();
    Some([part()?, part()?, part()?])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    fn ran(code: i32, stdout: &str, stderr: &str) -> (Grade, String) {
        let exit = Exit { code: Some(code), signal: None, limit: None };
        judge(Ok(Ran { exit, stdout: stdout.to_owned(), stderr: stderr.to_owned() }))
    }

    #[test]
    fn versions_are_judged() {
        assert_eq!(ran(0, "2.1.328 (Claude Code)\n", "").0, Grade::Good);
        assert_eq!(ran(0, "2.2.0-beta.1 (Claude Code)\n", "").0, Grade::Good);
        assert_eq!(ran(0, "2.0.99 (Claude Code)\n", "").0, Grade::Warning);
        let (grade, says) = ran(1, "", "Error: claude native binary not installed.");
        assert_eq!(grade, Grade::Bad);
        assert!(says.contains("not installed"), "{says}");
    }

    #[test]
    fn a_bare_name_is_looked_up_and_symlinks_are_followed() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let real = root.join("claude.exe");
        std::fs::write(&real, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(root.join("bin")).unwrap();
        symlink(&real, root.join("bin/claude")).unwrap();
        let search = std::env::join_paths([root.join("none"), root.join("bin")]).unwrap();
        let found = locate(Path::new("claude"), Some(&search)).unwrap();
        assert_eq!(found, ClaudeBinary { path: real.clone(), read_only: vec![(real.clone(), PathBuf::from(CLAUDE))] });
        assert_eq!(locate(&root.join("bin/claude"), None).unwrap(), found);
        assert!(matches!(locate(Path::new("claude"), None), Err(LocateError::NotFound(..))));
        assert!(matches!(locate(&root, None), Err(LocateError::NoProgram(_))));
        std::fs::write(&real, "echo").unwrap();
        assert!(matches!(locate(&real, None), Err(LocateError::NoProgram(_))));
        std::fs::write(&real, "#!/bin/sh\necho 'claude native binary not installed' >&2\n").unwrap();
        assert!(matches!(locate(&real, None), Err(LocateError::Placeholder(_))));
    }
}

//! One git process: what it gets, how long it may take, how much it may say, and how it ends.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::error::{GitError, classify, redact};
use super::{Caps, Git, Remote, Sha};

/// Configuration of every git process. Nothing comes from files but what `layout` wrote into a repository.
const CONFIG: [(&str, &str); 27] = [
    // Nothing is executed.
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("submodule.recurse", "false"),
    ("protocol.allow", "never"),
    ("protocol.http.allow", "always"),
    ("protocol.https.allow", "always"),
    ("protocol.ext.allow", "never"),
    // Nothing runs on in the background.
    ("gc.auto", "0"),
    ("gc.autoDetach", "false"),
    ("maintenance.auto", "false"),
    ("fetch.writeCommitGraph", "false"),
    // Nothing is guessed or rewritten.
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.symlinks", "true"),
    ("diff.renames", "false"),
    // A redirect could lead the token elsewhere; a renamed repository answers with one and is an error.
    ("http.followRedirects", "false"),
    // A server that packs a large repository is silent but for a keep-alive of four bytes every few seconds.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "120"),
    // A fetch that ends in loose objects is not atomic: killed midway, it leaves a commit without its files.
    ("fetch.unpackLimit", "1"),
    // Larger files are streamed and count as binary, so that they never fill the memory.
    ("core.bigFileThreshold", "16m"),
    ("advice.objectNameWarning", "false"),
];

/// What a process may use when it works on data that an agent made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fence {
    pub memory_bytes: u64,
    pub cpu: Duration,
    pub file_bytes: u64,
}

/// `ulimit` and not `setrlimit`: a limit between fork and exec takes unsafe code, the shell has it built in.
const FENCE: &str = r#"ulimit -v "$1" && ulimit -t "$2" && ulimit -f "$3" && shift 3 && exec "$@""#;

/// The id of the tree without files, which git knows without having it. Attributes are read from there: by its own
/// `.gitattributes` an agent could have its changes count as binary and not be shown.
const NO_ATTRIBUTES: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Standard input of a process.
pub(super) enum Input {
    Nothing,
    Bytes(Vec<u8>),
    /// Also a way to hand on a lock: it is held for as long as any process has the file open.
    File(std::fs::File),
}

impl Input {
    /// Ids, one in a line, as git's plumbing reads them.
    pub fn lines<'a>(ids: impl IntoIterator<Item = &'a Sha>) -> Self {
        Self::Bytes(ids.into_iter().flat_map(|id| [id.as_str(), "\n"]).collect::<String>().into_bytes())
    }
}

/// A git process to be.
pub(super) struct Call<'a> {
    git: &'a Git,
    verb: &'static str,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    config: Vec<(&'static str, String)>,
    remote: Option<&'a Remote>,
    input: Input,
    timeout: Duration,
    max_output: usize,
    cut: bool,
    codes: &'static [i32],
    fence: Option<Fence>,
}

/// What a process said.
pub(super) struct Output {
    pub code: i32,
    pub stdout: Vec<u8>,
    /// Whether there was more than was asked for.
    pub truncated: bool,
}

impl Git {
    pub(super) fn call(&self, verb: &'static str) -> Call<'_> {
        Call {
            git: self,
            verb,
            args: Vec::new(),
            env: Vec::new(),
            config: Vec::new(),
            remote: None,
            input: Input::Nothing,
            timeout: self.settings().timeouts.local,
            max_output: 64 << 20,
            cut: false,
            codes: &[0],
            fence: None,
        }
    }

    /// A git process that reads a stranger's objects in this repository.
    pub(super) fn careful(&self, verb: &'static str, git_dir: &Path, caps: &Caps) -> Call<'_> {
        let cpu = self.settings().timeouts.local.max(Duration::from_secs(1));
        let file_bytes = caps.bundle_bytes.saturating_mul(2).max(64 << 20);
        let call = self.call(verb).repo(git_dir).env("GIT_ATTR_SOURCE", NO_ATTRIBUTES);
        // Windows on the mirror's packs count as memory.
        let call = call
            .config("core.packedGitLimit", "256m")
            .config("core.packedGitWindowSize", "32m")
            .config("core.fsync", "none");
        call.fence(Fence { memory_bytes: caps.memory_bytes, cpu, file_bytes })
    }
}

impl<'a> Call<'a> {
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// The repository. It is always named: git never searches for one.
    pub fn repo(self, git_dir: &Path) -> Self {
        self.env("GIT_DIR", git_dir)
    }

    pub fn env(mut self, key: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((key, value.as_ref().to_owned()));
        self
    }

    pub fn config(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.config.push((key, value.into()));
        self
    }

    /// The remote that this process talks to, and so the token that it gets.
    pub fn remote(mut self, remote: &'a Remote, timeout: Duration) -> Self {
        self.remote = Some(remote);
        self.timeout = timeout;
        self
    }

    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Read so much and no more; the process is ended then, which is no error.
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.max_output = bytes;
        self.cut = true;
        self
    }

    /// Exit codes that are answers and not failures.
    pub fn codes(mut self, codes: &'static [i32]) -> Self {
        self.codes = codes;
        self
    }

    pub fn fence(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }

    pub async fn run(mut self) -> Result<Output, GitError> {
        let mut command = self.command();
        let bytes = match std::mem::replace(&mut self.input, Input::Nothing) {
            Input::Nothing => None,
            Input::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                Some(bytes)
            }
            Input::File(file) => {
                command.stdin(file);
                None
            }
        };
        let mut child = command.spawn().map_err(|e| GitError::io("start git", &e))?;
        let mut group = Group(child.id());
        let feed = feed(&mut child, bytes);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let out = read_out(stdout, self.max_output, &group);
            let (((), (out, truncated)), err) = tokio::join!(async { tokio::join!(feed, out) }, read_tail(stderr));
            (child.wait().await, out, truncated, err)
        };
        let done = tokio::time::timeout(self.timeout, work).await;
        let Ok((status, stdout, truncated, stderr)) = done else {
            group.kill();
            // Reaped so that the mirror's lock is surely free; SIGKILL leaves no choice but a process stuck in the kernel.
            let _ = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
            return Err(GitError::Timeout(self.verb.to_owned()));
        };
        group.0 = None;
        let status = status.map_err(|e| GitError::io("wait for git", &e))?;
        if truncated && self.cut {
            return Ok(Output { code: 0, stdout, truncated });
        }
        if truncated {
            return Err(GitError::Other(format!("git {} said too much", self.verb)));
        }
        match status.code() {
            Some(code) if self.codes.contains(&code) => Ok(Output { code, stdout, truncated }),
            _ => Err(self.failure(status, &stdout, &stderr)),
        }
    }

    fn failure(&self, status: std::process::ExitStatus, stdout: &[u8], stderr: &[u8]) -> GitError {
        let mut text = String::from_utf8_lossy(stderr).into_owned();
        // A push tells what became of each branch on standard output.
        if self.verb == "push" {
            text = format!("{}\n{text}", String::from_utf8_lossy(stdout));
        }
        if status.code().is_none() {
            text = format!("ended by {status}\n{text}");
        }
        let secrets = self.remote.map(Remote::secrets).unwrap_or_default();
        let secrets = secrets.iter().map(String::as_str).collect::<Vec<_>>();
        classify(self.verb, &redact(&text, &secrets))
    }

    fn command(&self) -> Command {
        let settings = self.git.settings();
        let mut command = match self.fence {
            None => Command::new(&settings.program),
            Some(fence) => {
                let mut shell = Command::new("/bin/sh");
                let blocks = fence.file_bytes / 512 + 1;
                shell.args(["-c", FENCE, "sh"]);
                shell.args([fence.memory_bytes / 1024, fence.cpu.as_secs(), blocks].map(|n| n.to_string()));
                shell.arg(&settings.program);
                shell
            }
        };
        command.arg(self.verb).args(&self.args);
        command.env_clear().envs(settings.env.iter().map(|(k, v)| (k, v)));
        command.envs([
            ("LC_ALL", "C"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_ADVICE", "0"),
        ]);
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        let header = self.remote.and_then(Remote::header);
        let pairs = CONFIG.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let pairs = pairs.chain(self.config.iter().map(|(k, v)| ((*k).to_owned(), v.clone()))).chain(header);
        let mut count = 0;
        for (key, value) in pairs {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The current directory says nothing to git; `/` is never in the way of an unmount or a removal.
        command.current_dir("/").process_group(0).kill_on_drop(true);
        command
    }
}

/// The process group of a child. git starts helpers; ending only git would leave them writing.
struct Group(Option<u32>);

impl Group {
    fn kill(&self) {
        if let Some(id) = self.0 {
            // Gone already is fine.
            let _ = killpg(Pid::from_raw(id as i32), Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn feed(child: &mut Child, bytes: Option<Vec<u8>>) -> impl Future<Output = ()> + use<> {
    let stdin = child.stdin.take();
    async move {
        if let (Some(mut stdin), Some(bytes)) = (stdin, bytes) {
            // A process that ends early does not want the rest; its exit code tells more than this error.
            let _ = stdin.write_all(&bytes).await;
        }
    }
}

/// At most `max` bytes; when there are more, the process is ended.
async fn read_out(from: Option<impl AsyncRead + Unpin>, max: usize, group: &Group) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let Some(from) = from else { return (out, false) };
    // An unreadable pipe is an ended process, and that is told by its exit code.
    let _ = from.take(max as u64 + 1).read_to_end(&mut out).await;
    let truncated = out.len() > max;
    if truncated {
        group.kill();
        out.truncate(max);
    }
    (out, truncated)
}

/// The last of what was written. Everything is read, or the process would wait for us.
async fn read_tail(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    const KEEP: usize = 32 << 10;
    let (mut out, mut chunk) = (Vec::new(), vec![0; 8 << 10]);
    let Some(mut from) = from else { return out };
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        out.extend_from_slice(&chunk[..n]);
        if out.len() > 2 * KEEP {
            out.drain(..out.len() - KEEP);
        }
    }
    out
}

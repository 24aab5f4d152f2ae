//! Bare repositories on disk: the simulator's database for code. Branches, commits and diffs are asked of git, never
//! kept twice, so no answer can disagree with what a clone would show.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use super::look::Commit;

/// No object.
pub(crate) const ZERO: &str = "0000000000000000000000000000000000000000";

/// A bare repository.
#[derive(Clone, Debug)]
pub(crate) struct Bare {
    pub path: PathBuf,
}

impl Bare {
    /// Makes an empty one, with the hook that answers pushes as github.com does.
    pub fn create(path: PathBuf, default_branch: &str) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let made = git_command(&path)
            .args(["init", "--quiet", "--bare", "--template=", "--initial-branch", default_branch])
            .arg(".")
            .current_dir(&path)
            .env_remove("GIT_DIR")
            .output()
            .expect("git is installed");
        assert!(made.status.success(), "git init: {}", String::from_utf8_lossy(&made.stderr));
        let mut config = std::fs::OpenOptions::new().append(true).open(path.join("config")).unwrap();
        // GitHub shows refs/pull/N/head to everybody who may fetch, and lets nobody push there.
        let settings = "[receive]\n\tprocReceiveRefs = refs/\n\thideRefs = refs/pull/\n[http]\n\treceivepack = true\n\
                        [uploadpack]\n\tallowFilter = true\n\tallowAnySHA1InWant = true\n[gc]\n\tauto = 0\n";
        config.write_all(settings.as_bytes()).unwrap();
        let hook = path.join("hooks/proc-receive");
        std::fs::create_dir_all(path.join("hooks")).unwrap();
        std::fs::write(&hook, include_str!("proc-receive.sh")).unwrap();
        let mut mode = std::fs::metadata(&hook).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(&hook, mode).unwrap();
        Self { path }
    }

    /// Adds a commit with these files to a branch, which is made if it does not exist.
    pub fn commit(&self, branch: &str, author: (&str, &str), message: &str, files: &[(&str, &str)], at: u64) -> String {
        self.commit_with(branch, author, message, files, "", at)
    }

    /// As `commit`, with commands for git fast-import before the files, such as `R old new` and `D gone`.
    pub fn commit_with(
        &self,
        branch: &str,
        author: (&str, &str),
        message: &str,
        files: &[(&str, &str)],
        commands: &str,
        at: u64,
    ) -> String {
        let mut stream = Vec::new();
        let (name, email) = author;
        let parent = self.resolve(&format!("refs/heads/{branch}"));
        write!(stream, "commit refs/heads/{branch}\ncommitter {name} <{email}> {at} +0000\n").unwrap();
        write!(stream, "data {}\n{message}\n", message.len()).unwrap();
        if let Some(parent) = parent {
            writeln!(stream, "from {parent}").unwrap();
        }
        stream.extend_from_slice(commands.as_bytes());
        for (path, content) in files {
            let mode = if content.starts_with("#!") { "100755" } else { "100644" };
            write!(stream, "M {mode} inline {path}\ndata {}\n{content}\n", content.len()).unwrap();
        }
        let mut child = git_command(&self.path)
            .args(["fast-import", "--quiet", "--force"])
            .stdin(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("git is installed");
        child.stdin.take().unwrap().write_all(&stream).unwrap();
        assert!(child.wait().unwrap().success(), "git fast-import took the commit");
        self.resolve(&format!("refs/heads/{branch}")).expect("the commit just made")
    }

    /// Writes a commit as its bytes are; its id.
    pub fn write_commit(&self, raw: &str) -> String {
        let mut child = git_command(&self.path)
            .args(["hash-object", "-t", "commit", "-w", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git is installed");
        child.stdin.take().unwrap().write_all(raw.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "git took the commit");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Branch name to head commit.
    pub fn branches(&self) -> BTreeMap<String, String> {
        let list = self.ask(&["for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"]);
        let lines = list.as_deref().unwrap_or_default().lines();
        lines.filter_map(|it| it.split_once(' ')).map(|(name, sha)| (name.to_owned(), sha.to_owned())).collect()
    }

    /// Every ref under a prefix such as `refs/heads/x`.
    pub fn refs(&self, prefix: &str) -> BTreeMap<String, String> {
        let list = self.ask(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let lines = list.as_deref().unwrap_or_default().lines();
        lines
            .filter_map(|it| it.split_once(' '))
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, sha)| (name.to_owned(), sha.to_owned()))
            .collect()
    }

    /// The commit that a ref, branch, tag or (full or short) SHA means.
    pub fn resolve(&self, name: &str) -> Option<String> {
        if name.is_empty() || name.starts_with('-') {
            return None;
        }
        let sha = self.ask(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])?;
        Some(sha.trim().to_owned())
    }

    pub fn branch(&self, name: &str) -> Option<String> {
        self.resolve(&format!("refs/heads/{name}"))
    }

    /// Creates, moves or (with `None`) deletes a ref.
    pub fn set(&self, name: &str, sha: Option<&str>) -> bool {
        match sha {
            Some(sha) => self.ask(&["update-ref", name, sha]).is_some(),
            None => self.ask(&["update-ref", "-d", name]).is_some(),
        }
    }

    /// Brings a ref of another repository here, with what it needs.
    pub fn take(&self, from: &Self, source: &str, target: &str) -> bool {
        let path = from.path.to_string_lossy();
        self.ask(&["fetch", "--quiet", "--no-tags", &path, &format!("+{source}:{target}")]).is_some()
    }

    pub fn is_ancestor(&self, older: &str, newer: &str) -> bool {
        self.ask(&["merge-base", "--is-ancestor", older, newer]).is_some()
    }

    /// Commits in `head` that are not in `base`, oldest first.
    pub fn commits(&self, base: &str, head: &str) -> Vec<Commit> {
        let format = "--format=%H%x1f%an%x1f%ae%x1f%T%x1f%P%x1f%aI%x1f%B%x1e";
        let range = if base.is_empty() { head.to_owned() } else { format!("{base}..{head}") };
        let log = self.ask(&["log", "--reverse", format, &range]).unwrap_or_default();
        log.split('\u{1e}').filter_map(|it| Commit::parse(it.trim_start_matches('\n'))).collect()
    }

    /// One commit.
    pub fn commit_at(&self, name: &str) -> Option<Commit> {
        let sha = self.resolve(name)?;
        let format = "--format=%H%x1f%an%x1f%ae%x1f%T%x1f%P%x1f%aI%x1f%B%x1e";
        let log = self.ask(&["log", "-1", format, &sha])?;
        Commit::parse(log.split('\u{1e}').next()?)
    }

    /// A unified diff from where `head` left `base`.
    pub fn diff(&self, base: &str, head: &str, context: usize) -> String {
        let unified = format!("--unified={context}");
        let range = format!("{base}...{head}");
        self.ask(&["diff", "--no-color", "--find-renames", &unified, &range]).unwrap_or_default()
    }

    /// What differs between two commits, without context.
    pub fn direct_diff(&self, from: &str, to: &str) -> String {
        self.ask(&["diff", "--no-color", "--find-renames", "--unified=0", from, to]).unwrap_or_default()
    }

    /// The commit from which two others went apart.
    pub fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        Some(self.ask(&["merge-base", one, other])?.trim().to_owned())
    }

    /// Added and deleted lines per file; `None` for binary files.
    pub fn stat(&self, base: &str, head: &str) -> Vec<(Option<(u64, u64)>, String)> {
        let list = self.ask(&["diff", "--numstat", "--no-renames", &format!("{base}...{head}")]).unwrap_or_default();
        let parse = |line: &str| {
            let mut parts = line.splitn(3, '\t');
            let (added, deleted) = (parts.next()?.parse().ok(), parts.next()?.parse().ok());
            Some((added.zip(deleted), parts.next()?.to_owned()))
        };
        list.lines().filter_map(parse).collect()
    }

    /// A file's bytes at a revision.
    pub fn file(&self, revision: &str, path: &str) -> Option<Vec<u8>> {
        let sha = self.resolve(revision)?;
        let out = self.run(&["cat-file", "blob", &format!("{sha}:{path}")]);
        out.status.success().then_some(out.stdout)
    }

    /// Type, id and name of what stands in a directory.
    pub fn list(&self, revision: &str, path: &str) -> Option<Vec<(String, String, String)>> {
        let sha = self.resolve(revision)?;
        let list = self.ask(&["ls-tree", &format!("{sha}:{path}")])?;
        let parse = |line: &str| {
            let (meta, name) = line.split_once('\t')?;
            let mut meta = meta.split(' ').skip(1);
            Some((meta.next()?.to_owned(), meta.next()?.to_owned(), name.to_owned()))
        };
        Some(list.lines().filter_map(parse).collect())
    }

    /// The object id behind `revision:path`.
    pub fn object(&self, revision: &str, path: &str) -> Option<String> {
        let sha = self.resolve(revision)?;
        Some(self.ask(&["rev-parse", "--verify", "--quiet", &format!("{sha}:{path}")])?.trim().to_owned())
    }

    /// Merges `head` into the branch `base` and moves it; `None` if they conflict.
    pub fn merge(&self, base: &str, head: &str, message: &str, at: u64) -> Option<String> {
        let (ours, theirs) = (self.branch(base)?, self.resolve(head)?);
        let tree = self.ask(&["merge-tree", "--write-tree", &ours, &theirs])?;
        let date = format!("{at} +0000");
        let made = git_command(&self.path)
            .args(["commit-tree", tree.trim(), "-p", &ours, "-p", &theirs, "-m", message])
            .envs([("GIT_AUTHOR_NAME", "GitHub"), ("GIT_AUTHOR_EMAIL", "noreply@github.com")])
            .envs([("GIT_COMMITTER_NAME", "GitHub"), ("GIT_COMMITTER_EMAIL", "noreply@github.com")])
            .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
            .output()
            .unwrap();
        let sha = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        self.set(&format!("refs/heads/{base}"), Some(&sha)).then_some(sha)
    }

    fn ask(&self, args: &[&str]) -> Option<String> {
        let out = self.run(args);
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    }

    fn run(&self, args: &[&str]) -> Output {
        git_command(&self.path).args(args).output().expect("git is installed")
    }
}

/// Where git is. With a path, the standard library can start it by `posix_spawn`; a name that is looked for in another
/// environment makes it fork, which copies the tables of all this process's memory each time.
pub(crate) static GIT: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join("git")).find(|file| file.is_file()).unwrap_or("git".into())
});

/// `git` on a repository, blind to the configuration of whoever runs the tests.
fn git_command(path: &Path) -> Command {
    let mut git = Command::new(&*GIT);
    clean(&mut git);
    git.arg("-c").arg("core.quotePath=false").env("GIT_DIR", path);
    git
}

fn clean(git: &mut Command) {
    git.env_clear().envs(clean_environment());
}

/// The whole environment of every git process here.
pub(crate) fn clean_environment() -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
    [("PATH", path.as_str()), ("HOME", "/nonexistent"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("LC_ALL", "C.UTF-8")]
        .into_iter()
        .chain([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0")])
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

//! A bare mirror per repository: fetched by need, shared by all runs, never written by a sandbox.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::lock::Held;
use super::names::pull_ref;
use super::run::Input;
use super::{Branch, Git, GitError, Remote, Sha, Want, layout};

/// The mirror of one repository. It only grows: no object is ever dropped, so runs can share its objects without a lock.
#[derive(Clone)]
pub struct Mirror {
    pub(super) git: Git,
    id: u64,
    dir: PathBuf,
}

/// With more packs than this every look-up gets slow, and [`Mirror::maintain`] has something to do.
const MANY_PACKS: usize = 30;

/// Faults that old repositories are full of and that harm nobody; everything else stops a checked fetch.
const OLD_FAULTS: [&str; 6] = [
    "fetch.fsck.zeroPaddedFilemode",
    "fetch.fsck.badTimezone",
    "fetch.fsck.badDateOverflow",
    "fetch.fsck.missingSpaceBeforeDate",
    "fetch.fsck.missingSpaceBeforeEmail",
    "fetch.fsck.multipleAuthors",
];

impl Mirror {
    /// The mirror of the repository with this id, made when there is none yet. A renamed repository keeps its mirror.
    pub async fn open(git: &Git, repository_id: u64) -> Result<Self, GitError> {
        let mirror =
            Self { git: git.clone(), id: repository_id, dir: git.mirrors().join(format!("{repository_id}.git")) };
        if !layout::is_bare(&mirror.dir) {
            mirror.replace(mirror.generation()).await?;
        }
        Ok(mirror)
    }

    /// Its object directory, to be shown to a sandbox read-only.
    pub fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether this commit is here. Packs arrive whole, so its files are here as well.
    pub async fn has(&self, sha: &Sha) -> Result<bool, GitError> {
        Ok(self.missing(std::slice::from_ref(sha)).await?.is_empty())
    }

    /// Get what is wanted, and say which commits that is. The network is used only for what can't be known without it:
    /// where branches are (one request), and commits that are not here yet.
    pub async fn fetch(&self, remote: &Remote, wanted: &[Want]) -> Result<Vec<Sha>, GitError> {
        let commits = self.resolve(remote, wanted).await?;
        if self.missing(&commits).await?.is_empty() {
            return Ok(commits);
        }
        let held = self.lock().await?;
        // Another task may have fetched it while this one waited.
        let missing = self.missing(&commits).await?;
        if missing.is_empty() {
            return Ok(commits);
        }
        let pairs = || wanted.iter().zip(&commits).filter(|(_, sha)| missing.contains(sha));
        // Commits are fetched by id: what was resolved is what comes, even when the branch moves meanwhile.
        let specs = pairs().map(|(want, sha)| format!("+{sha}:{}", kept_as(want))).collect();
        match self.fetch_specs(&held, remote, specs).await {
            Ok(()) => return Ok(commits),
            Err(GitError::NotFound(_)) if pairs().any(|(want, _)| matches!(want, Want::PullAt(..))) => {}
            Err(error) => return Err(error),
        }
        let by_name = |(want, sha): (&Want, &Sha)| match want {
            Want::PullAt(number, _) => format!("+{}:refs/pull/{number}", pull_ref(*number)),
            _ => format!("+{sha}:{}", kept_as(want)),
        };
        self.fetch_specs(&held, remote, pairs().map(by_name).collect()).await?;
        match self.missing(&commits).await?.first() {
            Some(gone) => Err(GitError::NotFound(format!("{gone} is in no pull request any more"))),
            None => Ok(commits),
        }
    }

    async fn fetch_specs(&self, held: &Held, remote: &Remote, mut specs: Vec<String>) -> Result<(), GitError> {
        specs.sort();
        specs.dedup();
        let mut call = self.git.call("fetch").repo(&self.dir).args([
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
            "--end-of-options",
            remote.url(),
        ]);
        if self.git.settings().fsck {
            call = call.config("fetch.fsckObjects", "true");
            for fault in OLD_FAULTS {
                call = call.config(fault, "ignore");
            }
        }
        let call =
            call.args(specs).remote(remote, self.git.settings().timeouts.fetch).input(Input::File(held.share()?));
        held.mark(true)?;
        call.run().await?;
        held.mark(false)
    }

    /// A working tree at exactly `sha`, on `branch`, whose history is the mirror's: no copy and no hard link of it.
    ///
    /// `objects_inside` is where the sandbox sees [`Mirror::objects`]; on the host the tree is no usable repository, and
    /// nothing on the host should use it as one.
    pub async fn clone_shared(
        &self,
        sha: &Sha,
        branch: &Branch,
        dest: &Path,
        objects_inside: &Path,
    ) -> Result<(), GitError> {
        self.weigh(sha).await?;
        layout::working_tree(dest, branch, sha).map_err(|e| GitError::io("make the working tree", &e))?;
        let git_dir = dest.join(".git");
        let filled = async {
            let call = self.git.call("read-tree").args([
                "--reset",
                "-u",
                "--no-recurse-submodules",
                "--end-of-options",
                sha.as_str(),
            ]);
            let call =
                call.repo(&git_dir).env("GIT_WORK_TREE", dest).env("GIT_ALTERNATE_OBJECT_DIRECTORIES", self.objects());
            // It lives as long as a run: a power cut may have it.
            let call = call.config("core.fsync", "none");
            call.timeout(self.git.settings().timeouts.fetch).run().await?;
            layout::borrow_objects(&git_dir, objects_inside)
        };
        let filled = filled.await;
        if filled.is_err() {
            // What is half there must not be taken for a tree; the reason is told either way.
            let _ = tokio::fs::remove_dir_all(dest).await;
        }
        filled
    }

    /// Whether every object that is here is whole and nothing that it needs is missing. Slow for large repositories.
    pub async fn is_sound(&self) -> Result<bool, GitError> {
        if !layout::is_bare(&self.dir) {
            return Ok(false);
        }
        let call = self.git.call("fsck").args(["--full", "--no-dangling", "--no-progress"]).repo(&self.dir);
        // Exit code 1 is what git only finds ugly (mode bits, dates); missing or broken objects add other bits.
        match call.timeout(self.git.settings().timeouts.fetch).codes(&[0, 1]).run().await {
            Ok(_) => Ok(true),
            Err(GitError::Damaged(_) | GitError::Other(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Begin anew with an empty mirror, unless somebody did so since `seen` was taken with [`Mirror::generation`]. The old one
    /// is set aside and not removed, for runs that still read its objects, until the next replacement or
    /// [`Mirror::maintain`].
    pub async fn replace(&self, seen: Option<u64>) -> Result<(), GitError> {
        let mirrors = self.git.mirrors();
        tokio::fs::create_dir_all(&mirrors).await.map_err(|e| GitError::io("make the directory of mirrors", &e))?;
        let held = self.lock().await?;
        if self.generation() != seen && layout::is_bare(&self.dir) {
            return Ok(());
        }
        let (dir, aside, new) = (self.dir.clone(), self.beside("damaged"), self.beside("new"));
        let swap = move || {
            for left in [&aside, &new] {
                if left.exists() {
                    fs::remove_dir_all(left)?;
                }
            }
            layout::bare(&new)?;
            if dir.exists() {
                fs::rename(&dir, &aside)?;
            }
            fs::rename(&new, &dir)
        };
        let swapped = tokio::task::spawn_blocking(swap).await.map_err(std::io::Error::other).flatten();
        swapped.map_err(|e| GitError::io("make the mirror", &e))?;
        held.mark(false)
    }

    /// Which mirror this is: another number after a replacement, none when there is no mirror.
    pub fn generation(&self) -> Option<u64> {
        fs::metadata(self.objects()).ok().map(|meta| meta.ino())
    }

    /// Join packs when there are many, and let go of a mirror that was set aside. For quiet hours; safe at any time,
    /// except that runs which began before a replacement may lose what they read.
    pub async fn maintain(&self) -> Result<(), GitError> {
        let held = self.lock().await?;
        let aside = self.beside("damaged");
        if aside.exists() {
            tokio::fs::remove_dir_all(aside).await.map_err(|e| GitError::io("remove the old mirror", &e))?;
        }
        if packs(&self.objects()) <= MANY_PACKS {
            return Ok(());
        }
        held.mark(true)?;
        let timeout = self.git.settings().timeouts.fetch;
        let call = self.git.call("repack").args(["-d", "--geometric=2", "--no-write-bitmap-index", "--quiet"]);
        call.repo(&self.dir).timeout(timeout).input(Input::File(held.share()?)).run().await?;
        let call = self.git.call("pack-refs").args(["--all", "--prune"]).repo(&self.dir);
        call.timeout(timeout).input(Input::File(held.share()?)).run().await?;
        held.mark(false)
    }

    /// Which commit each want is. Only names have to be asked for.
    async fn resolve(&self, remote: &Remote, wanted: &[Want]) -> Result<Vec<Sha>, GitError> {
        let names = wanted.iter().filter_map(Want::ref_name).collect::<Vec<_>>();
        let mut found = match names.is_empty() {
            true => Vec::new(),
            false => self.git.remote_refs(remote, &names).await?,
        }
        .into_iter()
        .zip(names);
        let one = |want: &Want| match want {
            Want::Sha(sha) | Want::PullAt(_, sha) => Ok(sha.clone()),
            Want::Branch(_) | Want::Pull(_) => match found.next() {
                Some((Some(sha), _)) => Ok(sha),
                Some((None, name)) => Err(GitError::NotFound(format!("there is no {name}"))),
                None => Err(GitError::Other("an answer is missing".to_owned())),
            },
        };
        wanted.iter().map(one).collect()
    }

    /// Those of `commits` that are not here.
    async fn missing(&self, commits: &[Sha]) -> Result<Vec<Sha>, GitError> {
        let call = self.git.call("cat-file").arg("--batch-check=%(objecttype)").repo(&self.dir);
        let out = call.input(Input::lines(commits)).run().await?;
        let text = String::from_utf8_lossy(&out.stdout);
        // A line for each question, in their order.
        let gone = commits.iter().zip(text.lines()).filter(|(_, kind)| *kind != "commit");
        Ok(gone.map(|(sha, _)| sha.clone()).collect())
    }

    async fn lock(&self) -> Result<Held, GitError> {
        let patience = self.git.settings().timeouts.lock;
        Held::take(self.git.turn(self.id), self.beside("lock"), self.dir.clone(), patience).await
    }

    fn beside(&self, what: &str) -> PathBuf {
        self.dir.with_extension(what)
    }
}

/// Where a fetched commit is remembered, as a starting point for the next fetch. The name is one component: on the remote
/// a branch `a` may give way to `a/b`, here both are kept.
fn kept_as(want: &Want) -> String {
    match want {
        Want::Sha(sha) | Want::PullAt(_, sha) => format!("refs/kept/{sha}"),
        Want::Pull(number) => format!("refs/pull/{number}"),
        Want::Branch(branch) => {
            let name = branch.as_str().replace('%', "%25").replace('/', "%2F");
            // A file name holds 255 bytes; of a longer name the end is the part that differs less often.
            let end = (0..=200.min(name.len())).rev().find(|i| name.is_char_boundary(*i)).unwrap_or(0);
            format!("refs/from/{}", name[..end].trim_end_matches(['.', '%']))
        }
    }
}

fn packs(objects: &Path) -> usize {
    let Ok(entries) = fs::read_dir(objects.join("pack")) else { return 0 };
    entries.flatten().filter(|e| e.path().extension().is_some_and(|x| x == "pack")).count()
}

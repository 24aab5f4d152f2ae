//! The stage for git's stories: a host with one repository, a data directory, and a person at a keyboard.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloud_agent::sandbox::git::*;
use secrecy::SecretString;

use super::server::{Host, TOKEN};

pub struct World {
    pub host: Host,
    pub git: Git,
    pub dir: tempfile::TempDir,
}

impl World {
    /// `o/app` has one commit on `main` with these files.
    pub async fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::start(&dir.path().join("host")).await;
        let git = Git::new(settings(&host, dir.path())).unwrap();
        let world = Self { host, git, dir };
        for name in ["app", "readonly"] {
            sh(
                world.path(),
                &format!(
                    "git init -q --bare -b main host/o/{name}.git && git -C host/o/{name}.git config http.receivepack true"
                ),
            );
        }
        sh(world.path(), "git init -q -b main person");
        for (path, text) in files {
            let path = world.person().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        world.person_pushes("true");
        world
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn person(&self) -> PathBuf {
        self.path().join("person")
    }

    /// A person does something in their clone of main, commits and pushes.
    pub fn person_pushes(&self, script: &str) -> Sha {
        let host = self.path().join("host/o/app.git");
        let script = format!(
            "{script}; git add -A && git commit -qm work && git push -q {} HEAD:main && git rev-parse HEAD",
            host.display()
        );
        sh(&self.person(), &script).trim().parse().unwrap()
    }

    pub fn remote(&self, name: &str, token: &str) -> Remote {
        Remote::new(&self.git, name, Some(SecretString::from(token.to_owned()))).unwrap()
    }

    pub fn app(&self) -> Remote {
        self.remote("o/app", TOKEN)
    }

    /// A working tree of main for an agent, and its commit.
    pub async fn checkout(&self, name: &str) -> (PathBuf, Sha) {
        let dest = self.path().join(name);
        let mirror = self.git.mirror(7).await.unwrap();
        let (remote, branch, objects) = (self.app(), "cloud-agent/work".parse().unwrap(), mirror.objects());
        let order = Checkout {
            repository_id: 7,
            remote: &remote,
            wanted: vec![main_branch()],
            branch: &branch,
            dest: &dest,
            objects_inside: &objects,
        };
        let sha = self.git.checkout(&order).await.unwrap();
        (dest, sha)
    }

    /// What an agent did there, packed as in a sandbox: the last word, and the directory with the bundle.
    pub fn pack(&self, workspace: &Path, base: &Sha, agent: &str) -> (String, i32, PathBuf) {
        sh(workspace, agent);
        let out = workspace.with_extension("out");
        let script = self.path().join("pack.sh");
        std::fs::write(&script, PACK_SCRIPT).unwrap();
        let done = Command::new("/bin/sh")
            .arg(script)
            .env("WORKSPACE", workspace)
            .env("OUT", &out)
            .env("BASE", base.as_str())
            .env("MESSAGE", "What was left")
            // An agent's shell may leave anything behind.
            .env("GIT_DIR", "/nowhere")
            .output()
            .unwrap();
        let word = String::from_utf8(done.stdout).unwrap();
        (word.lines().last().unwrap_or_default().to_owned(), done.status.code().unwrap(), out)
    }

    /// Everything up to the inspection.
    pub async fn inspect(&self, name: &str, agent: &str) -> (Workbench, Inspection) {
        let (workspace, base) = self.checkout(name).await;
        let (word, _, out) = self.pack(&workspace, &base, agent);
        assert_eq!(word, "packed");
        self.take(name, &out.join("work.bundle"), &base).await.unwrap()
    }

    pub async fn take(&self, name: &str, bundle: &Path, base: &Sha) -> Result<(Workbench, Inspection), GitError> {
        let mirror = self.git.mirror(7).await?;
        let bench = Workbench::make(&mirror, &self.path().join(format!("{name}.inspect.git"))).await?;
        let head = bench.take(bundle, &Caps::default()).await?;
        let seen = bench.look(base, &head, &Caps::default()).await?;
        Ok((bench, seen))
    }
}

pub fn settings(host: &Host, dir: &Path) -> Settings {
    Settings {
        program: "git".into(),
        env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
        base: host.url.parse().unwrap(),
        data_dir: dir.join("data"),
        identity: Identity {
            name: "cloud-agent[bot]".into(),
            email: "1+cloud-agent[bot]@users.noreply.github.com".into(),
        },
        fsck: true,
        timeouts: Timeouts::default(),
    }
}

pub fn main_branch() -> Want {
    Want::Branch("main".parse().unwrap())
}

pub const ALICE: fn() -> Identity =
    || Identity { name: "Alice".into(), email: "2+alice@users.noreply.github.com".into() };

pub fn plan(alice: &Identity) -> Plan<'_> {
    Plan {
        co_author: Some(alice),
        title: "Do the work",
        body: "All of it.",
        at: 1_700_000_000,
        leave_out: &[],
        squash: false,
    }
}

/// Run a script as a person with an identity; its output.
pub fn sh(dir: &Path, script: &str) -> String {
    let mut command = Command::new("/bin/sh");
    command.args(["-ec", script]).current_dir(dir).env_clear().env("PATH", std::env::var("PATH").unwrap());
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Somebody").env(format!("GIT_{who}_EMAIL"), "some@body");
    }
    // What a test makes need not outlast a power cut.
    command.envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "core.fsync"), ("GIT_CONFIG_VALUE_0", "none")]);
    let out = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(out.status.success(), "{script}\n{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

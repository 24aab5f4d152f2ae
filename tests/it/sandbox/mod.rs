//! The local sandbox, for real: what a process in it may do, and what becomes of it. Needs bubblewrap.
//!
//! Root and an ordinary user get different cages. To see both:
//! `cargo test --test it sandbox`, then the same binary with `setpriv --reuid 65534 --regid 65534 --clear-groups`.

#![expect(clippy::unwrap_used, reason = "a test that can't set up its scene has failed")]

mod cage;
mod calls;
mod closed;
mod life;
mod limits;
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud_agent::sandbox::local::Local;
use cloud_agent::sandbox::{
    Channel, Cursor, Door, Exec, ExecEvent, ExecId, Exit, Grade, Limit, Limits, Provider as _, Sandbox, SandboxError,
    SandboxRef, Signal, Spec,
};
use futures::StreamExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::needs;

struct Scene {
    dir: TempDir,
    local: Local,
    spec: Spec,
}

/// A sandbox, how to find it, and what holds it.
struct Cage {
    sandbox: Arc<dyn Sandbox>,
    reference: SandboxRef,
}

impl Scene {
    fn new() -> Scene {
        Scene::in_dir(TempDir::new().unwrap())
    }

    fn in_dir(dir: TempDir) -> Scene {
        let workspace = dir.path().join("workspace");
        fs::create_dir(&workspace).unwrap();
        let local = Local::new(&dir.path().join("sandboxes"), "test".to_owned()).unwrap();
        let limits =
            Limits { lifetime: Duration::from_mins(1), memory_bytes: 512 << 20, processes: 64, disk_bytes: 256 << 20 };
        let labels = BTreeMap::from([("app".to_owned(), "cloud-agent".to_owned())]);
        let (objects, read_only, doors) = (Vec::new(), Vec::new(), Vec::new());
        let spec = Spec { labels, limits, workspace, objects, read_only, doors, git_identity: None };
        Scene { dir, local, spec }
    }

    async fn cage(&self) -> Cage {
        let reference = self.local.create(&self.spec, "key").await.unwrap();
        let sandbox = self.local.open(&reference).await.unwrap();
        Cage { sandbox, reference }
    }

    /// The sandbox's directory.
    fn inside(&self, cage: &Cage, path: &str) -> PathBuf {
        self.dir.path().join("sandboxes").join(&cage.reference.native_id).join(path)
    }
}

fn bash(script: &str) -> Exec {
    Exec { argv: ["/bin/bash", "-c", &naps(script)].map(str::to_owned).to_vec(), ..Exec::default() }
}

/// `sleep NAP1` is a sleep that can be told from those of another test, or of these tests run twice at once.
fn naps(text: &str) -> String {
    let run = std::env::var("SANDBOX_TEST_RUN").unwrap_or_else(|_| std::process::id().to_string());
    text.replace("NAP", &format!("{run}.000"))
}

impl Cage {
    async fn start(&self, script: &str) -> ExecId {
        self.sandbox.spawn(bash(script)).await.unwrap()
    }

    /// Run a script; its output, standard error included, and its end.
    async fn run(&self, script: &str) -> (String, Exit) {
        self.exec(bash(script)).await
    }

    async fn exec(&self, exec: Exec) -> (String, Exit) {
        let id = self.sandbox.spawn(exec).await.unwrap();
        self.rest(&id, 0).await
    }

    /// What a process said from a cursor on, to its end.
    async fn rest(&self, id: &ExecId, from: u64) -> (String, Exit) {
        let mut said = Vec::new();
        let mut events = self.sandbox.attach(id, Cursor(from)).await.unwrap();
        while let Some(event) = events.next().await {
            match event {
                ExecEvent::Out { bytes, .. } => said.extend_from_slice(&bytes),
                ExecEvent::Gap { .. } => {}
                ExecEvent::Exit(exit) => {
                    assert!(events.next().await.is_none(), "the exit is last");
                    return (String::from_utf8_lossy(&said).into_owned(), exit);
                }
            }
        }
        panic!("the stream ended without an exit")
    }

    /// Wait until a process has said this.
    async fn hear(&self, id: &ExecId, word: &str) {
        let mut said = String::new();
        let mut events = self.sandbox.attach(id, Cursor(0)).await.unwrap();
        while let Some(event) = events.next().await {
            match event {
                ExecEvent::Out { bytes, .. } => said.push_str(&String::from_utf8_lossy(&bytes)),
                other => panic!("{other:?} before {word}; it said {said}"),
            }
            if said.contains(word) {
                return;
            }
        }
    }
}

const OK: Exit = Exit { code: Some(0), signal: None, limit: None };

/// Processes of this machine whose command line has this word.
fn processes_with(word: &str) -> usize {
    let word = naps(word);
    let has = |pid: &str| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&word))
    };
    let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.bytes().all(|b| b.is_ascii_digit()) && has(name)).count()
}

async fn none_left(word: &str) {
    for _ in 0..100 {
        if processes_with(word) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} processes with {word} are left", processes_with(word));
}

fn echo(port: u16) -> Door {
    let serve = |mut stream: tokio::net::TcpStream| {
        tokio::spawn(async move {
            let mut buffer = [0; 1024];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                stream.write_all(&buffer[..n]).await.unwrap();
            }
        });
    };
    Door { port, serve: Arc::new(serve) }
}

impl Cage {
    /// Whether the output of a process can still be had.
    async fn rest_kept(&self, id: &ExecId) -> Result<(), ()> {
        self.sandbox.attach(id, Cursor(0)).await.map(drop).map_err(drop)
    }
}

//! A process that somebody else kills: whoever stands between it and its world.

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use cloud_agent::clock::Millis;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, Row as _};

use super::{Bot, World};

/// The process of a world, whichever it is at the time.
#[derive(Clone, Default)]
pub struct Victim(Arc<AtomicI32>);

impl Victim {
    /// `kill -9`. Nothing it does after this has an effect.
    pub fn kill(&self) {
        let id = self.0.load(Ordering::SeqCst);
        assert!(id > 0, "there is a process");
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    }

    pub(super) fn is(&self, child: &Child) {
        self.0.store(i32::try_from(child.id()).unwrap(), Ordering::SeqCst);
    }
}

impl World {
    /// For whoever will kill the process.
    pub fn victim(&self) -> Victim {
        self.victim.clone()
    }

    /// Start the bot as a process of its own, which may die at any moment. Whether it came as far as to answer.
    pub async fn start_doomed(&mut self) -> bool {
        self.launch();
        while !self.answers().await {
            if self.has_died() {
                return false;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        true
    }

    /// As if so much time had passed that nobody has a claim any more.
    pub async fn claims_lapse(&self) {
        let mut connection = self.connection().await;
        for lapse in ["update job set lease_until = 0", "update sweep set owned_until = 0"] {
            sqlx::query(lapse).execute(&mut connection).await.unwrap();
        }
    }

    /// Wait until the bot has compared GitHub's list of deliveries with its own, after this moment.
    pub async fn has_swept_since(&self, moment: Millis) {
        let app_id = i64::try_from(self.github.app_id()).unwrap();
        let is_swept = async || self.store.swept_until(app_id).await.is_ok_and(|it| it >= moment);
        self.wait_for("what was missed to be found", is_swept).await;
    }

    /// Every write to GitHub that was ever intended, and how it stands.
    pub async fn effects(&self) -> Vec<(String, String)> {
        let mut connection = self.connection().await;
        let rows = sqlx::query("select key, state from effect order by key").fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn connection(&self) -> sqlx::AnyConnection {
        sqlx::AnyConnection::connect(&self.database.url(self.dir.path())).await.unwrap()
    }

    /// Whether anything of a run is left on this machine: its directory, its sandbox, its processes. Not the halves of
    /// sandboxes that were just being made or removed: those go when nobody can be at it any more.
    pub fn left_overs(&self) -> Vec<String> {
        let mut left: Vec<String> = Vec::new();
        for name in ["runs", "sandboxes"] {
            let entries = std::fs::read_dir(self.data_dir().join(name)).into_iter().flatten().flatten();
            let names = entries.map(|it| it.file_name().display().to_string());
            left.extend(names.filter(|it| !it.starts_with('.')).map(|it| format!("{name}/{it}")));
        }
        if self.something_runs() {
            left.push("a process".to_owned());
        }
        left
    }

    /// Whether the process is gone.
    pub fn has_died(&mut self) -> bool {
        let Bot::There(child) = &mut self.bot else { return true };
        child.try_wait().unwrap().is_some()
    }
}

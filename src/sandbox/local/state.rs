//! What is noted about a sandbox on disk, so that another process can find it, and end it, after ours was killed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::limits::Group;
use super::proc::{Mark, kill_tree, tree};

const FILE: &str = "sandbox.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    pub key: String,
    pub labels: BTreeMap<String, String>,
    /// Bubblewraps and the first processes in their namespaces.
    pub processes: Vec<Mark>,
    pub cgroups: Vec<PathBuf>,
}

impl State {
    /// None when there is no sandbox there.
    pub fn load(dir: &Path) -> Option<State> {
        serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()
    }

    /// Replace what is noted, as a whole.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        let new = dir.join("sandbox.json.new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)?;
        fs::rename(new, dir.join(FILE))
    }

    pub fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(name) == Some(value))
    }

    /// End whatever is left of it. Blocks until nothing is, or until that is hopeless.
    pub fn end(&self) {
        let group = Group::left_over(self.cgroups.clone());
        for _ in 0..200 {
            kill_tree(&self.processes);
            group.kill();
            if tree(&self.processes).is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        group.end();
    }
}

//! More machines than one: workers beside the server, and one that takes over with nothing but a backup.

use std::process::{Child, Command};

use cloud_agent::store::Store;

use super::World;

/// A process that ends with its handle.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    /// A worker beside the server, for as long as the value lives.
    pub fn start_worker(&self) -> impl Drop + use<> {
        Worker(self.worker().spawn().unwrap())
    }

    /// A worker on a machine whose clock is off by so much, such as `-5m`.
    pub fn start_worker_whose_clock_is(&self, off: &str) -> impl Drop + use<> {
        let mut installed = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|it| it.path());
        let library = installed.find_map(|dir| {
            let library = dir.join("faketime/libfaketimeMT.so.1");
            library.exists().then_some(library)
        });
        let library = library.expect("libfaketime is not installed: run script/setup");
        let mut command = self.worker();
        command.env("LD_PRELOAD", library).env("FAKETIME", off).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Worker(command.spawn().unwrap())
    }

    fn worker(&self) -> Command {
        let mut command = self.program("work");
        command.env("DATA_DIR", self.dir.path().join("worker")).stderr(self.log_file());
        command
    }

    /// Put this copy in the place of the SQLite database, with nothing else left of what the bot had.
    pub async fn restore(&mut self, copy: &str) {
        self.store.close().await;
        let file = self.dir.path().join("cloud-agent.db");
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(self.dir.path().join(format!("cloud-agent.db{suffix}")));
        }
        std::fs::remove_dir_all(self.data_dir()).unwrap();
        std::fs::rename(self.dir.path().join(copy), &file).unwrap();
        self.store = Store::connect(&self.database.url(self.dir.path()).into()).await.unwrap();
    }
}

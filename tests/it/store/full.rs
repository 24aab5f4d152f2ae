//! A disk that is full: nothing is acknowledged that is not stored, and when there is room again it goes on by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cloud_agent::store::{Decided, DeliveryState, NewDelivery, Queue, Store};

use super::{LEASE, delivery};

/// A small disk of the test's own, for as long as the value lives.
struct Disk(PathBuf);

impl Disk {
    /// None where mounting is not permitted.
    fn of(megabytes: u32, at: &Path) -> Option<Self> {
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(at).output();
        mounted.is_ok_and(|it| it.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open on it lets go soon.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn large(guid: &str) -> NewDelivery {
    NewDelivery { body: vec![7; 50_000].into(), ..delivery(guid) }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_heals_when_there_is_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::of(8, dir.path()) else {
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    let store = Store::connect(&format!("sqlite://{}", disk.0.join("cloud-agent.db").display()).into()).await.unwrap();
    store.migrate().await.unwrap();
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0; 4 << 20]).unwrap();

    let mut stored = Vec::new();
    let refused = loop {
        let guid = format!("{}", stored.len());
        match store.accept(&[large(&guid)]).await {
            Ok(_) => stored.push(guid),
            Err(error) => break format!("{error:#}"),
        }
        assert!(stored.len() < 1000, "the disk never filled");
    };
    assert!(refused.contains("full"), "{refused}");
    // Fill what is left, so that not even a small thing can be written.
    let rest = std::fs::File::create(disk.0.join("rest")).unwrap();
    while std::io::Write::write_all(&mut &rest, &[0; 4096]).is_ok() {}
    // The log may still have a page to use again; what is answered with yes has to be there later, and nothing else.
    if store.accept(&[NewDelivery { ignored: Some("nobody"), ..large("ignored") }]).await.is_ok() {
        stored.push("ignored".to_owned());
    }
    let done = Decided { state: DeliveryState::Done, decision: "did it".to_owned(), task_id: None };
    store.ping().await.unwrap();

    std::fs::remove_file(ballast).unwrap();
    std::fs::remove_file(disk.0.join("rest")).unwrap();
    assert_eq!(store.accept(&[large("after")]).await.unwrap().len(), 1, "there is room again");
    for guid in &stored {
        assert!(store.accept(&[large(guid)]).await.unwrap().is_empty(), "{guid} was acknowledged");
    }
    let lease = store.claim(Queue::Delivery, "worker", LEASE, 1, None).await.unwrap().pop().unwrap().lease;
    let decided = tokio::time::timeout(Duration::from_secs(5), store.decided(&lease, &done)).await;
    assert!(decided.unwrap().unwrap(), "the writer of decisions lives");
    store.close().await;
}

//! A copy of the database that is made while it is written to, and the lock that keeps a second server off it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use cloud_agent::store::{self, Queue, Sole, Store};

use super::Scene;
use crate::world::Database;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_whole_though_others_write() {
    let scene = Scene::on(Database::sqlite()).await;
    for n in 0..50 {
        scene.deliver(&format!("before {n}")).await;
    }
    let to = scene.dir.path().join("copy.db");
    let url = scene.url.clone().into();
    let writes = async {
        let mut written = 0;
        loop {
            scene.deliver(&format!("meanwhile {written}")).await;
            written += 1;
            if to.exists() {
                return written;
            }
        }
    };
    let (size, written) = tokio::join!(store::backup(&url, &to, false), writes);
    assert_eq!(size.unwrap(), std::fs::metadata(&to).unwrap().len());
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600, "it is for its owner alone");

    let copy = Store::connect(&format!("sqlite://{}", to.display()).into()).await.unwrap();
    copy.migrate().await.unwrap();
    let open = copy.open_jobs(Queue::Delivery).await.unwrap();
    assert!((50..=50 + written).contains(&open), "{open} of 50 to {}", 50 + written);
    copy.close().await;

    let left: Vec<_> = std::fs::read_dir(scene.dir.path()).unwrap().flatten().map(|it| it.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
    let says = |result: anyhow::Result<u64>| result.unwrap_err().to_string();
    assert!(says(store::backup(&url, &to, false).await).contains("is there already; --force replaces it"));
    store::backup(&url, &to, true).await.unwrap();
    let nowhere = scene.dir.path().join("no/such/place.db");
    assert!(says(store::backup(&url, &nowhere, false).await).contains("copy the database to"));
    let empty = format!("sqlite://{}", scene.dir.path().join("none.db").display()).into();
    assert!(
        says(store::backup(&empty, &scene.dir.path().join("other.db"), false).await)
            .contains("there is no database at")
    );
    assert!(!scene.dir.path().join("none.db").exists(), "a look makes nothing");
    let postgres = "postgres://me@db/x".to_owned().into();
    assert!(says(store::backup(&postgres, &to, true).await).contains("pg_dump --format=custom"));
}

#[tokio::test]
async fn a_file_is_served_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", dir.path().join("cloud-agent.db").display()).into();
    let first = Sole::take(&url, Duration::ZERO).await.unwrap().unwrap();
    let error = Sole::take(&url, Duration::ZERO).await.unwrap_err().to_string();
    assert!(error.contains(&format!("another process ({})", std::process::id())), "{error}");
    assert!(error.contains("cloud-agent.db: SQLite is for one"), "{error}");

    let alias = dir.path().join("alias");
    std::os::unix::fs::symlink(dir.path(), &alias).unwrap();
    std::fs::File::create(dir.path().join("cloud-agent.db")).unwrap();
    let other = format!("sqlite://{}", alias.join("cloud-agent.db").display()).into();
    assert!(Sole::take(&other, Duration::ZERO).await.is_err(), "another name of the same file");
    // The last one may still be about to end.
    let soon = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(first);
    };
    assert!(tokio::join!(Sole::take(&other, Sole::PATIENCE), soon).0.unwrap().is_some());
    let shared = Sole::take(&"postgres://me@db/x".to_owned().into(), Duration::ZERO).await.unwrap();
    assert!(shared.is_none(), "any number shares a PostgreSQL");
}

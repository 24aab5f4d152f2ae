//! Files in a sandbox, and its life from being made to being destroyed.

use super::*;

#[tokio::test]
async fn files_are_put_and_got_but_never_through_a_link() {
    let scene = Scene::new();
    let secret = scene.dir.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let cage = scene.cage().await;
    let path = PathBuf::from;
    let files = [
        (path("/context/a/b/c.md"), Bytes::from("context")),
        (path("/home/agent/.config/x"), "home".into()),
        (path("/workspace/deep/er/y"), "work".into()),
    ];
    cage.sandbox.put(&files).await.unwrap();
    let (said, exit) =
        cage.run("cat /context/a/b/c.md ~/.config/x deep/er/y; rm deep/er/y ~/.config/x; echo more >deep/z").await;
    assert_eq!((said.as_str(), exit), ("contexthomework", OK));
    assert_eq!(cage.sandbox.get(Path::new("/workspace/deep/z"), 5).await.unwrap(), "more\n");
    let large = cage.sandbox.get(Path::new("/workspace/deep/z"), 4).await;
    assert!(matches!(large, Err(SandboxError::TooLarge(_, 4))), "{large:?}");
    let missing = cage.sandbox.get(Path::new("/out/none"), 4).await;
    assert!(matches!(missing, Err(SandboxError::NotFound(_))), "{missing:?}");

    symlink(&secret, scene.inside(&cage, "out/link")).unwrap();
    symlink(scene.dir.path(), scene.inside(&cage, "out/dir")).unwrap();
    cage.run("ln -s /etc /workspace/etc; mkfifo /out/pipe; mkdir /out/directory").await;
    let bad = [
        "/out/link",
        "/out/dir/secret",
        "/workspace/etc/passwd",
        "/out/pipe",
        "/out/directory",
        "/out/../log/1",
        "/out",
        "/etc/passwd",
        "/home/agent/../x",
        "/home/other",
        "out/x",
        "/",
        "/contextual/x",
    ];
    for bad in bad {
        let got = cage.sandbox.get(Path::new(bad), 100).await;
        assert!(matches!(got, Err(SandboxError::Path(_))), "get {bad}: {got:?}");
        let put = cage.sandbox.put(&[(bad.into(), "bad".into())]).await;
        assert!(matches!(put, Err(SandboxError::Path(_))), "put {bad}: {put:?}");
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
}

#[tokio::test]
async fn a_sandbox_is_made_once_found_and_destroyed() {
    let mut scene = Scene::new();
    scene.spec.labels.insert("run".to_owned(), "7".to_owned());
    let cage = scene.cage().await;
    assert_eq!(scene.local.create(&scene.spec, "key").await.unwrap(), cage.reference);
    let label = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    for found in [BTreeMap::new(), label("run", "7"), label("instance", "test")] {
        assert_eq!(scene.local.list(&found).await.unwrap(), std::slice::from_ref(&cage.reference));
    }
    assert_eq!(scene.local.list(&label("run", "8")).await.unwrap(), []);

    // A tree that is hard to remove.
    let id = cage.start("cd; p=$(printf 'ddddd/%.0s' {1..600}); mkdir -p $p; (cd $p && mkdir -p $p && echo deep >x); mkdir closed; touch closed/x; chmod 0 closed; echo ready; sleep NAP7").await;
    cage.hear(&id, "ready").await;
    let dir = scene.inside(&cage, "");
    scene.local.destroy(&cage.reference).await.unwrap();
    assert!(!dir.exists());
    none_left("NAP7").await;
    assert_eq!(cage.rest_kept(&id).await, Err(()));
    assert_eq!(scene.local.list(&BTreeMap::new()).await.unwrap(), []);
    assert_eq!(fs::read_dir(scene.dir.path().join("sandboxes")).unwrap().count(), 0);
    scene.local.destroy(&cage.reference).await.unwrap();
    assert!(scene.local.open(&cage.reference).await.is_err());
    let strange = SandboxRef { provider: "local".to_owned(), native_id: "../x".to_owned() };
    assert!(scene.local.destroy(&strange).await.is_err());
}

#[tokio::test]
async fn what_a_sandbox_has_left_can_be_read_and_nothing_beyond_it() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let made = "cd; mkdir -p a/b; echo one >a/x; echo two >a/b/1; ln -s /etc/passwd a/b/2; mkfifo a/b/3; ln -s /etc a/c; ln -s /etc/passwd y";
    let id = cage.start(&format!("{made}; echo ready; sleep NAP12")).await;
    cage.hear(&id, "ready").await;
    let at = |path: &str| PathBuf::from("/home/agent").join(path);
    let wanted = ["a/x", "a/b", "a/c", "y", "none"].map(at);
    let found = scene.local.salvage(&cage.reference, &wanted, 100).await.unwrap();
    let read: Vec<_> = found.iter().map(|(path, bytes)| (path.clone(), String::from_utf8_lossy(bytes))).collect();
    assert_eq!(read, [(at("a/x"), "one\n".into()), (at("a/b/1"), "two\n".into())]);
    none_left("NAP12").await;
    let short = scene.local.salvage(&cage.reference, &wanted, 5).await.unwrap();
    assert_eq!(short.len(), 1, "no more than there is room for");
    assert!(scene.local.salvage(&cage.reference, &["/etc/passwd".into()], 100).await.is_err());
    assert!(scene.local.salvage(&cage.reference, &[at("../../etc/passwd")], 100).await.is_err());
    assert!(scene.local.open(&cage.reference).await.is_err(), "it has ended");
    scene.local.destroy(&cage.reference).await.unwrap();
}

#[tokio::test]
async fn half_a_sandbox_goes_when_nobody_can_be_at_it_any_more() {
    let scene = Scene::new();
    let root = scene.dir.path().join("sandboxes");
    let [old, young] = [".gone-old", ".new-young"].map(|name| root.join(name));
    for half in [&old, &young] {
        fs::create_dir_all(half.join("workspace")).unwrap();
        fs::write(half.join("workspace/file"), "left").unwrap();
    }
    let then = std::time::SystemTime::now() - Duration::from_mins(11);
    fs::File::open(&old).unwrap().set_modified(then).unwrap();
    scene.cage().await;
    assert!(!old.exists(), "its process is long gone");
    assert!(young.exists(), "somebody may be making it");
}

#[tokio::test]
async fn dropping_everything_ends_everything() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let id = cage.start("setsid sleep NAP8 & echo ready; sleep NAP8").await;
    cage.hear(&id, "ready").await;
    assert!(processes_with("NAP8") > 0);
    let Scene { dir, local, .. } = scene;
    drop((cage, local));
    none_left("NAP8").await;
    let local = Local::new(&dir.path().join("sandboxes"), "test".to_owned()).unwrap();
    for left in local.list(&BTreeMap::new()).await.unwrap() {
        local.destroy(&left).await.unwrap();
    }
}

/// Plays the host in the test below: starts a sandbox and waits to be killed.
#[tokio::test]
#[ignore = "is started by another test"]
async fn host_that_will_be_killed() {
    let Ok(dir) = std::env::var("SANDBOX_TEST_DIR") else { return };
    let dir = PathBuf::from(dir);
    let mut scene = Scene::new();
    scene.local = Local::new(&dir.join("sandboxes"), "killed".to_owned()).unwrap();
    let cage = scene.cage().await;
    let id =
        cage.start("trap '' TERM INT HUP; (setsid nohup sleep NAP9 &) ; sleep NAP9 & echo ready; sleep NAP9").await;
    cage.hear(&id, "ready").await;
    println!("ready {}", scene.dir.path().display());
    tokio::time::sleep(Duration::from_mins(1)).await;
}

#[tokio::test]
async fn a_host_that_is_killed_leaves_no_process_and_what_it_leaves_is_found() {
    let scene = Scene::new();
    let mut host = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::life::host_that_will_be_killed", "--ignored", "--nocapture"])
        .env("SANDBOX_TEST_DIR", scene.dir.path())
        .env("SANDBOX_TEST_RUN", std::process::id().to_string())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let ready =
        lines.map(|line| line.unwrap()).find_map(|line| line.split_once("ready ").map(|(_, path)| path.to_owned()));
    assert!(processes_with("NAP9") > 0);
    host.kill().unwrap();
    host.wait().unwrap();
    none_left("NAP9").await;

    let found = scene.local.list(&BTreeMap::from([("instance".to_owned(), "killed".to_owned())])).await.unwrap();
    assert_eq!(found.len(), 1);
    assert!(scene.local.open(&found[0]).await.is_err(), "it can be seen and destroyed, not used");
    scene.local.destroy(&found[0]).await.unwrap();
    assert_eq!(scene.local.list(&BTreeMap::new()).await.unwrap(), []);
    fs::remove_dir_all(ready.unwrap()).unwrap();
}

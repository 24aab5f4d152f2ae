//! Output, input, signals and ends of a process.

use super::*;

#[tokio::test]
async fn many_can_follow_from_anywhere() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let id = cage.start("for i in 1 2 3 4 5; do echo line $i; sleep 0.05; done; exit 3").await;
    let (a, b) = tokio::join!(cage.rest(&id, 0), cage.rest(&id, 7));
    let all = "line 1\nline 2\nline 3\nline 4\nline 5\n";
    assert_eq!((a.0.as_str(), b.0.as_str()), (all, &all[7..]));
    assert_eq!(a.1, Exit { code: Some(3), signal: None, limit: None });
    // Later, from the middle of a line, from the end, and from beyond it.
    for from in [10, 35, 1000] {
        let (said, exit) = cage.rest(&id, from).await;
        assert_eq!((said.as_str(), exit), (all.get(from as usize..).unwrap_or(""), a.1));
    }
    // Much output, so that the index is used.
    let id = cage.start("seq 500000").await;
    let (all, _) = cage.rest(&id, 0).await;
    assert_eq!(all.len(), 3_388_895);
    for from in [1usize, 262_144, 1_000_001, 3_388_890] {
        assert_eq!(cage.rest(&id, from as u64).await.0, all[from..]);
    }
}

#[tokio::test]
async fn output_beyond_its_measure_is_a_gap() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let id = cage.sandbox.spawn(Exec { max_output: 10, ..bash("echo 123456789abcdef; echo more") }).await.unwrap();
    let events: Vec<_> = cage.sandbox.attach(&id, Cursor(0)).await.unwrap().collect().await;
    let said: Vec<u8> = events
        .iter()
        .flat_map(|e| if let ExecEvent::Out { bytes, .. } = e { bytes.to_vec() } else { vec![] })
        .collect();
    assert_eq!(said, b"123456789a");
    assert_eq!(events[events.len() - 2..], [ExecEvent::Gap { lost: 11 }, ExecEvent::Exit(OK)]);
}

#[tokio::test]
async fn standard_input_is_written_and_closed() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let id = cage.sandbox.spawn(Exec { stdin: true, ..bash("read x; echo got $x; cat; echo end") }).await.unwrap();
    cage.sandbox.stdin(&id, "one\n".into(), false).await.unwrap();
    cage.hear(&id, "got one").await;
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    cage.sandbox.stdin(&id, large, true).await.unwrap();
    let (said, exit) = cage.rest(&id, 0).await;
    assert_eq!((said.len(), exit), (8 + (1 << 20) + 4, OK));
    let late = cage.sandbox.stdin(&id, "late".into(), false).await;
    assert!(late.is_err(), "{late:?}");
    let closed = cage.run("cat; echo empty").await;
    assert_eq!(closed.0, "empty\n");
}

#[tokio::test]
async fn signals_reach_the_process_and_kill_reaches_all() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let id = cage
        .start("trap 'echo int' INT; trap 'echo term; exit 9' TERM; echo ready; while :; do sleep 0.05; done")
        .await;
    cage.hear(&id, "ready").await;
    cage.sandbox.signal(&id, Signal::Interrupt).await.unwrap();
    cage.hear(&id, "int").await;
    cage.sandbox.signal(&id, Signal::Terminate).await.unwrap();
    let (said, exit) = cage.rest(&id, 0).await;
    assert_eq!((said.as_str(), exit.code), ("ready\nint\nterm\n", Some(9)));

    let id = cage.start("sleep NAP6").await;
    cage.sandbox.signal(&id, Signal::Terminate).await.unwrap();
    assert_eq!(cage.rest(&id, 0).await.1, Exit { code: Some(143), signal: None, limit: None });

    let id = cage.start("trap '' TERM INT; setsid sleep NAP6 & echo ready; sleep NAP6").await;
    cage.hear(&id, "ready").await;
    cage.sandbox.signal(&id, Signal::Kill).await.unwrap();
    assert_eq!(cage.rest(&id, 0).await.1, Exit { code: None, signal: Some(9), limit: None });
    none_left("NAP6").await;
    cage.sandbox.signal(&id, Signal::Kill).await.unwrap();
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let (said, exit) = cage.exec(Exec { argv: vec!["/no/such".to_owned()], ..Exec::default() }).await;
    assert!(said.contains("/no/such") && exit.code == Some(1), "{said} {exit:?}");
    let none = cage.sandbox.spawn(Exec::default()).await;
    assert!(matches!(none, Err(SandboxError::Invalid(_))), "{none:?}");
}

#[tokio::test]
async fn the_doctor_finds_nothing_bad_here() {
    let scene = Scene::new();
    let findings = scene.local.preflight().await;
    for finding in &findings {
        println!("{:?} {}: {}", finding.grade, finding.what, finding.says);
    }
    assert!(findings.iter().all(|finding| finding.grade != Grade::Bad));
    assert_eq!(scene.local.list(&BTreeMap::new()).await.unwrap(), []);
}

#[tokio::test]
async fn a_process_starts_quickly() {
    let mut scene = Scene::new();
    scene.spec.doors = vec![echo(8787)];
    let cage = scene.cage().await;
    let (mut spawned, mut ended) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let began = Instant::now();
        let exec = Exec { argv: vec!["/bin/true".to_owned()], network: true, ..Exec::default() };
        let id = cage.sandbox.spawn(exec).await.unwrap();
        spawned.push(began.elapsed());
        assert_eq!(cage.rest(&id, 0).await.1, OK);
        ended.push(began.elapsed());
    }
    spawned.sort();
    ended.sort();
    println!("median of 40: spawned after {:?}, `true` ended after {:?}; best {:?}", spawned[20], ended[20], ended[0]);
}

//! What a process in a sandbox sees, and what it can't reach.

use super::*;

#[tokio::test]
async fn a_command_runs_and_its_output_and_exit_code_come_back() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let id = cage.start("echo out; sleep 0.1; echo err >&2; exit 7").await;
    let mut events = cage.sandbox.attach(&id, Cursor(0)).await.unwrap();
    let mut heard = Vec::new();
    while let Some(event) = events.next().await {
        heard.push(event);
    }
    let out =
        |channel, text: &'static str, cursor| ExecEvent::Out { channel, bytes: text.into(), cursor: Cursor(cursor) };
    let exit = Exit { code: Some(7), signal: None, limit: None };
    assert_eq!(heard, [out(Channel::Stdout, "out\n", 4), out(Channel::Stderr, "err\n", 8), ExecEvent::Exit(exit)]);
}

#[tokio::test]
async fn a_process_has_the_environment_that_it_was_given_and_no_more() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let env = BTreeMap::from([("GREETING".to_owned(), "hello\nworld".to_owned()), ("LANG".to_owned(), "C".to_owned())]);
    let argv = vec!["/usr/bin/env".to_owned(), "-0".to_owned()];
    let (said, exit) = cage.exec(Exec { argv, env, ..Exec::default() }).await;
    let mut lines: Vec<_> = said.split_terminator('\0').collect();
    lines.sort_unstable();
    // PWD is bubblewrap's, from --chdir.
    let expected = [
        "GREETING=hello\nworld",
        "HOME=/home/agent",
        "LANG=C",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "PWD=/workspace",
        "TERM=dumb",
    ];
    assert_eq!((lines, exit), (expected.to_vec(), OK));

    let nul = BTreeMap::from([("A".to_owned(), "b\0--bind\0/\0/host".to_owned())]);
    let refused = cage.sandbox.spawn(Exec { env: nul, ..bash("true") }).await;
    assert!(matches!(refused, Err(SandboxError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn a_process_is_an_ordinary_user_that_can_become_nobody_else() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let (said, _) = cage.run("id -u; id -un; hostname; grep -E 'NoNewPrivs|CapEff|CapBnd|Seccomp:' /proc/self/status; ls /proc/self/fd | wc -l; unshare -U true 2>/dev/null || echo no namespace").await;
    let said = said.replace('\t', " ");
    for line in [
        "1000",
        "agent",
        "sandbox",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "no namespace",
    ] {
        assert!(said.lines().any(|l| l == line), "{line} in {said}");
    }
    // 0, 1, 2, and the one that lists them: nothing of ours is open inside.
    assert!(said.lines().any(|line| line == "4"), "{said}");
}

#[tokio::test]
async fn the_hosts_processes_and_environment_are_out_of_sight() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let pid = std::process::id();
    let script = format!(
        "tr '\\0' '\\n' </proc/1/environ; ls -d /proc/[0-9]* | wc -l; ls -d /proc/{pid}; kill -0 {pid}; cat /proc/1/cmdline | tr '\\0' ' '"
    );
    let (said, _) = cage.run(&script).await;
    assert!(said.contains(&format!("cannot access '/proc/{pid}'")), "{said}");
    assert!(said.contains("No such process"), "{said}");
    assert!(!said.contains("PATH="), "{said}");
    let count: usize = said.lines().find_map(|line| line.parse().ok()).unwrap();
    assert!(count <= 5, "{said}");
    assert!(!said.contains("sandboxes"), "host paths: {said}");
}

#[tokio::test]
async fn nothing_is_reachable_but_the_doors() {
    let mut scene = Scene::new();
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    scene.spec.doors = vec![echo(80), echo(8787)];
    let cage = scene.cage().await;
    let knock = |address: &str| {
        format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{address} && echo hello >&3 && head -n1 <&3' || echo refused")
    };
    let script = |addresses: &[String]| addresses.iter().map(|a| knock(a)).collect::<Vec<_>>().join("\n");

    let open = ["127.0.0.1/80", "127.0.0.1/8787"].map(str::to_owned);
    let (said, _) = cage.exec(Exec { network: true, ..bash(&script(&open)) }).await;
    assert_eq!(said, "hello\nhello\n");

    let closed =
        ["127.0.0.1/8788", &format!("127.0.0.1/{port}"), "169.254.169.254/80", "1.1.1.1/443", "github.com/443"];
    let closed = closed.map(str::to_owned);
    let (said, _) = cage.exec(Exec { network: true, ..bash(&script(&closed)) }).await;
    assert_eq!(said.matches("refused").count() - said.matches("Connection refused").count(), 5, "{said}");
    assert!(!said.contains("hello"), "{said}");

    // Without the network even the doors are shut.
    let (said, _) = cage.run(&script(&open)).await;
    assert!(!said.contains("hello"), "{said}");

    // Sockets that go around network namespaces.
    let (said, _) = cage.run(&format!("{} -c 'import socket; socket.socket(40, 1)'", needs::python())).await;
    assert!(said.contains("Address family not supported"), "{said}");
    drop(host);
}

#[tokio::test]
async fn only_its_own_directories_are_writable() {
    let mut scene = Scene::new();
    let shared = scene.dir.path().join("mirror");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(shared.join("object"), "precious").unwrap();
    fs::set_permissions(shared.join("object"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(scene.spec.workspace.join("README"), "hello").unwrap();
    scene.spec.objects = vec![(shared.clone(), PathBuf::from("/mirror/objects"))];
    let cage = scene.cage().await;
    cage.sandbox.put(&[("/context/issue.md".into(), "words".into())]).await.unwrap();
    let (said, exit) = cage.run(
        "for f in /usr/x /x /etc/x /context/x /context/issue.md /mirror/objects/object /dev/x /lib/x /bin/x; do (echo bad >$f) 2>/dev/null && echo wrote $f; done
         cat /context/issue.md /mirror/objects/object; echo
         for f in /workspace/README /out/x ~/x /tmp/x /var/tmp/x /dev/shm/x /dev/null; do echo good >$f || exit 1; done
         mkdir /workspace/d && touch /workspace/d/x",
    ).await;
    assert_eq!((said.as_str(), exit), ("wordsprecious\n", OK));
    assert_eq!(fs::read_to_string(shared.join("object")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(scene.spec.workspace.join("README")).unwrap(), "good\n");
    // Root hands the work to somebody else.
    let owner = fs::metadata(scene.inside(&cage, "out/x")).unwrap().uid();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    let may_mount = u64::from_str_radix(capabilities, 16).unwrap() & (1 << 21) != 0;
    assert!(owner != 0 || !may_mount);

    scene.spec.read_only = vec![(PathBuf::new(), PathBuf::from("/all"))];
    let refused = scene.local.create(&scene.spec, "other").await;
    assert!(matches!(refused, Err(SandboxError::Path(_))), "an empty path would be the whole disk: {refused:?}");
}

#[tokio::test]
async fn git_inside_commits_as_the_bot_and_runs_no_hooks() {
    let mut scene = Scene::new();
    scene.spec.git_identity = Some(("helper \"x\"\n[core]".to_owned(), "helper@example.org".to_owned()));
    let cage = scene.cage().await;
    let script = "export GIT_CONFIG_SYSTEM=/etc/gitconfig
        git init -q . && printf '#!/bin/sh\\necho hooked\\n' >.git/hooks/pre-commit && chmod +x .git/hooks/pre-commit
        git commit -q --allow-empty -m x && git log --format='%an %ae'";
    let (said, exit) = cage.run(script).await;
    assert_eq!((said.as_str(), exit), ("helper \"x\"[core] helper@example.org\n", OK));
}

#[tokio::test]
async fn the_hosts_programs_run() {
    let scene = Scene::new();
    let cage = scene.cage().await;
    let script = "set -e; ls /usr/bin >/dev/null; mkdir d; mktemp >/dev/null; echo a | tee >(cat >/dev/null) >/dev/null
        if [ -x /usr/bin/node ]; then /usr/bin/node -e 'new Uint8Array(1e7); require(\"worker_threads\"); setTimeout(() => {}, 10)'; fi
        if [ -x /usr/bin/python3 ]; then /usr/bin/python3 -c 'import multiprocessing as m; m.Lock(); import socket; socket.socketpair()'; fi
        if [ -x /usr/bin/git ]; then /usr/bin/git init -q repo; git config --get user.name >/dev/null || true; fi
        echo fine";
    let (said, exit) = cage.run(script).await;
    assert_eq!((said.as_str(), exit), ("fine\n", OK));
}

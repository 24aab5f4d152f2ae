//! The other doors: the server's command lines as people type them, and health.

use std::process::{Command, Output};

use insta::assert_snapshot;

use crate::world::{World, steady};

fn run(program: &str, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code(), steady(&text))
}

#[test]
fn errors_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("none.pem");
    let cases: [&[(&str, &str)]; 6] = [
        &[],
        &[("GITHUB_WEBHOOK_SECRET", "s")],
        &[("GITHUB_WEBHOOK_SECRET", "s"), ("GITHUB_APP_ID", "1")],
        &[("GITHUB_WEBHOOK_SECRET", "s"), ("GITHUB_APP_ID", "1"), ("GITHUB_APP_PRIVATE_KEY", "no key")],
        &[("GITHUB_WEBHOOK_SECRET", "s"), ("GITHUB_APP_ID", "one")],
        &[("GITHUB_WEBHOOK_SECRET", "s"), ("RUN_TIMEOUT", "soon")],
    ];
    let mut told = Vec::new();
    for case in cases {
        let mut env = case.to_vec();
        let data = dir.path().join("data");
        env.extend([("DATA_DIR", data.to_str().unwrap()), ("LISTEN", "127.0.0.1:0")]);
        let (code, text) = run(env!("CARGO_BIN_EXE_cloud-agent"), &["serve"], &env);
        let last = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("For more"))
            .collect::<Vec<_>>()
            .join("\n");
        told.push(format!("{case:?} # {}\n  {last}", code.unwrap()));
    }
    let env = [
        ("GITHUB_WEBHOOK_SECRET", "s"),
        ("GITHUB_APP_ID", "1"),
        ("GITHUB_APP_PRIVATE_KEY_FILE", key.to_str().unwrap()),
    ];
    let (_, text) = run(env!("CARGO_BIN_EXE_cloud-agent"), &["serve"], &env);
    told.push(text.replace(key.to_str().unwrap(), "none.pem"));
    let env = [("DATABASE_URL", "postgres://me@%2Fno%2Fsuch%2Fplace/x"), ("DATA_DIR", dir.path().to_str().unwrap())];
    let (_, text) = run(env!("CARGO_BIN_EXE_cloud-agent"), &["migrate"], &env);
    assert!(
        text.contains("connect to PostgreSQL (DATABASE_URL; does it run, and may this machine reach it?): "),
        "{text}"
    );
    assert_snapshot!(told.join("\n"), @r#"
    [] # 1
      cloud-agent: GITHUB_WEBHOOK_SECRET is not set: without it anybody could give the bot orders
    [("GITHUB_WEBHOOK_SECRET", "s")] # 1
      cloud-agent: GITHUB_APP_ID is not set: it stands on the App's settings page
    [("GITHUB_WEBHOOK_SECRET", "s"), ("GITHUB_APP_ID", "1")] # 1
      cloud-agent: GITHUB_APP_PRIVATE_KEY and GITHUB_APP_PRIVATE_KEY_FILE are not set: give one of them
    [("GITHUB_WEBHOOK_SECRET", "s"), ("GITHUB_APP_ID", "1"), ("GITHUB_APP_PRIVATE_KEY", "no key")] # 1
      cloud-agent: GITHUB_APP_PRIVATE_KEY is no RSA private key in PEM form: InvalidKeyFormat
    [("GITHUB_WEBHOOK_SECRET", "s"), ("GITHUB_APP_ID", "one")] # 2
      error: invalid value 'one' for '--github-app-id <APP_ID>': invalid digit found in string
    [("GITHUB_WEBHOOK_SECRET", "s"), ("RUN_TIMEOUT", "soon")] # 2
      error: invalid value 'soon' for '--run-timeout <RUN_TIMEOUT>': `soon` is no length of time; write 90s, 60m, 2h or 14d
    cloud-agent: GITHUB_APP_PRIVATE_KEY_FILE: read none.pem: No such file or directory (os error 2)
    "#);
}

#[test]
fn config_shows_what_is_set_and_no_secret() {
    let env = [
        ("GITHUB_WEBHOOK_SECRET", "hush"),
        ("ANTHROPIC_API_KEY", "hush"),
        ("GITHUB_APP_PRIVATE_KEY", "hush"),
        ("DATABASE_URL", "postgres://me:hush@db/x"),
        ("ENCRYPTION_KEY", "hush"),
        ("GITHUB_URL", "https://git.example.com"),
        ("PORT", "8080"),
    ];
    let (code, text) = run(env!("CARGO_BIN_EXE_cloud-agent"), &["config"], &env);
    assert_eq!(code, Some(0));
    assert!(!text.contains("hush"), "{text}");
    assert_snapshot!(text, @"
    LISTEN=0.0.0.0:8080
    PUBLIC_URL=http://localhost:3000/
    ADMIN_API_KEY=
    DRAIN_SECONDS=60
    REQUEST_TIMEOUT=75s
    BODIES_MB=128
    WRITE_TIMEOUT=1m
    DATA_DIR=./data
    DATABASE_URL=postgres://me:********@db/x
    ENCRYPTION_KEY=********
    RETENTION_DELIVERIES=14d
    RETENTION_EVENTS=30d
    RETENTION_TRANSCRIPTS=30d
    RETENTION_TASKS=365d
    DISK_FREE_MB=1024
    GITHUB_URL=https://git.example.com/
    GITHUB_API_URL=https://git.example.com/api/v3
    GITHUB_APP_ID=
    GITHUB_APP_PRIVATE_KEY=********
    GITHUB_APP_PRIVATE_KEY_FILE=
    GITHUB_WEBHOOK_SECRET=********
    GITHUB_WRITE_SPACING_MS=1000
    SWEEP_INTERVAL=5m
    MENTION=cloud-agent
    LABEL=cloud-agent
    ANTHROPIC_API_KEY=********
    ANTHROPIC_BASE_URL=https://api.anthropic.com/
    CLAUDE_MODEL=
    CLAUDE_VERIFY_MODEL=haiku
    CLAUDE_BIN=claude
    CLAUDE_SHA256=
    MODEL_PRICES=
    RUNS=4
    RUNS_PER_REPOSITORY=2
    RUN_TIMEOUT=1h
    RUN_TURNS=100
    BUDGET_RUN_USD=5.00
    TASKS_PER_THREAD_HOUR=10
    BOT_TASKS_PER_THREAD_HOUR=5
    TASKS_PER_PERSON_HOUR=30
    LEASE=30s
    HANDOVER=1m
    WAIT_LIMIT=24h
    COMMENT_INTERVAL=5s
    SANDBOX=local
    SANDBOX_MEMORY_MB=4096
    SANDBOX_PROCESSES=512
    SANDBOX_DISK_MB=4096
    EGRESS=
    GATE_MOST=agent_settings,binaries,git_settings,lockfiles,tests
    GATE_FILE_MB=5
    GATE_FILES=1000
    CALLBACK_HOSTS=
    CALLBACK_TIMEOUT=10s
    CALLBACK_RETRY=10s
    CALLBACK_TRIES=8
    LOG_FORMAT=
    RUST_LOG=info
    ");
}

#[test]
fn a_repository_looks_at_its_own_settings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cloud-agent.yml");
    let path = file.to_str().unwrap();
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let (code, text) = run(env!("CARGO_BIN_EXE_cloud-agent"), &["config", "check", path], &[("RUNS", "7")]);
        (code, text.replace(path, "FILE"))
    };
    let (code, text) = check("reveiw: {}\nfix:\n  draft: maybe\n");
    assert_eq!(code, Some(1));
    assert_snapshot!(text, @"
    FILE:1:1: unknown key `reveiw`; did you mean `review`?
    FILE:3:10: `fix.draft` must be `true` or `false`, not the text `maybe`
    ");
    let (code, text) = check("fix:\n  draft: true\n");
    assert_eq!(code, Some(0));
    assert!(text.contains("  draft: true\n") && text.contains("  verdict: comment\n"), "{text}");
    let (code, text) = run(env!("CARGO_BIN_EXE_cloud-agent"), &["config", "schema"], &[]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("{\n  \"$schema\""), "{text}");
}

#[test]
fn help_teaches() {
    let (code, text) = run(env!("CARGO_BIN_EXE_cloud-agent"), &["--help"], &[]);
    assert_eq!(code, Some(0));
    assert_snapshot!(text, @"
    A GitHub App that your team hosts itself: mention it on an issue, and Claude Code does the work in a
    sandbox

    Usage: cloud-agent <COMMAND>

    Commands:
      serve    Take webhooks and run tasks, in one process
      work     Run tasks that another process has accepted. Needs a PostgreSQL that both share
      migrate  Bring the database up to date and exit. `serve` and `work` do it too when they start
      backup   Copy a SQLite database into a file, while `serve` uses it
      doctor   Look at this machine, the GitHub App, the model and the sandbox, and say what to mend
      config   Print the settings in force, with secrets masked; or look at a repository's own settings
      help     Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Every setting is an environment variable or a flag, secrets are variables alone:
    `cloud-agent serve --help` lists them.

    First steps:
      cloud-agent doctor      what is missing before it can run
      cloud-agent serve       take webhooks on http://127.0.0.1:3000/webhooks/github
      cloud-agent config      what is set, and what the defaults are
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_well_and_what_is_not() {
    let mut world = World::on(crate::world::Database::sqlite()).await;
    world.claude_is_real();
    let (code, text) = world.command("doctor").await;
    let well: Vec<_> = text.lines().filter(|line| !line.starts_with("ok")).collect();
    assert!(well.iter().all(|line| line.starts_with("warn")), "{text}");
    assert_eq!(code, Some(0), "{text}");

    let digest = text.split("Its digest is ").nth(1).unwrap()[..64].to_owned();
    world.set("CLAUDE_SHA256", &digest);
    let (code, text) = world.command("doctor").await;
    assert!(code == Some(0) && text.contains(&format!("the one in CLAUDE_SHA256: {digest}")), "{text}");
    world.set("CLAUDE_SHA256", &"0".repeat(64));
    let (code, text) = world.command("doctor").await;
    assert!(code == Some(1) && text.contains(&format!("has the digest {digest}, which is another one")), "{text}");
    world.set("CLAUDE_SHA256", "");

    world.set("ANTHROPIC_API_KEY", "wrong");
    world.set("CLAUDE_BIN", "/nowhere/claude");
    world.github.set_permissions(&[("metadata", "read"), ("issues", "write"), ("contents", "write")]);
    world.github.quiesce().await;
    let (code, text) = world.command("doctor").await;
    let bad: Vec<_> = text.lines().filter(|line| line.starts_with("BAD")).collect();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("octo (70000001): its owner has not granted pull_requests: write, checks: write"), "{text}");
    assert_snapshot!(bad.join("\n").replace(world.model.url(), "MODEL"), @"
    BAD   App permissions        missing: pull_requests: write; add them on the App's settings page
    BAD   model                  MODEL/ does not take the key in ANTHROPIC_API_KEY
    BAD   Claude Code            CLAUDE_BIN: there is no `/nowhere/claude` here; install Claude Code, or set CLAUDE_BIN to where it is
    ");

    world.set("GITHUB_APP_ID", "1");
    world.set("GITHUB_WEBHOOK_SECRET", "short");
    let (_, text) = world.command("doctor").await;
    let line = |what: &str| text.lines().find(|line| line.contains(what)).unwrap_or_default();
    assert!(
        line("GitHub App").starts_with("BAD") && line("GitHub App").ends_with("is this machine's clock right?"),
        "{text}"
    );
    assert!(line("webhook secret").starts_with("warn  webhook secret         shorter than 16 characters"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_takes_and_work_works_on_one_postgresql() {
    let mut world = World::on(crate::world::Database::postgres()).await;
    world.claude_will("echo 'hello, world' > README.md");
    world.set("RUNS", "1");
    world.start_process().await;
    let worker = world.start_worker();
    world.issue("The greeting is short", "");
    world.github.open_issue_quietly("alice", "octo/app", "Another", "");
    world.github.told();

    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.github.comment("alice", "octo/app#2", "@cloud-agent fix this").await;
    world.settle().await;

    let told = world.told();
    assert_eq!(world.github.pulls("octo/app").len(), 2, "{told}");
    drop(worker);
}

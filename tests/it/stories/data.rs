//! What is kept: a second server is kept off a SQLite file, a backup is worth something, keys are told apart at the start,
//! and machines whose clocks differ share work all the same.

use insta::assert_snapshot;

use crate::world::{Database, World};

/// What the doctor says about the encryption key.
async fn key(world: &World) -> String {
    let (_, text) = world.command("doctor").await;
    text.lines().find(|line| line.contains("encryption key")).unwrap().to_owned()
}

/// How often this has happened in a task, by its log.
async fn times(world: &World, number: u64, kind: &str) -> usize {
    let Some(task) = world.last_task(number).await else { return 0 };
    let events = world.store().events(&task.id.to_string(), 0, 100).await.unwrap();
    events.iter().filter(|event| event.kind == kind).count()
}

async fn is_running(world: &World, number: u64) -> bool {
    world.last_task(number).await.is_some_and(|task| task.state.name() == "running")
}

/// One comment of the bot, one pull request, one check run.
fn assert_once(world: &World) {
    let told = world.told();
    let bot = world.github.bot_login();
    let comments = world.github.comments("octo/app#1");
    assert_eq!(comments.iter().filter(|it| it.author == bot).count(), 1, "{told}");
    assert!(comments.last().unwrap().body.contains("### Opened #2"), "{told}");
    assert_eq!((world.github.pulls("octo/app").len(), world.github.check_runs("octo/app").len()), (1, 1), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_kept_off_a_sqlite_file() {
    let mut world = World::on(Database::sqlite()).await;
    world.start_process().await;
    let (code, text) = world.command("serve").await;
    assert_eq!(code, Some(1));
    assert!(text.starts_with("cloud-agent: another process ("), "{text}");
    assert!(text.contains("SQLite is for one. Stop that one first, or set DATABASE_URL to a PostgreSQL"), "{text}");
    let (code, text) = world.command("migrate").await;
    assert_eq!(code, Some(1), "the schema is not changed below a server: {text}");

    // Whoever only looks is let in.
    let (_, text) = world.command("doctor").await;
    assert!(text.contains("SQLite can be opened"), "{text}");
    world.kill();
    world.start_process().await;
    world.stop().await;
    assert_eq!(world.command("migrate").await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_the_middle_of_a_run_is_enough_to_go_on_from() {
    let mut world = World::on(Database::sqlite()).await;
    world.claude_plays("while :; do sleep 1; done");
    world.start_process().await;
    world.issue("The greeting is short", "");
    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.wait_for("the agent to work", async || times(&world, 1, "init").await == 1).await;

    let (code, text) = world.command("backup ./copy.db").await;
    assert_eq!(code, Some(0), "{text}");
    let shown = text.replace(|c: char| c.is_ascii_digit(), "0");
    assert_snapshot!(shown, @"
    Copied the database to ./copy.db (0.0 MB), and checked the copy.
    Keep apart from it: the encryption key (ENCRYPTION_KEY), the App's private key, the webhook secret and the model's key.
    Not needed: mirrors and the files of runs, which are made again.
    ");
    let (code, text) = world.command("backup ./copy.db").await;
    assert_eq!((code, text.trim()), (Some(1), "cloud-agent: ./copy.db is there already; --force replaces it"));
    world.kill();

    world.restore("copy.db").await;
    world.claude_will("echo 'hello, world' > README.md");
    world.start_process().await;
    world.settle().await;

    assert_once(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_is_backed_up_with_its_own_tool() {
    let world = World::on(Database::postgres()).await;
    let (code, text) = world.command("backup ./copy.db").await;
    assert_eq!(code, Some(1));
    assert_snapshot!(text, @r#"cloud-agent: this database is a PostgreSQL, which brings its own tool: pg_dump --format=custom --no-owner --file=cloud-agent.dump "$DATABASE_URL""#);
}

stories! {
    async fn a_machine_with_another_key_is_told_at_its_start(database: Database) {
        let mut world = World::on(database).await;
        world.start_process().await;
        world.stop().await;
        assert_snapshot!(key(&world).await, @"ok    encryption key         key id f545043b3e5ecc9b");

        let (old, new) = ("5ea1ab1e".repeat(8), "0b".repeat(32));
        world.set("ENCRYPTION_KEY", &new);
        let (code, text) = world.command("serve").await;
        assert_eq!(code, Some(1));
        assert!(text.contains("the database was sealed with another ENCRYPTION_KEY (key id f545043b3e5ecc9b; this process has"), "{text}");
        assert!(!text.contains(&new), "{text}");
        assert!(key(&world).await.starts_with("BAD"));

        world.set("ENCRYPTION_KEY", &format!("{new},{old}"));
        world.start_process().await;
        world.stop().await;
        assert!(key(&world).await.contains("no row needs the older ones, drop them"));
        world.set("ENCRYPTION_KEY", "short");
        let (_, text) = world.command("serve").await;
        assert_snapshot!(text, @"cloud-agent: ENCRYPTION_KEY: each key is 32 bytes, written as 64 hex digits or as base64");
        world.set("ENCRYPTION_KEY", &new);
        world.set("RETENTION_DELIVERIES", "7d");
        let (_, text) = world.command("serve").await;
        assert_snapshot!(text, @"cloud-agent: RETENTION_DELIVERIES=7d is too short: GitHub may send a delivery again for a week, and one that is forgotten would be done twice; 8d is the least");
    }
}

/// By its own clock the worker's claims have lapsed for minutes, and what is due now is due in five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_differ_by_minutes_neither_steal_work_nor_starve() {
    let mut world = World::on(Database::postgres()).await;
    world.set("RUNS", "1");
    world.claude_will("sleep 7; echo 'hello, world' > README.md");
    world.start_process().await;
    let worker = world.start_worker_whose_clock_is("-5m");
    world.issue("The greeting is short", "");
    world.github.open_issue_quietly("alice", "octo/app", "Another", "");
    world.github.told();

    world.github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    world.github.comment("alice", "octo/app#2", "@cloud-agent fix this").await;
    let both = async || is_running(&world, 1).await && is_running(&world, 2).await;
    world.wait_for("both to run at the same time", both).await;
    world.settle().await;

    let told = world.told();
    assert_eq!(world.github.pulls("octo/app").len(), 2, "{told}");
    for number in [1, 2] {
        assert_eq!(times(&world, number, "init").await, 1, "nobody took #{number} from its worker\n{told}");
    }
    drop(worker);
}

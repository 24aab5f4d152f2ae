//! Workflows run with the repository's secrets. Where the operator, the repository and GitHub's own permission let them
//! through, the bot may push them, with a token that nothing else is asked for with.

use crate::world::World;

const GRANTED: [(&str, &str); 8] = [
    ("metadata", "read"),
    ("contents", "write"),
    ("issues", "write"),
    ("pull_requests", "write"),
    ("checks", "write"),
    ("actions", "read"),
    ("merge_queues", "read"),
    ("workflows", "write"),
];

/// How often a token with this permission was asked for.
fn asked_for_workflows(world: &World) -> usize {
    let journal = world.github.journal();
    journal
        .iter()
        .filter(|it| it.path.ends_with("/access_tokens") && it.body["permissions"]["workflows"] == "write")
        .count()
}

async fn ask(world: &World, number: u64, words: &str) -> String {
    world.github.comment("alice", &format!("octo/app#{number}"), &format!("@cloud-agent {words}")).await;
    world.settle().await;
    world.told()
}

stories! {
    async fn workflows_are_pushed_where_all_three_let_them_through(database: Database) {
        let mut world = World::on(database).await;
        world.set("GATE_MOST", "workflows");
        world.settings("gate: { allow: [workflows] }\n");
        world.claude_will("mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml");
        world.start().await;
        world.issue("No CI", "");
        let (_, doctor) = world.command("doctor").await;
        assert!(doctor.contains("not granted: workflows: write; the README's table"), "{doctor}");
        let told = ask(&world, 1, "fix this").await;
        assert!(told.contains("GitHub did not let me publish the work"), "{told}");
        assert!(told.contains("lacks the permission workflows: write"), "{told}");
        assert_eq!(world.github.branches("octo/app"), ["main"]);

        world.github.set_permissions(&GRANTED);
        world.settle().await;
        let told = ask(&world, 1, "retry").await;
        assert!(told.contains("### Opened #2"), "{told}");
        let head = world.github.pulls("octo/app").pop().unwrap().head;
        assert_eq!(world.github.file_at("octo/app", &head, ".github/workflows/ci.yml").unwrap(), "on: push\n");

        // Other work is pushed without.
        let before = asked_for_workflows(&world);
        world.stop().await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.issue("The greeting is short", "");
        let told = ask(&world, 3, "fix this").await;
        assert!(told.contains("### Opened #4"), "{told}");
        assert_eq!(asked_for_workflows(&world), before);
    }
}

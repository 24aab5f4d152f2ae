//! The main job: somebody mentions the bot, and a pull request follows.

use insta::assert_snapshot;

use crate::world::World;

stories! {
    async fn a_mention_becomes_a_pull_request(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("echo 'hello, world' > README.md");
        world.start().await;
        world.github.open_issue("alice", "octo/app", "The greeting is short", "It should greet the world.").await;

        let delivered = world.github.comment("alice", "octo/app#1", "@cloud-agent greet the world").await;
        world.settle().await;

        assert_eq!(delivered.status, 202);
        assert_snapshot!(world.told(), @"");
    }
}

//! A pull request is pointed at another branch: what was asked and approved was about the first.

use super::approval::{forked, say};
use super::findings::APP;
use crate::world::World;

/// A world with a second branch to go into.
async fn with_a_release(database: crate::world::Database) -> World {
    let world = World::on(database).await;
    world.github.branch_from("octo/app", "release", "main");
    world
}

stories! {
    async fn pointing_at_another_branch_is_noted(database: Database) {
        let mut world = with_a_release(database).await;
        world.claude_waits("sed -i s/two/zwei/ app.txt");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent say two in German").await;
        world.claude_is_waiting().await;
        world.github.advance(std::time::Duration::from_secs(5));
        world.github.retarget("bob", "octo/app#1", "release").await;
        world.heard().await;
        world.claude_goes_on();
        world.settle().await;
        world.told();
        let said = world.github.last_comment("octo/app#1").unwrap().body;
        assert!(said.contains("### Pushed to `change`"), "its own branch is what it was: {said}");
        assert!(said.contains("After I was asked, it was pointed at another branch. I used what was there"), "{said}");
    }

    async fn an_approval_holds_for_the_branch_that_it_was_given_for(database: Database) {
        let mut world = with_a_release(database).await;
        world.claude_will("sed -i s/two/zwei/ app.txt");
        world.start().await;
        let (_, head) = forked(&world, &[("app.txt", APP)]).await;
        say(&world, "alice", &format!("/ok-to-test {head}")).await;
        // Whether GitHub brings that or not.
        world.github.retarget_quietly("mallory", "octo/app#1", "release");
        world.told();
        say(&world, "alice", "@cloud-agent say two in German").await;
        let told = world.told();
        assert!(told.contains("is void: this goes into another branch than it did then."), "{told}");
        assert_eq!(world.last_task(1).await.unwrap().snapshot.lane.name(), "untrusted");
        assert_eq!(world.github.pulls("octo/app").len(), 1);

        world.github.retarget("mallory", "octo/app#1", "main").await;
        say(&world, "alice", "@cloud-agent say two in German").await;
        let told = world.told();
        assert_eq!(world.last_task(1).await.unwrap().snapshot.lane.name(), "trusted", "it is what was approved: {told}");
        assert_eq!(world.github.pulls("octo/app").pop().unwrap().base, "main");
    }

    async fn pointing_an_approved_fork_elsewhere_while_it_works_makes_it_a_patch(database: Database) {
        let mut world = with_a_release(database).await;
        world.claude_waits("sed -i s/two/zwei/ app.txt");
        world.start().await;
        let (_, head) = forked(&world, &[("app.txt", APP)]).await;
        say(&world, "alice", &format!("/ok-to-test {head}")).await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent say two in German").await;
        world.claude_is_waiting().await;
        world.github.retarget_quietly("mallory", "octo/app#1", "release");
        world.claude_goes_on();
        world.settle().await;
        world.told();
        let said = world.github.last_comment("octo/app#1").unwrap().body;
        assert!(said.contains("was pointed at another branch while I worked on commit"), "{said}");
        assert!(said.contains("+zwei"), "{said}");
        assert_eq!(world.github.branches("octo/app"), ["main", "release"]);
    }
}

//! Deliveries that are turned away at the door: who runs the bot hears of it, and nothing is lost.

use crate::world::World;

stories! {
    async fn a_wrong_webhook_secret_is_told_and_what_it_refused_is_fetched(database: Database) {
        let mut world = World::on(database).await;
        world.set("GITHUB_WEBHOOK_SECRET", "not the one that GitHub has");
        world.set("SWEEP_INTERVAL", "1s");
        world.start_process().await;
        world.issue("The greeting is short", "");
        let asked = world.github.comment("alice", "octo/app#1", "@cloud-agent help").await;
        assert_eq!(asked.status, 401);
        world.wait_for("the sweep to fetch it", async || world.log().contains("GitHub got 401 when it brought this at ")).await;
        world.settle().await;
        let told = world.told();
        assert!(told.contains("cloud-agent:help="), "{told}");
        let log = world.log();
        assert!(log.contains("Refused a delivery with 401: the signature fits no secret in GITHUB_WEBHOOK_SECRET"), "{log}");

        let (_, doctor) = world.command("doctor").await;
        let line = doctor.lines().find(|line| line.contains("deliveries")).unwrap();
        assert!(line.starts_with("warn") && line.contains("answered with 401") && line.contains("GITHUB_WEBHOOK_SECRET"), "{line}");
    }
}

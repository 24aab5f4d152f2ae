//! GitHub's limits, kept by all processes together and remembered by those that are started anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloud_agent::github::{Error, Github, Limit, Repo};
use futures::future::join_all;
use simulator::github::Fault;

use crate::world::World;

/// A process's client of GitHub that shares its pace through the database.
async fn process(world: &World, spacing_ms: u64) -> Repo {
    world.store().migrate().await.unwrap();
    let settings = [
        ("GITHUB_API_URL", world.github.api_url()),
        ("GITHUB_APP_ID", &world.github.app_id().to_string()),
        ("GITHUB_APP_PRIVATE_KEY", world.github.private_key_pem()),
        ("GITHUB_WRITE_SPACING_MS", &spacing_ms.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let github = Github::new(&cloud_agent::cli::config_of(&settings).unwrap().github).unwrap();
    let github = github.paced_by(Arc::new(world.store().clone()));
    github.repo(world.github.installation_id(), world.github.repo_id("octo/app"), "octo/app")
}

stories! {
    async fn two_processes_stand_in_one_line(database: Database) {
        let world = World::on(database).await;
        world.issue("Count", "");
        let (one, two) = (process(&world, 200).await, process(&world, 200).await);
        let started = Instant::now();
        let made = join_all((0..10).map(|at| if at % 2 == 0 { one.comment(1, "hi") } else { two.comment(1, "hi") })).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        assert!(started.elapsed() >= Duration::from_millis(9 * 200), "each for itself would take half of it");
        assert_eq!(world.github.comments("octo/app#1").len(), 10);
        world.told();
    }

    async fn a_silence_holds_for_all_and_over_a_restart(database: Database) {
        let world = World::on(database).await;
        world.issue("Count", "");
        let (one, two) = (process(&world, 0).await, process(&world, 0).await);
        two.issue(1).await.unwrap();
        world.github.faults().on("POST", "/repos/{o}/{r}/issues/{n}/comments").answer(Fault::SecondaryLimit { retry_after: None });
        let refused = one.comment(1, "hi").await.unwrap_err();
        assert!(refused.to_string().ends_with("UTC (secondary rate limit)"), "{refused}");
        let before = world.github.journal().len();
        // A write asks the others first; so does whoever has just been started.
        for repo in [&two, &process(&world, 0).await] {
            let Error::Limited { until, limit } = repo.comment(1, "hi").await.unwrap_err() else { panic!("not limited") };
            let left = until - cloud_agent::clock::now();
            assert!(limit == Limit::Secondary && (50_000..=60_000).contains(&left), "{left}");
        }
        assert!(process(&world, 0).await.issue(1).await.is_err());
        let sent: Vec<_> = world.github.journal()[before..].iter().filter(|it| it.path.contains("issues")).cloned().collect();
        assert!(sent.is_empty(), "{sent:?}");
    }
}

//! What people say in the soak, and what they have to see in the end.

use std::collections::HashSet;

use super::REPOSITORIES;
use crate::world::World;

/// Somebody asked for something.
pub struct Mention {
    place: String,
    repository: String,
    number: u64,
    /// Whether it asks for a change.
    changes: bool,
}

/// Have people talk while the bot is away. The mentions, and the GUIDs of everything that GitHub has failed to deliver.
pub async fn talk(world: &World, mentions: usize, talk: usize) -> (Vec<Mention>, Vec<String>) {
    for at in 1..=REPOSITORIES {
        world.github.create_repo(&format!("octo/app{at}"), &[("README.md", "hello\n")]);
    }
    // Nobody listens at this port.
    world.github.deliver_to("http://127.0.0.1:9/");
    let (mut made, mut guids) = (Vec::new(), Vec::new());
    for at in 0..mentions {
        let repository = format!("octo/app{}", at % REPOSITORIES + 1);
        let number = world.github.open_issue_quietly("alice", &repository, "The greeting is short", "");
        let place = format!("{repository}#{number}");
        // Most are quick; some end in a pull request.
        let changes = at % 20 == 0;
        let words = if changes { "@cloud-agent change it" } else { "@cloud-agent look at this" };
        guids.push(world.github.comment("alice", &place, words).await.guid);
        made.push(Mention { place, repository, number, changes });
    }
    for at in 0..talk {
        guids.push(world.github.comment("bob", &made[at % made.len()].place, "I see it as well.").await.guid);
    }
    world.github.told();
    (made, guids)
}

/// Everything that has to be so. How the tasks have ended, in words.
pub async fn verdict(world: &World, mentions: &[Mention], unique: usize) -> String {
    let (all, bot) = (mentions.len(), world.github.bot_login());
    let count = async |what: &str| world.sql(&format!("select count(*) from {what}")).await as usize;
    assert_eq!(count("delivery").await, unique, "each event is stored once");
    assert_eq!(count("task").await, all, "each mention has one task");
    assert_eq!(count("task where state not in ('completed', 'failed')").await, 0, "each task has ended");
    assert_eq!(count("effect where state = 'intended'").await, 0, "no write without a result");
    assert!(!world.something_runs(), "no sandbox is left");
    let mut pulls = HashSet::new();
    for repository in mentions.iter().map(|it| &it.repository).collect::<HashSet<_>>() {
        for pull in world.github.pulls(repository) {
            let line = pull.body.lines().find_map(|it| it.strip_prefix("Fixes #")).unwrap().to_owned();
            assert!(pulls.insert(format!("{repository}#{line}")), "two pull requests for {repository}#{line}");
        }
    }
    let mut gave_up = 0;
    for mention in mentions {
        let Mention { place, number, changes, .. } = mention;
        let thread = world.github.comments(place);
        let said: Vec<&str> = thread.iter().filter(|it| it.author == bot).map(|it| it.body.as_str()).collect();
        assert_eq!(said.len(), 1, "one comment on {place} (issue {number}): {said:#?}");
        assert!(!said[0].contains("to end this"), "the last words on {place}: {}", said[0]);
        let asked = thread.iter().find(|it| it.author == "alice").unwrap();
        assert_eq!(asked.reactions.len(), 2, "👀 and how it ended, on {place}: {:?}", asked.reactions);
        if said[0].contains("went wrong several times") {
            gave_up += 1;
        } else {
            assert_eq!(pulls.contains(place), *changes, "{place}: {}", said[0]);
        }
    }
    format!("{all} tasks, {} pull requests, {gave_up} given up after three deaths", pulls.len())
}

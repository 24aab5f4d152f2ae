//! Code that hides something from whoever looks at it: it stays, is counted, and people are told.

use super::findings::{ON, finding, findings};
use crate::world::World;

/// A condition that reads as a comment, a word in tags, a line that a terminal does not show.
const SLY: &str = "if is_admin {\u{202E} // \u{2066}check\u{2069}\u{2066} }\nlet word = \"\u{E0068}\u{E0069}\";\n\u{1B}[8mdrop();\u{1B}[0m\n";

fn said(world: &World) -> Vec<String> {
    let summaries = world.github.check_runs("octo/app").into_iter().filter_map(|it| it.summary);
    let lines = summaries.flat_map(|it| it.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|it| it.contains("can be seen")).collect()
}

const TOLD: &str = "There is more in the added code than can be seen: 4 characters that turn the direction of text (bob), \
                    2 invisible characters (bob), 2 control sequences (bob).";

stories! {
    async fn what_people_do_not_see_of_code_is_counted(database: Database) {
        let mut world = World::on(database).await;
        world.claude_finds(&findings(&[finding("sly.rs", 1, "It is not what it seems", "")]));
        world.settings(ON);
        world.start().await;
        world.pull("change", &[("sly.rs", SLY)]).await;
        world.settle().await;
        assert_eq!(said(&world), [format!("<sub>{TOLD}</sub>")]);
        let posted = world.github.reviews("octo/app#1").remove(0).body;
        assert!(posted.contains(TOLD), "{posted}");
        world.told();
    }

    async fn what_the_agent_changes_on_such_code_says_so_too(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("cp /context/diff.patch seen.txt");
        world.start().await;
        world.pull("change", &[("sly.rs", SLY), ("plain.rs", "fn main() {} // ❤️\n")]).await;
        world.github.comment("alice", "octo/app#1", "@cloud-agent tidy up\u{200B}").await;
        world.settle().await;
        world.told();
        let summary = world.github.check_runs("octo/app").remove(0).summary.unwrap();
        let line = format!("<sub>Hidden text was taken out: 1 invisible character (alice). {TOLD}</sub>");
        assert!(summary.contains(&line), "{summary}");
        // It is what it is, to the byte.
        assert!(world.github.file_at("octo/app", "change", "seen.txt").unwrap().contains("+let word = \"\u{E0068}\u{E0069}\";"));
    }
}

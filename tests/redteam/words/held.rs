//! The agent changes what gives power over the repository, or what nobody can read: it is held back, and people see what,
//! why, and what they can do about it.

use super::{ask, said, world};
use crate::world::World;

async fn held(world: &mut World, script: &str) -> String {
    world.claude_will(script);
    let number = ask(world, "fix this").await;
    world.told();
    assert_eq!(world.github.branches("octo/app"), ["main"], "{script}");
    said(world, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn class_24_what_is_shown_of_it_hides_nothing() {
    let mut world = world().await;
    world.start().await;
    // The comment is not the agent's to format, and what can't be seen in the file is seen in it.
    let script = "mkdir -p .github/workflows; printf 'on: push\\n```\\n</details> @octo/everybody <!-- x -->\\nrun: \\342\\200\\256evil\\n' > .github/workflows/ci.yml";
    let words = held(&mut world, script).await;
    assert!(words.contains("+run: ⟨U+202E⟩evil"), "{words}");
    let (_, shown) = words.split_once("<details>").unwrap();
    assert!(shown.contains("````diff") && shown.contains("\n````\n\n</details>"), "{shown}");
    insta::assert_snapshot!(crate::world::steady(shown), @"
    <summary>What was held back, with characters that can't be seen spelled out</summary>

    ````diff
    diff --git a/.github/workflows/ci.yml b/.github/workflows/ci.yml
    new file mode 100644
    index SHA..SHA
    --- /dev/null
    +++ b/.github/workflows/ci.yml
    @@ -0,0 +1,4 @@
    +on: push
    +```
    +</details> @octo/everybody <!-- x -->
    +run: ⟨U+202E⟩evil
    ````

    </details>

    <sub>TIME · $COST · 2 turns</sub>
    ");
}

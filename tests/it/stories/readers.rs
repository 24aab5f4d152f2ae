//! People who may not write, where the settings let them ask: they get answers and patches, and nothing is pushed.

use insta::assert_snapshot;

use super::findings::APP;
use crate::world::World;

const ANSWERED: &str = r#"{"title":"Answer","summary":"Two comes after one.","details":"","verification":"","changed":false,"threads":[]}"#;

stories! {
    async fn a_reader_whom_the_settings_let_ask_gets_an_answer(database: Database) {
        let mut world = World::on(database).await;
        world.claude_says("true", ANSWERED);
        world.settings("ask: { who: read }\n");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        world.github.comment("rita", "octo/app#1", "@cloud-agent why does two come after one?").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        rita on #1: @cloud-agent why does two come after one?
        👀 on rita's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > why does two come after one?

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Answer

          > why does two come after one?

          Two comes after one.

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on rita's comment on #1
        ");
    }

    async fn a_change_for_a_reader_is_a_patch(database: Database) {
        let mut world = World::on(database).await;
        world.set("EGRESS", "registry.invalid");
        let tries = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/3128; printf \"CONNECT registry.invalid:443 HTTP/1.1\\r\\n\\r\\n\" >&3; head -n 1 <&3' > door.txt";
        world.claude_will(&format!("sed -i s/two/zwei/ app.txt; {tries}"));
        world.settings("ask: { who: read }\n");
        world.start().await;
        world.pull("change", &[("app.txt", APP)]).await;
        let before = world.github.head("octo/app", "change");
        world.github.comment("rita", "octo/app#1", "@cloud-agent say two in German").await;
        world.settle().await;
        assert_snapshot!(world.steady_ids(&world.told()), @r#"
        rita on #1: @cloud-agent say two in German
        👀 on rita's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > say two in German

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Here is a patch

          > say two in German

          Whoever asked for this may not write to this repository, so nothing was pushed. A person who can write may take the patch over with `git am < work.patch`.

          The greeting was too short.

          <details><summary>work.patch</summary>

          ```diff
          From <sha> Mon Sep 17 00:00:00 2001
          From: "cloud-agent[bot]" <BOT+cloud-agent[bot]@users.noreply.127.0.0.1>
          Date:
          Subject: [PATCH] Greet the world

          Co-authored-by: rita <RITA+rita@users.noreply.127.0.0.1>
          ---
           app.txt  | 2 +-
           door.txt | 1 +
           2 files changed, 2 insertions(+), 1 deletion(-)
           create mode 100644 door.txt

          diff --git a/app.txt b/app.txt
          index c9e9e05..254c9c5 100644
          --- a/app.txt
          +++ b/app.txt
          @@ -1,5 +1,5 @@
           one
          -two
          +zwei
           three
           four
           five
          diff --git a/door.txt b/door.txt
          new file mode 100644
          index 0000000..7c7cc03
          --- /dev/null
          +++ b/door.txt
          @@ -0,0 +1 @@
          +HTTP/1.1 403 Host not allowed in this sandbox
          ```

          </details>

          <sub>TIME · $COST · 2 turns · refused to connect to `registry.invalid:443`</sub>
        🚀 on rita's comment on #1
        "#);
        assert_eq!(world.github.head("octo/app", "change"), before);
        assert_eq!(world.github.branches("octo/app"), ["change", "main"]);

        // What is for writers stays theirs.
        world.github.comment("rita", "octo/app#1", "@cloud-agent retry").await;
        world.settle().await;
        assert_snapshot!(world.told(), @"
        rita on #1: @cloud-agent retry
        😕 on rita's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:refusal=20005:not_a_writer -->
          @rita, I work for people who can write to this repository, and GitHub says that you can't. Ask one of them to mention me or to set the label `cloud-agent`.
        ");
    }

    async fn a_reader_on_an_issue_gets_a_patch_too(database: Database) {
        let mut world = World::on(database).await;
        world.claude_will("printf %s \"$PROMPT\" | grep -o 'rita, who may.* repository' > README.md");
        world.settings("ask: { who: read }\n");
        world.start().await;
        world.issue("The greeting is short", "");
        world.github.comment("rita", "octo/app#1", "@cloud-agent greet the world").await;
        world.settle().await;
        assert_snapshot!(world.steady_ids(&world.told()), @r#"
        rita on #1: @cloud-agent greet the world
        👀 on rita's comment on #1
        cloud-agent[bot] on #1: <!-- cloud-agent:task=ID -->
          ### Getting ready

          > greet the world

          <sub>TIME · $COST · say `@cloud-agent stop` to end this</sub>
        cloud-agent[bot] edits #1: <!-- cloud-agent:task=ID -->
          ### Here is a patch

          > greet the world

          Whoever asked for this may not write to this repository, so nothing was pushed. A person who can write may take the patch over with `git am < work.patch`.

          The greeting was too short.

          <details><summary>work.patch</summary>

          ```diff
          From <sha> Mon Sep 17 00:00:00 2001
          From: "cloud-agent[bot]" <BOT+cloud-agent[bot]@users.noreply.127.0.0.1>
          Date:
          Subject: [PATCH] Greet the world

          Co-authored-by: rita <RITA+rita@users.noreply.127.0.0.1>
          ---
           README.md | 2 +-
           1 file changed, 1 insertion(+), 1 deletion(-)

          diff --git a/README.md b/README.md
          index ce01362..0b684cf 100644
          --- a/README.md
          +++ b/README.md
          @@ -1 +1 @@
          -hello
          +rita, who may not write to this repository
          ```

          </details>

          <sub>TIME · $COST · 2 turns</sub>
        🚀 on rita's comment on #1
        "#);
        assert_eq!(world.github.branches("octo/app"), ["main"]);
    }
}

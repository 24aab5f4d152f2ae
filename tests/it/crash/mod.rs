//! The process is killed with SIGKILL before and after every durable write and every request to GitHub or the model, one point
//! at a time, and started again: the world at rest is always the same as if nothing had happened.
//!
//! The product knows nothing of it. Requests are counted by the simulator, PostgreSQL's writes by a proxy, SQLite's commits
//! by a preloaded library. Nothing is counted beforehand: a series of points ends with the first one that a run doesn't meet.
//!
//! What GitHub could not deliver meanwhile nobody sends again: the bot finds it by itself.
//!
//! A part of the points is tried, spread evenly, unless `CRASH_POINTS=all` (`script/crash`) asks for all.
//! A point that has failed is tried alone with `CRASH_POINT=mention/sqlite/write/before/7`.

mod every;
mod point;
mod story;

use insta::assert_snapshot;

use every::{every_point_of, undisturbed};
use point::Engine;
use story::Story;

#[test]
fn every_point_of_a_mention_on_sqlite() {
    every_point_of(Story::Mention, Engine::Sqlite);
}

#[test]
fn every_point_of_a_mention_on_postgres() {
    every_point_of(Story::Mention, Engine::Postgres);
}

#[test]
fn every_point_of_a_review_on_sqlite() {
    every_point_of(Story::Review, Engine::Sqlite);
}

#[test]
fn every_point_of_a_review_on_postgres() {
    every_point_of(Story::Review, Engine::Postgres);
}

#[test]
fn every_point_of_a_mention_with_the_real_claude() {
    every_point_of(Story::RealMention, Engine::Sqlite);
}

/// What the others are held against.
#[test]
fn the_world_without_a_crash() {
    assert_snapshot!(undisturbed(Story::Mention), @"
    alice says, with cloud-agent[bot] eyes, cloud-agent[bot] rocket:
    @cloud-agent fix this
    cloud-agent[bot] says, with :
    <!-- cloud-agent:task=ID -->
    ### Opened #2

    > fix this

    The greeting was too short.

    <sub>TIME · $COST · N turns</sub>

    #2 by cloud-agent[bot] from cloud-agent/issue-1-the-greeting-is-short: Greet the world
    The greeting was too short.

    ### How it was checked

    I read it again.

    Fixes #1

    ---
    <sub>Asked for by @alice. Written by Claude Code in a sandbox; please review it like anybody's work. TIME · $COST · N turns</sub>
    <!-- cloud-agent:task=ID -->

    commit by cloud-agent[bot]: Greet the world

    Co-authored-by: alice <20003+alice@users.noreply.127.0.0.1>
    diff --git a/README.md b/README.md
    index ce01362..4b5fa63 100644
    --- a/README.md
    +++ b/README.md
    @@ -1 +1 @@
    -hello
    +hello, world

    branches: cloud-agent/issue-1-the-greeting-is-short, main
    check cloud-agent: completed success, 0 notes: Changed 1 file
    The greeting was too short.

    | file | added | deleted |
    |---|---:|---:|
    | `README.md` | 1 | 1 |

    ### How it was checked

    I read it again.

    <sub>TIME · $COST · N turns · task `ID` · snapshot `HASH`</sub>

    task issue on #1: completed, pull_request
    write repository-N:comment-N:eyes: done
    write repository-N:comment-N:rocket: done
    write task:ID:check: done
    write task:ID:comment-end: done
    write task:ID:comment: done
    write task:ID:pull: done
    ");
    assert_snapshot!(undisturbed(Story::Review), @"
    #1 by bob from change: Change things

    commit by bob: Change things
    diff --git a/app.txt b/app.txt
    new file mode 100644
    index 0000000..c9e9e05
    --- /dev/null
    +++ b/app.txt
    @@ -0,0 +1,10 @@
    +one
    +two
    +three
    +four
    +five
    +six
    +seven
    +eight
    +nine
    +ten

    branches: change, main
    cloud-agent[bot] reviews, COMMENTED:
    <!-- cloud-agent:review=ID -->
    ### 2 findings, 2 serious

    It greets the world.

    | | where | what | said |
    |---|---|---|---|
    | serious | `app.txt:2` | Two is wrong | on the line |
    | serious | `app.txt:4` | Four is wrong | on the line |

    <sub>TIME · $COST · N turns · answer with `@cloud-agent` on a line to talk about it</sub>

    cloud-agent[bot] on app.txt:Some(2):
    **Two is wrong** <sub>serious · correctness</sub>

    It breaks.

    ```suggestion
    zwei
    ```

    <!-- cloud-agent:finding=ID -->

    cloud-agent[bot] on app.txt:Some(4):
    **Four is wrong** <sub>serious · correctness</sub>

    It breaks.

    <!-- cloud-agent:finding=ID -->

    check cloud-agent review: completed neutral, 0 notes: 2 findings, 2 serious
    It greets the world.

    | | where | what | said |
    |---|---|---|---|
    | serious | `app.txt:2` | Two is wrong | on the line |
    | serious | `app.txt:4` | Four is wrong | on the line |

    <sub>TIME · $COST · N turns · snapshot `HASH`</sub>

    task review on #1: completed, reviewed
    finding Two is wrong: Open, said
    finding Four is wrong: Open, said
    write task:ID:review-check-end:0: done
    write task:ID:review-check: done
    write task:ID:review: done
    ");
}

//! A pull request that is far too large: it is reviewed as far as that goes, and what was not looked at is said.

use insta::assert_snapshot;

use super::findings::{finding, findings};
use crate::world::{Database, World, steady};

const FILES: usize = 6_000;
/// Most requests to GitHub that one review may make, however many files there are.
const REQUESTS: usize = 40;

/// Reads every part and finds something in the first and in the last file that it is given, and far beyond.
async fn reviewed(settings: &str) -> World {
    let mut world = World::on(Database::sqlite()).await;
    world.claude_finds(&findings(&[
        finding("src/00/file-0000.txt", 2, "Early", ""),
        finding("src/59/file-5999.txt", 2, "Late", ""),
        finding("wide.txt", 1, "In the long line", ""),
    ]));
    let attributes = "*.gen.txt linguist-generated\nvendor/** linguist-vendored\n";
    let github = &world.github;
    github.push_quietly("ada", "octo/app", "main", &[(".gitattributes", attributes)], "Say what is generated");
    world.settings(settings);
    world.start().await;
    let mut files: Vec<(String, String)> = (0..FILES)
        .map(|n| (format!("src/{:02}/file-{n:04}.txt", n / 100), format!("file {n}\nhas two lines\n")))
        .collect();
    files.push(("wide.txt".to_owned(), "x".repeat(3 << 20)));
    files.push(("Cargo.lock".to_owned(), "[[package]]\n".repeat(5_000)));
    files.push(("logo.bin".to_owned(), "\0\u{1}\0".to_owned()));
    files.extend((0..50).map(|n| (format!("api/{n}.gen.txt"), "made\n".repeat(100))));
    files.extend((0..50).map(|n| (format!("vendor/{n}.txt"), "taken\n".repeat(100))));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    world.github.branch_from("octo/app", "change", "main");
    world.github.push_quietly("bob", "octo/app", "change", &files, "Change everything");
    world.github.told();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_pull_request_is_reviewed_as_far_as_it_goes() {
    let world = reviewed("review: { on: [opened, synchronize] }\n").await;
    let before = world.github.journal().len();
    world.github.open_pull("bob", "octo/app", "change", "main", "Change everything").await;
    world.settle().await;
    world.github.told();

    let requests = world.github.requests_since(before);
    assert!(requests.len() < REQUESTS, "{} requests:\n{}", requests.len(), requests.join("\n"));
    let check = world.github.check_runs("octo/app").pop().unwrap();
    assert_eq!(check.title.as_deref(), Some("3 findings, 3 serious"));
    assert_snapshot!(steady(&check.summary.unwrap()), @"
    It greets the world.

    | | where | what | said |
    |---|---|---|---|
    | serious | `src/00/file-0000.txt:2` | Early | on the line |
    | serious | `src/59/file-5999.txt:2` | Late | on the check |
    | serious | `wide.txt:1` | In the long line | below |

    **`src/59/file-5999.txt:2`: Late** <sub>serious</sub>

    It breaks.

    **`wide.txt:1`: In the long line** <sub>serious</sub>

    It breaks.

    Not looked at:

    - 1 binary: `logo.bin`
    - 50 generated: `api/0.gen.txt`, `api/1.gen.txt`, `api/10.gen.txt` and 47 more
    - 1 lock: `Cargo.lock`
    - 1 with too large a diff: `wide.txt`
    - 756 beyond what one review takes: `src/52/file-5244.txt`, `src/52/file-5245.txt`, `src/52/file-5246.txt` and 753 more
    - 50 vendored: `vendor/0.txt`, `vendor/1.txt`, `vendor/10.txt` and 47 more

    <sub>TIME · $COST · 18 turns · snapshot `HASH`</sub>
    ");
    let reviews = world.github.reviews("octo/app#1");
    assert_eq!(reviews.len(), 1);
    assert_snapshot!(steady(&reviews[0].body), @"
    <!-- cloud-agent:review=ID -->
    ### 3 findings, 3 serious

    It greets the world.

    | | where | what | said |
    |---|---|---|---|
    | serious | `src/00/file-0000.txt:2` | Early | on the line |
    | serious | `src/59/file-5999.txt:2` | Late | on the check |
    | serious | `wide.txt:1` | In the long line | below |

    **`src/59/file-5999.txt:2`: Late** <sub>serious</sub>

    It breaks.

    **`wide.txt:1`: In the long line** <sub>serious</sub>

    It breaks.

    Not looked at:

    - 1 binary: `logo.bin`
    - 50 generated: `api/0.gen.txt`, `api/1.gen.txt`, `api/10.gen.txt` and 47 more
    - 1 lock: `Cargo.lock`
    - 1 with too large a diff: `wide.txt`
    - 756 beyond what one review takes: `src/52/file-5244.txt`, `src/52/file-5245.txt`, `src/52/file-5246.txt` and 753 more
    - 50 vendored: `vendor/0.txt`, `vendor/1.txt`, `vendor/10.txt` and 47 more

    <sub>TIME · $COST · 18 turns · answer with `@cloud-agent` on a line to talk about it</sub>
    ");
    let notes: Vec<_> = check.annotations.iter().map(|it| format!("{}:{}", it.path, it.start_line)).collect();
    assert_snapshot!(notes.join("\n"), @"src/59/file-5999.txt:2");

    // A push is looked at by itself, and what was too much before is still said not to have been looked at.
    let before = world.github.journal().len();
    world
        .github
        .push("bob", "octo/app", "change", &[("src/00/file-0000.txt", "file 0\nhas two\nlines\n")], "More")
        .await;
    world.settle().await;
    world.github.told();
    let requests = world.github.requests_since(before);
    assert!(requests.len() < REQUESTS, "{} requests:\n{}", requests.len(), requests.join("\n"));
    assert_snapshot!(steady(&world.github.check_runs("octo/app").pop().unwrap().summary.unwrap()), @"
    It greets the world.

    | | where | what | said |
    |---|---|---|---|
    | serious | `src/00/file-0000.txt:2` | Early | on the line |

    Found before and not said again:

    | | where | what |
    |---|---|---|
    | serious | `src/59/file-5999.txt` | Late |
    | serious | `wide.txt` | In the long line |

    Fixed since the last review: 1 finding.

    Not looked at:

    - what the reviews before this one have left out: `@cloud-agent review` looks at everything again

    <sub>TIME · $COST · 4 turns · snapshot `HASH`</sub>
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_the_settings_make_it_small() {
    let world = reviewed("review: { on: [opened], paths: ['src/00/**'] }\n").await;
    world.github.open_pull("bob", "octo/app", "change", "main", "Change everything").await;
    world.settle().await;
    world.github.told();
    let check = world.github.check_runs("octo/app").pop().unwrap();
    assert_snapshot!(steady(&check.summary.unwrap()), @"
    It greets the world.

    | | where | what | said |
    |---|---|---|---|
    | serious | `src/00/file-0000.txt:2` | Early | on the line |
    | serious | `src/59/file-5999.txt:2` | Late | on the check |
    | serious | `wide.txt:1` | In the long line | below |

    **`src/59/file-5999.txt:2`: Late** <sub>serious</sub>

    It breaks.

    **`wide.txt:1`: In the long line** <sub>serious</sub>

    It breaks.

    Not looked at:

    - 6003 left out by the repository's settings: `Cargo.lock`, `api/0.gen.txt`, `api/1.gen.txt` and 6000 more

    <sub>TIME · $COST · 4 turns · snapshot `HASH`</sub>
    ");
}

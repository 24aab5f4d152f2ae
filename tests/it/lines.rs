//! Any edits, any findings: what we post is taken by the simulator, which reads the diff for itself, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloud_agent::github::{Github, NewLine, NewReview, Repo, ReviewEvent, Scope};
use cloud_agent::sandbox::git::{Git, Identity, Mirror, Remote, Settings, Sha, Timeouts, Want};
use cloud_agent::task::review::{Category, Diff, Finding, Inline, Placed, Rung, Severity, Side, place};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use simulator::GitHub;
use simulator::github::{Options, Role};
use tempfile::TempDir;

/// A file at the base and at the head.
type Versions = (Option<String>, Option<String>);

const NAMES: [&str; 7] = ["a.rs", "b/a.rs", "with space.txt", "ä.txt", "tab\tbed.txt", "quo\"te.txt", "-dash"];
/// What `a.rs` is called after it was renamed.
const RENAMED: &str = "b/renamed.rs";
const README: &str = "hello\n";
/// More than there are findings, so that no comment is left out for want of room.
const ROOM: usize = 100;

#[derive(Debug, Clone)]
struct Case {
    files: BTreeMap<String, Versions>,
    renames: bool,
    /// The base has a commit that the head has not.
    base_moves: bool,
    findings: Vec<Finding>,
}

fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "[a-c]{1,2}",
        1 => Just(String::new()),
        1 => Just("-- a/x".to_owned()),
        1 => Just("++ b/x".to_owned()),
        1 => Just("@@ -1 +1 @@".to_owned()),
        1 => Just("diff --git a/x b/x".to_owned()),
        1 => Just("\\ No newline at end of file".to_owned()),
        1 => Just("dos\r".to_owned()),
    ];
    (vec(line, 1..40), 0..16_u8).prop_map(|(lines, end)| match end {
        2..5 => lines.join("\n"),
        1 => lines.join("\n") + "\0",
        _ => lines.join("\n") + "\n",
    })
}

/// A text and what became of it: some lines deleted, doubled or changed.
fn edited() -> impl Strategy<Value = Versions> {
    (text(), vec(0..30_u8, 40), 0..8_u8).prop_map(|(old, edits, fate)| {
        let mut new = String::new();
        for (line, edit) in old.split_inclusive('\n').zip(edits) {
            match edit {
                0 => (),
                1 => new.extend(["new\n", line]),
                2 => new.push_str(&line.to_uppercase()),
                _ => new.push_str(line),
            }
        }
        match fate {
            0 => (None, Some(new)),
            1 => (Some(old), None),
            _ => (Some(old), Some(new)),
        }
    })
}

/// A finding on one of the files, by their places; beyond those, on one that is not there or did not change.
fn finding() -> impl Strategy<Value = (usize, Finding)> {
    let number = || prop_oneof![14 => (1..36_u32).prop_map(Some), 1 => Just(Some(u32::MAX)), 1 => Just(None)];
    let severity = proptest::sample::select(&[Severity::Low, Severity::Medium, Severity::High][..]);
    let replacement = proptest::option::of("[a-c\n`]{0,5}");
    (0..24_usize, number(), proptest::option::of(1..36_u32), any::<bool>(), severity, replacement).prop_map(
        |(file, line, start_line, left, severity, replacement)| {
            let finding = Finding {
                path: String::new(),
                // As an answer is read: before the line, or not there.
                start_line: start_line.filter(|start| line.is_some_and(|line| *start < line)),
                line,
                side: if left { Side::Left } else { Side::Right },
                severity,
                category: Category::Other,
                title: "title".to_owned(),
                reasoning: String::new(),
                replacement: replacement.filter(|_| line.is_some()),
                confidence: 50,
            };
            (file, finding)
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let files = btree_map(proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), edited(), 3..7);
    (files, any::<bool>(), any::<bool>(), vec(finding(), 12..24)).prop_map(|(files, renames, base_moves, found)| {
        let names: Vec<String> = files.keys().cloned().collect();
        let on = |(file, finding)| {
            let path = match file {
                0 => "nowhere.rs",
                1 => "README.md",
                2 => RENAMED,
                file => &names[file % names.len()],
            };
            Finding { path: path.to_owned(), ..finding }
        };
        Case { findings: found.into_iter().map(on).collect(), files, renames, base_moves }
    })
}

/// A GitHub with a repository for each case, our client of it, and our git.
struct Stage {
    github: GitHub,
    client: Github,
    git: Git,
    cases: AtomicUsize,
    _dir: TempDir,
}

/// What we know of one pull request.
struct Pull {
    repo: Repo,
    number: u64,
    head: String,
    diff: Diff,
    /// Texts at the head and at the base, by their paths there.
    after: BTreeMap<String, String>,
    before: BTreeMap<String, String>,
}

impl Stage {
    async fn new() -> Self {
        // A host without limits: what is asked here would take GitHub's whole day.
        let unlimited = Options { content_budget: (10_000, 10_000), rate_limit_headers: false, ..Options::default() };
        let github = GitHub::start_with(unlimited).await;
        github.person("bob", Role::Write);
        let settings = [
            ("GITHUB_API_URL", github.api_url()),
            ("GITHUB_APP_ID", &github.app_id().to_string()),
            ("GITHUB_APP_PRIVATE_KEY", github.private_key_pem()),
            ("GITHUB_WRITE_SPACING_MS", "0"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let client = Github::new(&cloud_agent::cli::config_of(&settings).unwrap().github).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new(Settings {
            program: "git".into(),
            env: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
            base: github.url().parse().unwrap(),
            data_dir: dir.path().to_owned(),
            identity: Identity { name: "bot".into(), email: "bot@example.com".into() },
            fsck: true,
            timeouts: Timeouts { fetch: Duration::from_mins(1), ..Timeouts::default() },
        });
        Self { git: git.unwrap(), github, client, cases: AtomicUsize::new(0), _dir: dir }
    }

    /// Commit the case, open a pull request of it, and read its diff as a review does.
    async fn open(&self, case: &Case) -> Pull {
        let (github, mut after, mut before) = (&self.github, BTreeMap::new(), BTreeMap::new());
        let name = format!("octo/app-{}", self.cases.fetch_add(1, Ordering::Relaxed));
        github.create_repo(&name, &[("README.md", README)]);
        let repo = self.client.repo(github.installation_id(), github.repo_id(&name), &name);
        let (base, branch) = ("main", "change");
        let with = |files: Vec<(&String, &String)>, branch: &str| {
            let mut files: Vec<(&str, &str)> = files.into_iter().map(|(path, text)| (&**path, &**text)).collect();
            // So that there is always something.
            let always = format!("{branch}\n");
            files.push(("zz", &always));
            github.push_quietly("bob", &name, branch, &files, "Work");
        };
        with(case.files.iter().filter_map(|(path, it)| Some((path, it.0.as_ref()?))).collect(), base);
        github.branch_from(&name, branch, base);
        let mut commands = String::new();
        let renames = |path: &str, it: &Versions| case.renames && path == NAMES[0] && it.0.is_some() && it.1.is_some();
        for (path, it) in &case.files {
            if renames(path, it) {
                commands.extend(["R ", path, " ", RENAMED, "\n"]);
            } else if it.1.is_none() {
                commands.extend(["D \"", &path.replace('"', "\\\"").replace('\t', "\\t"), "\"\n"]);
            }
        }
        github.rearrange("bob", &name, branch, &commands);
        for (path, it) in &case.files {
            let now = if renames(path, it) { RENAMED } else { path };
            after.extend(it.1.clone().map(|text| (now.to_owned(), text)));
            before.extend(it.0.clone().map(|text| (path.clone(), text)));
        }
        with(after.iter().collect(), branch);
        after.insert("README.md".to_owned(), README.to_owned());
        if case.base_moves {
            github.push_quietly("ada", &name, base, &[("a.rs", "moved\n"), ("else", "x\n")], "Go on");
        }
        let number = github.open_pull("bob", &name, branch, base, "Work").await;
        let head = github.head(&name, branch).unwrap();
        let bytes =
            diff(&self.git, (github.repo_id(&name), &repo), number, &head, &github.head(&name, base).unwrap()).await;
        Pull { repo, number, head, diff: Diff::parse(&bytes), after, before }
    }

    /// Whether the simulator takes a review of these comments.
    async fn takes(&self, pull: &Pull, comments: &[NewLine]) -> Result<(), String> {
        let new = NewReview { commit_id: &pull.head, body: "Review", event: ReviewEvent::Comment, comments };
        pull.repo.create_review(pull.number, &new).await.map(drop).map_err(|error| error.to_string())
    }

    async fn check(&self, case: &Case) -> Result<(), TestCaseError> {
        let pull = self.open(case).await;
        let head = |path: &str| pull.after.get(path).filter(|text| !text.contains('\0')).cloned();
        let placed = place(case.findings.clone(), &pull.diff, &head, ROOM);
        let comments: Vec<NewLine> = placed.inline.iter().map(new_line).collect();
        let taken = self.takes(&pull, &comments).await;
        prop_assert_eq!(&taken, &Ok(()), "{:#?}", comments);
        for path in placed.files.iter().map(|(_, path)| path).collect::<BTreeSet<_>>() {
            let made = pull.repo.file_comment(pull.number, &pull.head, path, "On the file").await;
            prop_assert!(made.is_ok(), "{path:?}: {made:?}");
        }
        let mut said = placed.inline.iter().map(|it| it.finding).collect::<Vec<_>>();
        said.extend(placed.files.iter().map(|it| it.0));
        said.extend(placed.annotations.iter().map(|it| it.finding));
        said.extend((0..case.findings.len()).filter(|at| placed.rungs[*at] == Rung::Table));
        said.sort_unstable();
        prop_assert_eq!(said, (0..case.findings.len()).collect::<Vec<_>>(), "each finding once");
        prop_assert_eq!(placed.table.len(), case.findings.len());
        for it in &placed.annotations {
            let lines = pull.after.get(&it.path).map_or(0, |text| text.lines().count().max(1));
            prop_assert!(1 <= it.start_line && it.start_line <= it.end_line && it.end_line as usize <= lines, "{it:?}");
        }
        for it in &placed.inline {
            stands_on_its_line(&pull, &placed, it)?;
        }
        self.nothing_fell_too_far(&pull, &placed)
    }

    /// What is not said on its own line could not have been.
    fn nothing_fell_too_far(&self, pull: &Pull, placed: &Placed) -> Result<(), TestCaseError> {
        let lines = self.github.commentable(&format!("{}#{}", pull.repo.name(), pull.number));
        for (finding, rung) in placed.findings.iter().zip(&placed.rungs).filter(|(_, rung)| **rung != Rung::Line) {
            let Some(line) = finding.line else { continue };
            let could = lines.contains(&(finding.path.clone(), finding.side.name(), u64::from(line)));
            prop_assert!(!could, "{finding:?} is on {rung:?}");
        }
        Ok(())
    }
}

/// The diff as a review reads it: fetched into a mirror of its own.
async fn diff(git: &Git, (id, repo): (u64, &Repo), number: u64, head: &str, base: &str) -> Vec<u8> {
    let (head, base): (Sha, Sha) = (head.parse().unwrap(), base.parse().unwrap());
    let mirror: Mirror = git.mirror(id).await.unwrap();
    let remote = Remote::new(git, &repo.name(), Some(repo.git_token(Scope::Fetch).await.unwrap())).unwrap();
    mirror.fetch(&remote, &[Want::PullAt(number, head.clone()), Want::Sha(base.clone())]).await.unwrap();
    let from = mirror.merge_base(&base, &head).await.unwrap().unwrap();
    mirror.diff(&from, &head, 1 << 20).await.unwrap().bytes
}

fn new_line(it: &Inline) -> NewLine {
    let body = format!("finding {}", it.finding);
    NewLine { path: it.path.clone(), body, line: it.line, side: it.side, start_line: it.start_line }
}

/// A comment that claims to be where its finding is, is on a line with the same words; a suggestion replaces just those.
fn stands_on_its_line(pull: &Pull, placed: &Placed, it: &Inline) -> Result<(), TestCaseError> {
    let finding = &placed.findings[it.finding];
    let line_of = |side: Side, line: u32| {
        // git may take any file that came for a renamed one that went.
        let before = || pull.diff.file(&it.path).and_then(|file| pull.before.get(file.old_path.as_ref()?));
        let text = if side == Side::Left { before() } else { pull.after.get(&it.path) };
        text.and_then(|text| text.split('\n').nth(line as usize - 1)).map(str::to_owned)
    };
    if let (None, Some(line)) = (it.moved_from, finding.line) {
        prop_assert_eq!(line_of(it.side, it.line), line_of(finding.side, line), "{:?} for {:?}", it, finding);
    }
    if it.suggestion.is_some() {
        let same = (it.side, it.start_line, Some(it.line)) == (Side::Right, finding.start_line, finding.line);
        prop_assert!(same && it.moved_from.is_none(), "{it:?} for {finding:?}");
    }
    Ok(())
}

#[test]
fn every_comment_is_on_a_line_that_github_knows() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stage = runtime.block_on(Stage::new());
    let config =
        ProptestConfig { cases: 10, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&case(), |case| runtime.block_on(stage.check(&case)));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

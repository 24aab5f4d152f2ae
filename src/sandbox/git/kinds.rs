//! Which changed files are what: what runs when it is pushed, the settings of agents, of git and of tools, and the tests that go.

use super::inspect::Change;

/// Names that coding agents obey wherever they find them, in lower case.
const AGENT_FILES: [&str; 12] = [
    "claude.md",
    "claude.local.md",
    "agents.md",
    "agents.override.md",
    "gemini.md",
    ".mcp.json",
    ".cursorrules",
    ".windsurfrules",
    ".clinerules",
    ".aider.conf.yml",
    "opencode.json",
    "opencode.jsonc",
];
/// Directories of theirs, wherever they are.
const AGENT_DIRS: [&str; 13] = [
    ".claude",
    ".cursor",
    ".codex",
    ".gemini",
    ".windsurf",
    ".clinerules",
    ".agents",
    ".opencode",
    ".roo",
    ".kiro",
    ".continue",
    ".junie",
    ".amazonq",
];
/// What stands below `.github/`.
const AGENT_GITHUB: [&str; 5] = ["copilot-instructions.md", "instructions/", "prompts/", "agents/", "cloud-agent.yml"];
/// Attributes decide what a diff shows and which program sees a file; the other name says where large files come from.
const GIT_FILES: [&str; 2] = [".gitattributes", ".lfsconfig"];
/// What other tools obey as soon as somebody opens, enters, builds or installs: tasks, hooks, registries, wrappers.
const TOOL_FILES: [&str; 11] = [
    ".envrc",
    ".npmrc",
    ".pnpmfile.cjs",
    ".yarnrc",
    ".yarnrc.yml",
    ".pre-commit-config.yaml",
    "lefthook.yml",
    ".devcontainer.json",
    "pip.conf",
    ".pypirc",
    "nuget.config",
];
/// Directories whose scripts run when somebody commits or opens the tree.
const GIT_DIRS: [&str; 4] = [".githooks", ".husky", ".devcontainer", ".lefthook"];
/// What stands in the directory of an editor or build tool and names programs to run.
const TOOL_PATHS: [&str; 8] = [
    ".vscode/tasks.json",
    ".vscode/launch.json",
    ".vscode/settings.json",
    ".vscode/mcp.json",
    ".cargo/config.toml",
    ".cargo/config",
    ".mvn/extensions.xml",
    ".mvn/jvm.config",
];
/// What runs with a team's secrets as soon as it is pushed, besides GitHub's own workflows. GitHub Actions stand in
/// `.github/workflows`; of the others each has one place.
const CI_FILES: [&str; 17] = [
    ".travis.yml",
    ".gitlab-ci.yml",
    "azure-pipelines.yml",
    "azure-pipelines.yaml",
    "jenkinsfile",
    ".drone.yml",
    ".woodpecker.yml",
    ".woodpecker.yaml",
    "bitbucket-pipelines.yml",
    ".cirrus.yml",
    ".cirrus.star",
    "appveyor.yml",
    ".appveyor.yml",
    "cloudbuild.yaml",
    "cloudbuild.yml",
    "buildspec.yml",
    "codemagic.yaml",
];
const CI_DIRS: [&str; 5] = [".circleci", ".buildkite", ".semaphore", ".woodpecker", ".teamcity"];
/// Binary files that show or sound, and do not run.
const SHOWN: [&str; 20] = [
    "png", "jpg", "jpeg", "gif", "webp", "avif", "bmp", "ico", "icns", "tif", "tiff", "woff", "woff2", "ttf", "otf",
    "eot", "mp3", "ogg", "wav", "pdf",
];
/// Directories of tests.
const TEST_DIRS: [&str; 7] = ["test", "tests", "spec", "specs", "__tests__", "e2e", "testdata"];

/// Whether a path, in lower case, is one of those that agents obey.
pub(super) fn is_agent_settings(path: &str) -> bool {
    let below = path.strip_prefix(".github/").is_some_and(|rest| {
        AGENT_GITHUB.iter().any(|name| if name.ends_with('/') { rest.starts_with(name) } else { rest == *name })
    });
    below || named(path, &AGENT_FILES, &AGENT_DIRS)
}

/// Whether a path, in lower case, says what git or another tool does on everybody's machine.
pub(super) fn is_git_settings(path: &str) -> bool {
    let ends = |tool: &str| path.strip_suffix(tool).is_some_and(|before| before.is_empty() || before.ends_with('/'));
    named(path, &GIT_FILES, &GIT_DIRS) || named(path, &TOOL_FILES, &[]) || TOOL_PATHS.iter().any(|it| ends(it))
}

/// Whether a path, in lower case, is run by a CI service when it is pushed. Case is ignored: on some systems `.GitHub` and
/// `.github` are one directory.
pub(super) fn is_workflow(path: &str) -> bool {
    path.starts_with(".github/workflows/") || path.starts_with(".github/actions/") || named(path, &CI_FILES, &CI_DIRS)
}

/// Whether a binary file of this path, in lower case, is a picture, a font or a sound.
pub(super) fn is_shown(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, kind)| SHOWN.contains(&kind))
}

fn named(path: &str, files: &[&str], dirs: &[&str]) -> bool {
    let mut parts = path.rsplit('/');
    parts.next().is_some_and(|name| files.contains(&name) || dirs.contains(&name))
        || parts.any(|dir| dirs.contains(&dir))
}

/// Whether a path is a test by one of the usual conventions.
fn is_test(path: &str) -> bool {
    let lower = path.to_lowercase();
    let mut parts = lower.rsplit('/');
    let name = parts.next().unwrap_or_default();
    // `x.test.ts`, `x_test.go`, `x-spec.js`, `test_x.py`; `XTest.java` by its capital letter.
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let capital = path.rsplit('/').next().and_then(|name| name.split('.').next()).is_some_and(|stem| {
        stem.len() > 4 && (stem.ends_with("Test") || stem.ends_with("Tests") || stem.ends_with("Spec"))
    });
    let by_name = name.split('.').skip(1).any(|part| part == "test" || part == "spec")
        || ["_test", "_tests", "_spec", "-test", "-spec"].iter().any(|end| stem.ends_with(end))
        || stem.starts_with("test_");
    by_name || capital || parts.any(|dir| TEST_DIRS.contains(&dir))
}

/// The tests that were removed or emptied, unless about as much of them came elsewhere.
pub(super) fn tests_lost(files: &[Change]) -> Vec<&Change> {
    let tests: Vec<_> = files.iter().filter(|change| is_test(&change.path_text())).collect();
    let is_lost = |change: &Change| change.size < change.old_size / 2;
    let gone: u64 = tests.iter().filter(|it| is_lost(it)).map(|it| it.old_size - it.size).sum();
    let came: u64 = tests.iter().map(|it| it.size.saturating_sub(it.old_size)).sum();
    if came >= gone.div_ceil(2) { Vec::new() } else { tests.into_iter().filter(|it| is_lost(it)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::git::Status;

    #[test]
    fn what_agents_and_git_obey() {
        for path in [
            "claude.md",
            "a/b/claude.md",
            "agents.md",
            ".claude/settings.json",
            "a/.claude/skills/x.md",
            ".mcp.json",
            ".cursor/rules/x.mdc",
            ".claude",
            ".github/copilot-instructions.md",
            ".github/instructions/x.md",
            ".github/cloud-agent.yml",
        ] {
            assert!(is_agent_settings(path), "{path}");
        }
        for path in
            ["claude.md.txt", "docs/claude", "my.mcp.json", ".github/dependabot.yml", "a/.github/prompts/x", "claude/x"]
        {
            assert!(!is_agent_settings(path), "{path}");
        }
        for (path, yes) in [
            (".gitattributes", true),
            ("a/.gitattributes", true),
            (".husky/pre-commit", true),
            (".githooks/x", true),
            (".envrc", true),
            ("web/.npmrc", true),
            (".devcontainer/devcontainer.json", true),
            (".vscode/tasks.json", true),
            ("a/.cargo/config.toml", true),
            (".vscode/extensions.json", false),
            ("x.cargo/config.toml", false),
            (".gitignore", false),
            ("husky/x", false),
        ] {
            assert_eq!(is_git_settings(path), yes, "{path}");
        }
    }

    #[test]
    fn what_runs_when_it_is_pushed() {
        for path in [
            ".github/workflows/ci.yml",
            ".github/actions/x/action.yml",
            ".circleci/config.yml",
            ".gitlab-ci.yml",
            "a/jenkinsfile",
        ] {
            assert!(is_workflow(path), "{path}");
        }
        for path in [".github/dependabot.yml", "circleci/config.yml", "docs/.gitlab-ci.yml.md", "jenkinsfile.md"] {
            assert!(!is_workflow(path), "{path}");
        }
    }

    #[test]
    fn tests_by_their_names() {
        for path in [
            "tests/a.rs",
            "a/__tests__/x.js",
            "a.test.ts",
            "a.spec.tsx",
            "pkg/a_test.go",
            "test_a.py",
            "src/UserTest.java",
            "spec/a_spec.rb",
        ] {
            assert!(is_test(path), "{path}");
        }
        for path in ["src/a.rs", "contest.py", "latest/x.js", "attest.go", "src/testing.rs", "protest.java", "Test.md"]
        {
            assert!(!is_test(path), "{path}");
        }
    }

    #[test]
    fn tests_that_go_without_others_coming() {
        let change = |path: &str, old_size, size| Change {
            status: if size == 0 { Status::Deleted } else { Status::Modified },
            path: path.into(),
            old_mode: 0o100_644,
            new_mode: if size == 0 { 0 } else { 0o100_644 },
            old: None,
            new: None,
            old_size,
            size,
            binary: false,
            added: 0,
            deleted: 0,
            target: None,
        };
        let lost = |files: &[Change]| tests_lost(files).iter().map(|it| it.path_text()).collect::<Vec<_>>();
        assert_eq!(lost(&[change("tests/a.rs", 900, 0), change("src/a.rs", 900, 0)]), ["tests/a.rs"]);
        assert_eq!(lost(&[change("tests/a.rs", 900, 100)]), ["tests/a.rs"]);
        assert!(lost(&[change("tests/a.rs", 900, 500)]).is_empty());
        assert!(lost(&[change("tests/a.rs", 900, 0), change("tests/b.rs", 0, 800)]).is_empty(), "it was moved");
        assert_eq!(lost(&[change("tests/a.rs", 900, 0), change("tests/b.rs", 0, 10)]), ["tests/a.rs"], "a fig leaf");
    }
}

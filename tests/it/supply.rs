//! What is fetched from elsewhere is held to a digest, or to a version where there is no digest to be had.

use std::fs;
use std::path::Path;

use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_package_of_npm_has_a_digest() {
    let lock: Value = serde_json::from_str(&read("script/npm/package-lock.json")).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    let fetched: Vec<_> = packages.iter().filter(|(name, _)| !name.is_empty()).collect();
    assert!(fetched.iter().any(|(name, _)| name.ends_with("@anthropic-ai/claude-code-linux-x64")));
    for (name, package) in fetched {
        assert!(package["integrity"].as_str().is_some_and(|it| it.starts_with("sha512-")), "{name}");
    }
    // And is asked for in one version: `npm ci` takes the lock file's word, `npm install` would not.
    let asked: Value = serde_json::from_str(&read("script/npm/package.json")).unwrap();
    for (name, version) in asked["dependencies"].as_object().unwrap() {
        assert!(version.as_str().unwrap().chars().all(|c| c.is_ascii_digit() || c == '.'), "{name}: {version}");
    }
    for file in ["script/setup", "Containerfile"] {
        assert!(read(file).contains("npm ci") && !read(file).contains("npm install"), "{file}");
    }
}

#[test]
fn every_package_of_pypi_has_digests() {
    let list = read("script/python/requirements.txt");
    let packages: Vec<_> = list.split("\n\n").skip(1).filter(|it| !it.trim().is_empty()).collect();
    assert!(packages.iter().any(|it| it.starts_with("schemathesis==")), "{list}");
    for package in packages {
        let mut lines = package.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.contains("==") && first.ends_with(" \\"), "{package}");
        assert!(package.contains("--hash=sha256:"), "{package}");
        assert!(lines.all(|line| line.trim().starts_with("--hash=sha256:")), "{package}");
    }
    let setup = read("script/setup");
    assert!(setup.contains("--only-binary=:all: --require-hashes -r script/python/requirements.txt"));
    assert_eq!(setup.matches("pip install").count(), 1);
}

#[test]
fn every_crate_has_a_digest() {
    let lock = read("Cargo.lock");
    for package in lock.split("[[package]]").skip(1) {
        let ours = !package.contains("source = ");
        assert!(ours || package.contains("checksum = "), "{package}");
        assert!(!package.contains("git+"), "{package}");
    }
}

#[test]
fn tools_are_installed_in_one_version_and_by_lock_file() {
    for file in ["script/setup", ".ci/run", ".github/workflows/ci.yml", ".github/workflows/release.yml"] {
        for line in read(file).lines().filter(|line| line.trim_start().starts_with("cargo install")) {
            assert!(line.contains("--locked") && line.contains("--version"), "{file}: {line}");
        }
    }
}

#[test]
fn of_others_actions_only_the_checkout_is_used() {
    for file in [".github/workflows/ci.yml", ".github/workflows/release.yml"] {
        let text = read(file);
        let used: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("- uses: ")).collect();
        assert!(used.iter().all(|action| action.starts_with("actions/checkout@")), "{file}: {used:?}");
        assert!(text.contains("permissions:\n  contents: read\n"), "{file}");
    }
}

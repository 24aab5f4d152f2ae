//! The second scene: a teammate opens a pull request, the bot reviews it by itself, and *Fix all* mends what it found.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use simulator::github::{Pull, Thread};
use simulator::model::{BUGGY_MAX, MAX_TEST};

use crate::Args;
use crate::clone::{self, TEST};
use crate::markdown;
use crate::play::{done, limit, seconds};
use crate::screen::{Screen, Style, say};
use crate::stage::{PERSON, REPO, Stage, TEAMMATE};
use crate::timeline::Timeline;

const BRANCH: &str = "max";
const TITLE: &str = "Add max";
const WORDS: &str = "`sh calc.sh max A B` prints the larger of two numbers.";
const TRY: &str = "sh calc.sh max 10 9";
const RIGHT: &str = "10";

/// From the merge of the first pull request to the end; the reviewed pull request holds the fix then.
pub async fn acts(args: &Args, screen: Screen, stage: &mut Stage, first: &Pull) -> Result<()> {
    screen.heading("A second scene: a review");
    say("");
    ensure!(stage.github.merge(PERSON, &format!("{REPO}#{}", first.number)).await, "#{} conflicts", first.number);
    done(screen, "merge", &format!("{PERSON} merges #{}", first.number));
    push(stage)?;
    let tested = clone::run(&stage.github, BRANCH, TEST).await?;
    ensure!(tested.passed, "the test on `{BRANCH}` should pass, and it says: {}", tested.output);
    let last = tested.output.lines().last().unwrap_or_default();
    done(screen, "test", &format!("`{TEST}` on {TEAMMATE}'s branch `{BRANCH}`: {last}"));
    let wrong = clone::run(&stage.github, BRANCH, TRY).await?.output;
    ensure!(wrong != RIGHT, "`{TRY}` should be wrong on `{BRANCH}`, and it says: {wrong}");
    say("");

    let began = Instant::now();
    let mut timeline = Timeline::start(screen, stage);
    timeline.tell(TEAMMATE, &format!("opens a pull request: {TITLE}"), Style::Bold);
    let number = stage.github.open_pull_saying(TEAMMATE, REPO, (BRANCH, "main"), TITLE, WORDS).await;
    let place = format!("{REPO}#{number}");
    let task = timeline.follow(stage, limit(args)).await?;
    let button = stage
        .github
        .check_runs(REPO)
        .into_iter()
        .rev()
        .find(|it| it.status == "completed" && it.actions.iter().any(|it| it.identifier == "fix"));
    let Some(button) = button else {
        bail!("the review has found nothing; it ended with `{}`", task["ending"].as_str().unwrap_or("?"));
    };
    let threads = stage.github.threads(&place);
    let before = stage.github.head(REPO, BRANCH).context("the branch has gone")?;

    timeline.tell(PERSON, "presses *Fix all* on the check run", Style::Bold);
    stage.github.click_action(PERSON, button.id, "fix").await;
    timeline.follow(stage, limit(args)).await?;
    // The push of the fix is reviewed too.
    let again = timeline.follow_another(stage, limit(args)).await?;
    let took = seconds(i64::try_from(began.elapsed().as_millis()).unwrap_or_default());

    if let Some(thread) = threads.first() {
        show(screen, number, thread);
    }
    screen.heading(&format!("The fix, on {TEAMMATE}'s branch"));
    say("");
    screen.diff(&stage.github.diff(REPO, &before, BRANCH));
    let after = clone::run(&stage.github, BRANCH, TRY).await?.output;
    say("");
    let style = if after == RIGHT { Style::Good } else { Style::Bad };
    say(&format!("  $ {TRY}\n  {}   before the fix: {wrong}", screen.paint(style, &after)));
    ensure!(after == RIGHT, "`{TRY}` is still wrong on `{BRANCH}`");
    let resolved = stage.github.threads(&place).iter().filter(|it| it.resolved_by.is_some()).count();
    ensure!(args.real_model || resolved == threads.len(), "a thread of the review is not resolved");
    say("");
    let threads = threads.len();
    let what = if again.is_some() { "its fix, reviewed" } else { "its fix" };
    let words = format!("From the pull request to {what}: {took}; {resolved} of {threads} review threads resolved.");
    say(&screen.paint(Style::Good, &words));
    if !args.real_model {
        screen.dim("A scripted model answers at once, a real one takes minutes. Its costs are made up.");
    }
    Ok(())
}

/// The teammate's work, on top of what is on `main` now.
fn push(stage: &Stage) -> Result<()> {
    let file = |path: &str| stage.github.file_at(REPO, "main", path).with_context(|| format!("`main` lacks {path}"));
    let (calc, test) = (file("calc.sh")?, file("test.sh")?);
    let Some((before, after)) = calc.rsplit_once("\"$@\"") else {
        bail!("calc.sh has another form than {TEAMMATE} expects:\n\n{calc}");
    };
    let calc = format!("{before}{BUGGY_MAX}\"$@\"{after}");
    let test = format!("{}\n{MAX_TEST}", test.trim_end());
    stage.github.push_quietly(TEAMMATE, REPO, BRANCH, &[("calc.sh", &calc), ("test.sh", &test)], TITLE);
    Ok(())
}

/// The first comment of a thread.
fn show(screen: Screen, number: u64, thread: &Thread) {
    let Some(comment) = thread.comments.first() else { return };
    let line = thread.line.map_or(String::new(), |it| format!(":{it}"));
    screen.heading(&format!("{} on #{number}, {}{line}", comment.author, thread.path));
    say("");
    markdown::print(screen, &comment.body);
}

//! The play: a bug is filed, somebody mentions the bot, everybody watches, and the result is looked at.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use simulator::github::Pull;

use crate::Args;
use crate::bot::sibling;
use crate::clone::{self, TEST};
use crate::markdown;
use crate::review;
use crate::screen::{Screen, Style, say};
use crate::stage::{PERSON, REPO, Set, Stage};
use crate::timeline::Timeline;

const TITLE: &str = "2 + 3 is -1";
const BUG: &str = "`sh calc.sh add 2 3` prints `-1`. It should print `5`.\n\n`sh test.sh` fails.";
const ORDER: &str = "@cloud-agent fix this";
/// The scripted model needs seconds, the real one minutes.
const SCRIPTED: Duration = Duration::from_mins(3);
const REAL: Duration = Duration::from_mins(20);

/// From the empty stage to the end; an error says what went wrong, with the end of the bot's log.
pub async fn play(args: &Args, screen: &Screen) -> Result<()> {
    let screen = *screen;
    introduce(args, screen);
    let set = Set::build(args.real_model).await?;
    tokio::task::block_in_place(|| set.recipe.examine())?;
    done(screen, "machine", "has all that a run needs (`cloud-agent doctor`)");
    let mut stage = set.enter().await?;
    done(screen, "bot", &format!("`cloud-agent serve` at {}", stage.bot.url));
    let acted = async {
        let pull = acts(args, screen, &mut stage).await?;
        review::acts(args, screen, &mut stage, &pull).await
    };
    if let Err(error) = acted.await {
        bail!("{error:#}\n\nThe bot's log ends with:\n\n{}", stage.recipe.tail());
    }
    if args.keep { stay(screen, &stage).await } else { Ok(()) }
}

fn introduce(args: &Args, screen: Screen) {
    say(&screen.paint(Style::Bold, "cloud-agent: a mention on GitHub becomes a pull request"));
    let model = if args.real_model { "the real Claude API, with your key" } else { "a scripted model" };
    screen.dim(&format!("Simulated: GitHub (127.0.0.1){}.", if args.real_model { "" } else { " and the model" }));
    screen.dim(&format!("Real: the bot, git, the sandbox, Claude Code. It talks to {model}."));
    say("");
}

pub fn done(screen: Screen, what: &str, words: &str) {
    say(&format!(" {}  {what:<8} {words}", screen.paint(Style::Good, "✓")));
}

/// From the bug to the pull request.
async fn acts(args: &Args, screen: Screen, stage: &mut Stage) -> Result<Pull> {
    let number = stage.github.open_issue(PERSON, REPO, TITLE, BUG).await;
    let place = format!("{REPO}#{number}");
    done(screen, "bug", &format!("{PERSON} opens {place}: {TITLE}"));
    let before = clone::run(&stage.github, "main", TEST).await?;
    ensure!(!before.passed, "the test of `main` should fail, and it says: {}", before.output);
    let line = format!(" {}  {:<8} `{TEST}` on `main`: {}", screen.paint(Style::Bad, "✗"), "test", before.output);
    say(&line);
    say("");

    let mut timeline = Timeline::start(screen, stage);
    timeline.tell(PERSON, &format!("comments: {ORDER}"), Style::Bold);
    let delivered = stage.github.comment(PERSON, &place, ORDER).await;
    ensure!(delivered.status == 202, "the bot answered the webhook with {}", delivered.status);
    timeline.tell("bot", "has stored the webhook and answers 202", Style::Bold);
    let task = timeline.follow(stage, limit(args)).await?;
    let Some(pull) = stage.github.pulls(REPO).pop() else {
        show_comment(screen, stage, &place);
        bail!("there is no pull request; the task ended with `{}`", task["ending"].as_str().unwrap_or("?"));
    };
    show_pull(screen, stage, &pull);
    show_comment(screen, stage, &place);
    let after = clone::run(&stage.github, &pull.head, TEST).await?;
    screen.heading("The test on the pull request's branch");
    say("");
    let style = if after.passed { Style::Good } else { Style::Bad };
    say(&format!("  $ {TEST}\n  {}", screen.paint(style, &after.output)));
    ensure!(after.passed, "the test still fails on `{}`", pull.head);
    say("");
    let pull_at = timeline.pull_at.map_or_else(|| "?".to_owned(), seconds);
    let words = format!("From the comment to the pull request: {pull_at}; to the last word: {}.", took(&task));
    say(&screen.paint(Style::Good, &words));
    Ok(pull)
}

/// How long one task may take.
pub fn limit(args: &Args) -> Duration {
    if args.real_model { REAL } else { SCRIPTED }
}

fn show_pull(screen: Screen, stage: &Stage, pull: &Pull) {
    screen.heading(&format!("Pull request #{}", pull.number));
    say("");
    say(&format!("  {}", screen.paint(Style::Bold, &pull.title)));
    let from = format!("  {} wants to merge {} into {}", pull.author, pull.head, pull.base);
    screen.dim(&from);
    say("");
    markdown::print(screen, &pull.body);
    say("");
    screen.diff(&stage.github.diff(REPO, &pull.base, &pull.head));
}

fn show_comment(screen: Screen, stage: &Stage, place: &str) {
    let said = stage.github.comments(place);
    let Some(comment) = said.iter().rev().find(|it| it.author != PERSON) else { return };
    screen.heading(&format!("The comment of {} on {place}", comment.author));
    say("");
    markdown::print(screen, &comment.body);
}

/// How long a task took by the bot's own clock.
fn took(task: &Value) -> String {
    let [from, to] = ["created_at", "ended_at"].map(|it| task[it].as_i64().unwrap_or_default());
    seconds(to - from)
}

pub fn seconds(millis: i64) -> String {
    format!("{:.1} s", millis as f64 / 1000.0)
}

/// Say how to look around, and wait until somebody ends it.
async fn stay(screen: Screen, stage: &Stage) -> Result<()> {
    let here = stage.github.url();
    screen.heading("Everything is still running; Ctrl-C ends it");
    let code = |text: &str| say(&format!("    {}", screen.paint(Style::Code, text)));
    say("\n  Look:");
    code(&format!("{here}/{REPO}/issues/1"));
    for pull in stage.github.pulls(REPO) {
        code(&format!("{here}/{REPO}/pull/{}", pull.number));
    }
    let last = stage.github.pulls(REPO).last().map_or(1, |it| it.number);
    say("\n  Press the buttons of its check run, or comment (the page below reloads itself while the bot works):");
    code(&format!("curl {here}/_control/comment \\"));
    code(&format!("  -d '{{\"where\":\"{REPO}#{last}\",\"text\":\"@cloud-agent review\"}}'"));
    code(&format!("{here}/{REPO}/pull/{last}?live"));
    say("\n  Ask the bot:");
    code(&format!("export CA_URL={}", stage.bot.url));
    code(&format!("export CA_API_KEY={}", stage.bot.key));
    let ca = sibling("ca")?;
    let from_here =
        std::env::current_dir().ok().and_then(|dir| ca.strip_prefix(dir).ok().map(std::path::Path::to_owned));
    code(&format!("{} task list", from_here.unwrap_or(ca).display()));
    say(&format!("\n  The bot's log: {}\n", stage.recipe.log.display()));
    stage.github.told();
    loop {
        for line in stage.github.told() {
            screen.dim(&crate::screen::fit(line.lines().next().unwrap_or_default(), screen.width));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

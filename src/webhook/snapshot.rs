//! The issue or pull request as it is at this moment: what the agent will read, and what was decided by. Title, text and
//! the asking comment come from the signed payload, so that an edit between the ask and now changes nothing.

use std::collections::BTreeMap;

use futures::future::join_all;
use tracing::warn;

use super::ask::Order;
use super::asof;
use super::event::Ask;
use super::handle::{Desk, Trouble};
use crate::github::{self, Author, CheckRun, Error, PullRequest, Remark, Repo, ReviewComment};
use crate::task::rules::{self, Rules};
use crate::task::{
    Account, Approval, Asker, FailedCheck, Lane, LinkedIssue, PullSnapshot, Role, Said, Snapshot, Standing, Thread,
    ThreadRemark, Trigger, closes, lane,
};
use crate::text;

/// The newest comments of a thread that the agent is given, and the most of each, in characters.
const REMARKS: usize = 100;
const LONGEST_REMARK: usize = 16_000;
/// People of a thread whose rights are asked for; beyond that they count as unknown.
const PEOPLE: usize = 12;
/// Conversations on lines, issues that are closed, and failed checks that the agent is given.
const THREADS: usize = 60;
const REPLIES: usize = 20;
const LINKED: usize = 3;
const CHECKS: usize = 6;
/// The end of a failed job's log, in bytes.
const LOG: usize = 24 << 10;

/// What the repository says of itself.
pub struct Setting {
    pub default: github::Default,
    /// The text of its settings file; empty without one.
    pub text: String,
    pub rules: Rules,
}

impl Setting {
    /// Read the default branch's head and the settings on it.
    pub async fn of(desk: &Desk<'_>, default_branch: &str) -> Result<Self, Trouble> {
        let default = desk.repo.default_branch(default_branch).await?;
        let file = match &default.head {
            Some(head) => settings_at(desk, head).await?,
            None => None,
        };
        let text = file.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let rules = rules::read(&text).unwrap_or_else(|mistakes| {
            warn!("{}: {} has {}; the defaults hold", desk.repo.name(), rules::FILE, rules::counted(&mistakes));
            Rules::default()
        });
        Ok(Self { default, text, rules })
    }
}

/// The settings file of a commit. One that GitHub does not give for its size is a mistake like any other.
pub async fn settings_at(desk: &Desk<'_>, commit: &str) -> Result<Option<Vec<u8>>, Trouble> {
    match desk.repo.file(rules::FILE, commit).await {
        Ok(file) => Ok(file.map(|file| file.bytes)),
        Err(Error::Invalid(_)) => Ok(Some(b"this file is too large to be read".to_vec())),
        Err(error) => Err(error.into()),
    }
}

/// What was said in one review: its own text, and its comments in their order.
pub async fn review(desk: &Desk<'_>, number: u64, review_id: u64) -> Result<(String, Vec<ThreadRemark>), Trouble> {
    let (reviews, comments) = tokio::join!(desk.repo.reviews(number), desk.repo.review_comments_of(number, review_id));
    let body = reviews?.into_iter().find(|it| it.id == review_id).and_then(|it| it.body).unwrap_or_default();
    let said = comments?
        .into_iter()
        .map(|it| ThreadRemark {
            thread: it.in_reply_to_id.unwrap_or(it.id),
            path: it.path,
            line: it.line.or(it.original_line),
            body: it.body.unwrap_or_default(),
        })
        .collect();
    Ok((body, said))
}

/// Take the snapshot.
pub async fn take(
    desk: &Desk<'_>,
    ask: &Ask,
    setting: &Setting,
    pull: Option<&PullRequest>,
    order: &Order,
    review: Vec<ThreadRemark>,
) -> Result<Snapshot, Trouble> {
    let repo = &desk.repo;
    let number = ask.place.number;
    let remarks = async {
        match ask.has_comments {
            true => repo.comments(number).await,
            false => Ok(Vec::new()),
        }
    };
    let lines = async {
        match pull {
            Some(_) => repo.review_comments(number).await,
            None => Ok(Vec::new()),
        }
    };
    let (remarks, lines) = tokio::join!(remarks, lines);
    let (mut remarks, mut lines) = (remarks?, lines?);
    asof::remarks(&mut remarks, ask);
    asof::lines(&mut lines, ask);
    let before = match ask.trigger {
        Trigger::Comment { id } => id,
        _ => u64::MAX,
    };
    // What we said in a conversation tells the agent nothing about its subject.
    // With a person's own token it was said in their name.
    let ours = |remark: &Remark| {
        let by_us = remark.user.as_ref().is_some_and(|user| user.id == desk.us);
        by_us || remark.body.as_deref().is_some_and(text::is_marked)
    };
    remarks.retain(|remark| remark.id < before && !ours(remark));
    remarks.drain(..remarks.len().saturating_sub(REMARKS));
    let mut linked = match pull {
        Some(_) => linked(repo, &ask.body).await?,
        None => Vec::new(),
    };
    let people = people(ask, &remarks, &lines, &linked);
    let trusted = trust(repo, ask, people).await?;
    let knows = |user: Option<&Author>| user.and_then(|user| trusted.get(&user.id).copied().flatten());
    // Writers may change what they like; a stranger's issue is not read as it was made afterwards.
    for (_, issue) in linked.iter_mut().filter(|(_, issue)| knows(issue.user.as_ref()) != Some(true)) {
        asof::issue(issue, ask);
    }
    let thread = remarks
        .into_iter()
        .map(|remark| said(desk, remark.user.as_ref(), remark.body, (remark.created_at, remark.updated_at), &trusted))
        .collect();
    let pull_part = match pull {
        Some(pull) => Some(PullSnapshot {
            head_sha: pull.head.sha.clone(),
            head_branch: pull.head.branch.clone(),
            same_repository: !pull.is_from_fork(),
            by_us: pull.user.as_ref().is_some_and(|user| user.id == desk.us),
            threads: threads(desk, number, lines, &trusted).await?,
            checks: failed_checks(repo, &pull.head.sha, desk.app.config.github.app_id).await?,
            linked: linked
                .into_iter()
                .map(|(number, issue)| LinkedIssue {
                    number,
                    trusted: knows(issue.user.as_ref()),
                    title: issue.title,
                    body: text::cut(&issue.body.unwrap_or_default(), LONGEST_REMARK),
                    author: issue.user.map_or_else(ghost, |user| user.login),
                })
                .collect(),
            asked_in: match ask.trigger {
                Trigger::ReviewComment { thread, .. } => Some(thread),
                _ => None,
            },
            review,
        }),
        None => None,
    };
    let (base_branch, base_sha) = match pull {
        Some(pull) => (pull.base.branch.clone(), pull.base.sha.clone()),
        None => (setting.default.branch.clone(), setting.default.head.clone().unwrap_or_default()),
    };
    let (approval, void) = match pull {
        Some(pull) => approvals(desk, ask, pull).await?,
        None => (None, None),
    };
    let by_us = ask.author.as_ref().is_some_and(|author| author.id == desk.us);
    let snapshot = Snapshot {
        title: ask.title.clone(),
        body: if by_us { text::without_markers(&ask.body) } else { ask.body.clone() },
        author_trusted: ask.author.as_ref().and_then(|author| trusted.get(&author.id).copied().flatten()),
        author: ask.author.as_ref().map_or_else(ghost, |author| author.login.clone()),
        labels: ask.labels.clone(),
        thread,
        comment: ask.comment.clone(),
        default_branch: setting.default.branch.clone(),
        base_branch,
        base_sha,
        lane: Lane::Untrusted,
        ground: None,
        asker_writes: Some(order.asker == Asker::Writer),
        approval,
        void,
        asked_at: ask.asked_at.clone(),
        goes_on: order.goes_on,
        rules: setting.text.clone(),
        rules_at: setting.default.head.clone().unwrap_or_default(),
        pull: pull_part,
    };
    let standing = Standing {
        asker: order.asker,
        fork: pull.is_some_and(PullRequest::is_from_fork),
        approved: snapshot.approval.is_some(),
        strangers: snapshot.has_unseen_words(&desk.app.github.identity().await?.bot_login),
        inherited: inherits(desk, ask, order).await?,
    };
    let (lane, ground) = lane(standing);
    Ok(Snapshot { ground: Some(ground), lane, ..snapshot })
}

/// The approval that holds for the head, or else the newest one that holds no more.
async fn approvals(
    desk: &Desk<'_>,
    ask: &Ask,
    pull: &PullRequest,
) -> Result<(Option<Approval>, Option<Approval>), Trouble> {
    let all = desk.app.store.approvals(&ask.place).await?;
    let is_it = |it: &Approval| it.is_of(&pull.head.sha, &pull.base.branch);
    let holds = all.iter().find(|(approval, void)| !void && is_it(approval)).map(|(it, _)| it.clone());
    let void = if holds.is_some() { None } else { all.into_iter().next().map(|(it, _)| it) };
    Ok((holds, void))
}

/// Whether what this goes on from was guarded: the task that has opened the pull request, and what else was done on it; on
/// an issue the conversation that is continued.
async fn inherits(desk: &Desk<'_>, ask: &Ask, order: &Order) -> Result<bool, Trouble> {
    let (store, place) = (&desk.app.store, &ask.place);
    // A button orders what a review has found, in its words, and a stranger may have put them there.
    let button = ask.trigger == Trigger::Button;
    let guarded = |lane: Lane| lane == Lane::Guarded || button && lane == Lane::Untrusted;
    if ask.on_pull
        && let Some(opener) = store.task_that_opened(place.repository_id, place.number).await?
        && guarded(opener.snapshot.lane)
    {
        return Ok(true);
    }
    if !ask.on_pull && !order.goes_on {
        return Ok(false);
    }
    let earlier = store.tasks_of_thread(place.repository_id, place.number).await?;
    Ok(earlier.iter().any(|task| guarded(task.snapshot.lane)))
}

/// The people of a thread, for whom GitHub is asked what they may do.
fn people(
    ask: &Ask,
    remarks: &[Remark],
    lines: &[ReviewComment],
    linked: &[(u64, github::Issue)],
) -> BTreeMap<u64, String> {
    let remarks = remarks.iter().filter_map(|it| it.user.as_ref());
    let lines = lines.iter().filter_map(|it| it.user.as_ref());
    let linked = linked.iter().filter_map(|(_, it)| it.user.as_ref());
    ask.author
        .iter()
        .map(|author| (author.id, author.login.clone()))
        .chain(remarks.chain(lines).chain(linked).map(|user| (user.id, user.login.clone())))
        .filter(|(id, login)| *id != ask.asker.id && !login.ends_with("[bot]"))
        .take(PEOPLE)
        .collect()
}

/// What GitHub will not show us is left out. What it can't show just now is asked for later: nobody would see the gap.
fn seen<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_final() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn trust(repo: &Repo, ask: &Ask, people: BTreeMap<u64, String>) -> Result<BTreeMap<u64, Option<bool>>, Error> {
    let mut asked = people;
    // Whoever holds a key that makes tasks counts as somebody who may write: the operator has given it to them.
    let by_key = (!ask.asker.is_on_github()).then_some((ask.asker.id, Some(true)));
    if by_key.is_none() {
        asked.insert(ask.asker.id, ask.asker.login.clone());
    }
    let asked = asked.into_iter().map(|(id, login)| async move {
        let role = seen(repo.role_of(&Account { id, login }).await)?;
        Ok::<_, Error>((id, role.map(Role::can_write)))
    });
    join_all(asked).await.into_iter().chain(by_key.map(Ok)).collect()
}

fn said(
    desk: &Desk<'_>,
    user: Option<&Author>,
    body: Option<String>,
    (at, changed): (String, String),
    trusted: &BTreeMap<u64, Option<bool>>,
) -> Said {
    let body = body.unwrap_or_default();
    // What we hide in our own words is no secret of anybody's.
    let ours = user.is_some_and(|user| user.id == desk.us);
    let body = if ours { text::without_markers(&body) } else { body };
    Said {
        trusted: user.and_then(|user| trusted.get(&user.id).copied().flatten()),
        author: user.map_or_else(ghost, |user| user.login.clone()),
        body: text::cut(&body, LONGEST_REMARK),
        changed: if changed == at { String::new() } else { changed },
        at,
    }
}

/// The conversations on lines, with whether somebody has resolved them. Without the right to see that they count as open.
async fn threads(
    desk: &Desk<'_>,
    number: u64,
    lines: Vec<ReviewComment>,
    trusted: &BTreeMap<u64, Option<bool>>,
) -> Result<Vec<Thread>, Error> {
    let known = match lines.is_empty() {
        true => Vec::new(),
        false => seen(desk.repo.threads(number).await)?.unwrap_or_default(),
    };
    let resolved = |id: u64| {
        let mut of =
            known.iter().filter(|thread| thread.comments.first().is_some_and(|first| first.database_id == Some(id)));
        of.any(|thread| thread.is_resolved)
    };
    let mut threads: Vec<Thread> = Vec::new();
    for it in lines {
        let what = said(desk, it.user.as_ref(), it.body, (it.created_at, it.updated_at), trusted);
        match it.in_reply_to_id.and_then(|top| threads.iter_mut().find(|thread| thread.id == top)) {
            Some(thread) => thread.said.push(what),
            None => threads.push(Thread {
                id: it.id,
                path: it.path,
                line: it.line.or(it.original_line),
                resolved: resolved(it.id),
                ours: it.user.is_some_and(|user| user.id == desk.us),
                said: vec![what],
            }),
        }
    }
    threads.drain(..threads.len().saturating_sub(THREADS));
    for thread in &mut threads {
        // What it is about, and how it ended.
        let much = thread.said.len().saturating_sub(REPLIES);
        thread.said.drain(1..=much.min(thread.said.len() - 1));
    }
    Ok(threads)
}

/// What other Apps' checks say that failed, as far as we may read it: Actions takes a permission of its own.
async fn failed_checks(repo: &Repo, head: &str, us: Option<u64>) -> Result<Vec<FailedCheck>, Error> {
    let Some(runs) = seen(repo.checks_of(head).await)? else {
        warn!("GitHub does not show us the checks of the head");
        return Ok(Vec::new());
    };
    let failed = |run: &CheckRun| {
        matches!(run.conclusion.as_deref(), Some("failure" | "timed_out" | "action_required"))
            && run.app.as_ref().is_none_or(|app| Some(app.id) != us)
    };
    let runs = runs.into_iter().filter(failed).take(CHECKS).map(|run| async move {
        // GitHub Actions gives the check run of a job the job's own id.
        let actions = run.app.as_ref().is_some_and(|app| app.slug.as_deref() == Some("github-actions"));
        let log = match actions {
            true => log_of(repo, run.id).await?,
            false => String::new(),
        };
        let says = [run.output.title, run.output.summary].into_iter().flatten().collect::<Vec<_>>().join("\n");
        Ok::<_, Error>(FailedCheck {
            name: run.name,
            conclusion: run.conclusion.unwrap_or_default(),
            says: text::cut(&text::redact(&says), 4_000),
            log: text::redact(&log),
        })
    });
    join_all(runs).await.into_iter().collect()
}

/// The end of a failed job's log. Logs are kept on another host, which may be out of our reach for good: that is said, and
/// the work goes on.
async fn log_of(repo: &Repo, job: u64) -> Result<String, Error> {
    match repo.job_log_tail(job, LOG).await {
        Ok(log) => Ok(log.unwrap_or_default()),
        Err(error @ Error::Limited { .. }) => Err(error),
        Err(error) => {
            warn!(github.job = job, "A job's log is left out: {error}");
            Ok("(the log of this job could not be fetched)".to_owned())
        }
    }
}

/// The issues that the pull request's text says it closes, as far as we may read them.
async fn linked(repo: &Repo, body: &str) -> Result<Vec<(u64, github::Issue)>, Error> {
    let numbers = closes(body).into_iter().take(LINKED);
    let read = numbers.map(|number| async move {
        let issue = seen(repo.issue(number).await)?;
        Ok::<_, Error>(issue.map(|issue| (number, issue)))
    });
    let read: Result<Vec<_>, Error> = join_all(read).await.into_iter().collect();
    Ok(read?.into_iter().flatten().collect())
}

fn ghost() -> String {
    "ghost".to_owned()
}

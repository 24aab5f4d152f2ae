//! Work that ends in commits: for an issue on a branch of its own, on a pull request on that one's branch.

use tracing::warn;

use super::{ATTEMPTS, Halt, Run, publish};
use crate::report::{self, Outbox, Undone};
use crate::task::{Ending, Kind, Progress, Published, State, Work};

/// From where the task stands to its ending.
pub async fn work(run: &Run<'_>, outbox: &Outbox<'_>) -> Result<Ending, Halt> {
    let (work, published) = match published(run).await? {
        // Past the point where anything can be stopped or given up: people see the branch.
        Some((work, published)) => {
            // The attempt that has published may not have come so far.
            run.keep_work(&work).await;
            (work, published)
        }
        None => {
            let work = work_to_publish(run).await?;
            // Whoever was told that it stops reads nothing of it afterwards.
            run.check_cancel()?;
            run.show(|view| view.work = Some(work.clone()));
            let Some(head) = work.head.clone() else {
                return nothing_changed(run, outbox, work).await;
            };
            let aside = work.aside.clone();
            let work = run.before_publishing(work).await?;
            if work.aside != aside {
                // Whoever tells how it ended has to know why, and that may be another attempt.
                run.note(&Progress { work: Some(work.clone()), ..Progress::default() }).await?;
            }
            run.show(|view| view.work = Some(work.clone()));
            if !run.may_push() || work.is_a_patch() {
                run.check_cancel()?;
                answer(run, outbox, &work, None).await?;
                return Ok(Ending { by: Some(run.task.requester.login.clone()), ..Ending::new("patch", "") });
            }
            run.begin_publishing().await?;
            run.show(|view| view.step = "publishing");
            let made = head.clone();
            let (work, published) = match run.task.kind {
                Kind::Pull if !run.is_of_fork() => run.push_onto(work).await?,
                _ => {
                    let branch = run.push(&work).await?;
                    let work = Work { branch: branch.clone(), ..work };
                    (work, Published { branch, head, pull: None })
                }
            };
            run.record(&progress(&work, &published)).await?;
            if published.head != made {
                // On top of what others have pushed meanwhile.
                run.keep_work(&work).await;
            }
            (work, published)
        }
    };
    run.advance(State::Publishing).await?;
    let work = Work { branch: published.branch.clone(), ..work };
    run.show(|view| view.work = Some(work.clone()));
    let ending = match run.task.kind == Kind::Pull && work.is_on_the_pull() {
        true => Ending::new("pushed", ""),
        false => open_pull(run, outbox, &work, &published).await?,
    };
    let (money, elapsed) = (run.money(), run.elapsed());
    let checked = match run.task.own_token {
        true => Err(Undone::Refused("only Apps make check runs, and this is done with a person's token".to_owned())),
        false => report::check(outbox, run.repo, run.task, &work, &published.head, money, elapsed).await,
    };
    match checked {
        Ok(_) => (),
        Err(Undone::Refused(why)) if run.task.own_token => run.log.step("no check run", &why),
        // Without the permission for checks the comment and the pull request still say everything.
        Err(Undone::Refused(why)) => warn!("GitHub does not let us make a check run: {why}"),
        Err(other) => return Err(Halt::Pause(other.into())),
    }
    // What stands aside settles nothing yet.
    let settles = (ending.code == "pushed").then_some(published.head.as_str());
    answer(run, outbox, &work, settles).await?;
    Ok(ending)
}

/// What an earlier attempt has put on GitHub.
async fn published(run: &Run<'_>) -> Result<Option<(Work, Published)>, Halt> {
    let Some(work) = &run.task.progress.work else { return Ok(None) };
    if let Some(published) = &run.task.progress.published {
        return Ok(Some((work.clone(), published.clone())));
    }
    // Where the work is on this machine, pushing it once more finds it there.
    if run.job.claimed.attempts >= ATTEMPTS || run.still_has(work).await? {
        return Ok(None);
    }
    let there = run.pushed_before(work).await?;
    if let Some((work, published)) = &there {
        run.record(&progress(work, published)).await?;
    }
    Ok(there)
}

async fn open_pull(run: &Run<'_>, outbox: &Outbox<'_>, work: &Work, published: &Published) -> Result<Ending, Halt> {
    let (money, elapsed) = (run.money(), run.elapsed());
    let pull = report::pull(outbox, run.repo, run.task, work, money, elapsed).await.map_err(publish::refused)?;
    if published.pull.is_none() {
        run.log.step("pull_request", &format!("#{}", pull.number));
        let published = Published { pull: Some(pull.number), ..published.clone() };
        run.record(&progress(work, &published)).await?;
    }
    // An attempt that died over it may have opened it long ago.
    Ok(Ending { pull: Some(pull.number), ..Ending::new("pull_request", pull.fate().unwrap_or_default()) })
}

/// A question has its answer, or there was nothing to do.
async fn nothing_changed(run: &Run<'_>, outbox: &Outbox<'_>, work: Work) -> Result<Ending, Halt> {
    if run.task.kind == Kind::Issue && run.task.place.has_thread() && run.may_push() {
        return Ok(Ending::new("no_change", work.summary));
    }
    answer(run, outbox, &work, None).await?;
    Ok(Ending::new("answered", ""))
}

async fn answer(run: &Run<'_>, outbox: &Outbox<'_>, work: &Work, head: Option<&str>) -> Result<(), Halt> {
    report::answer(outbox, run.repo, run.task, work, head).await.map_err(|undone| Halt::Pause(undone.into()))
}

/// What an earlier attempt has made, if it can be had, or what the agent makes now. It is kept before anything can go wrong
/// with publishing it, for scripts and for other machines.
async fn work_to_publish(run: &Run<'_>) -> Result<Work, Halt> {
    if run.job.claimed.attempts >= ATTEMPTS {
        return Err(Halt::End(Ending::new("gave_up", "")));
    }
    run.check_stop()?;
    if let Some(work) = &run.task.progress.work {
        if run.still_has(work).await? {
            // The attempt that has made it may not have come so far.
            run.keep_work(work).await;
            return Ok(work.clone());
        }
        if run.bring_back(work).await? {
            return Ok(work.clone());
        }
    }
    run.check_host()?;
    run.advance(State::Running).await?;
    let work = run.make().await?;
    run.record(&Progress { work: Some(work.clone()), ..Progress::default() }).await?;
    run.keep_work(&work).await;
    Ok(work)
}

fn progress(work: &Work, published: &Published) -> Progress {
    Progress { work: Some(work.clone()), published: Some(published.clone()), ..Progress::default() }
}

//! Tasks: asked for, looked at, stopped.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::Url;
use uuid::Uuid;

use super::args::{Again, Brought, Page, Subject, Task, TaskList, Terms};
use super::follow::{Show, follow};
use super::screen::{escaped_json, hint, tell};
use super::server::Answer;
use super::trouble::Trouble;
use super::{Ca, artifacts, picture, screen, show};
use crate::api::{Accepted, Given, LogPage, NewOrder, Resumed, Retried as Sent, TaskPage, TaskView};

pub async fn run(ca: &Ca, command: &Task) -> Result<ExitCode> {
    match command {
        Task::Create { prompt, repo, r#ref, terms } => {
            let prompt = words(prompt)?;
            create(ca, prompt, repo.clone(), r#ref.clone(), terms).await
        }
        Task::Get { task } => {
            let answer = ca.server.get(&["api", "v1", "tasks", task], &[]).await?;
            one(ca, answer)
        }
        Task::List(asked) => list(ca, asked).await,
        Task::Logs { task, follow: true } => follow(ca, task, Show::Lines, None).await,
        Task::Logs { task, follow: false } => logs(ca, task).await,
        Task::Wait { task, timeout } => follow(ca, task, Show::End, timeout.map(|it| it.0)).await,
        Task::Cancel { task } => {
            let answer = ca.server.post::<()>(&["api", "v1", "tasks", task, "cancel"], None).await?;
            let json = answer.json.clone();
            let made: Accepted = answer.read()?;
            tell(&if ca.json { json } else { format!("{}  {}", made.task_id, screen::status(&made.status)) });
            Ok(ExitCode::SUCCESS)
        }
        Task::Resume { task, prompt, again } => {
            let Sent { anthropic_api_key, github_token, callback_url, callback_secret } = sent(&again.brought)?;
            let prompt = words(prompt)?;
            let body = Resumed { prompt, anthropic_api_key, github_token, callback_url, callback_secret };
            make(ca, &["api", "v1", "tasks", task, "resume"], Some(&body), again).await
        }
        Task::Retry { task, again } => {
            let body = sent(&again.brought)?;
            make(ca, &["api", "v1", "tasks", task, "retry"], Some(&body), again).await
        }
        Task::Diff { task } => artifacts::diff(ca, task).await,
        Task::Download(asked) => artifacts::download(ca, asked).await,
    }
}

/// Ask for work on an issue or a pull request: the same as asking for it with its address in the words.
pub async fn on_subject(ca: &Ca, verb: &str, kind: &str, subject: &Subject, more: Option<&str>) -> Result<ExitCode> {
    let url = address(kind, subject)?;
    let mut prompt = format!("{verb} {url}");
    if let Some(more) = more {
        prompt = format!("{prompt}\n\n{}", words(more)?);
    }
    // Not the name alone: on another GitHub than the server's there may be another repository of that name.
    create(ca, prompt, Some(url.into()), None, &subject.terms).await
}

/// Its address.
fn address(kind: &str, subject: &Subject) -> Result<Url> {
    let wrong = || {
        let says = format!(
            "give the number with `--repo owner/name`, or an address such as {}octo/app/{kind}/123",
            subject.github_url
        );
        Trouble::Usage(says)
    };
    if let Ok(number) = subject.number.trim_start_matches('#').parse::<u64>() {
        let repo = subject.repo.as_deref().filter(|it| it.split('/').filter(|part| !part.is_empty()).count() == 2);
        let repo = repo.ok_or_else(wrong)?;
        let mut url = subject.github_url.clone();
        let parts = repo.split('/').chain([kind]).map(str::to_owned).chain([number.to_string()]);
        url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(parts);
        return Ok(url);
    }
    let url: Url = subject.number.parse().map_err(|_| wrong())?;
    let parts: Vec<&str> = url.path_segments().map(Iterator::collect).unwrap_or_default();
    match parts[..] {
        [.., _owner, _name, of, number] if of == kind && number.parse::<u64>().is_ok() => Ok(url),
        _ => Err(wrong().into()),
    }
}

async fn create(
    ca: &Ca,
    prompt: String,
    repo: Option<String>,
    branch: Option<String>,
    terms: &Terms,
) -> Result<ExitCode> {
    let (repository_url, repo) = match repo {
        Some(url) if url.contains("://") => (Some(url), None),
        name => (None, name),
    };
    let budget_usd = terms.budget.map(|it| it.micros as f64 / 1e6);
    let Sent { anthropic_api_key, github_token, callback_url, callback_secret } = sent(&terms.again.brought)?;
    let new = NewOrder {
        prompt,
        repo,
        repository_url,
        branch,
        budget_usd,
        parent_id: None,
        agent: None,
        anthropic_api_key,
        github_token,
        callback_url,
        callback_secret,
    };
    make(ca, &["api", "v1", "tasks"], Some(&new), &terms.again).await
}

/// What is brought along, as it is sent. A variable that is set for other commands brings nothing by itself.
fn sent(brought: &Brought) -> Result<Sent> {
    let missing = |what: &str, name: &str| Trouble::Usage(format!("{what}: put it into {name}"));
    let given = |secret: &Option<SecretString>| secret.clone().filter(|it| !secret_is_empty(it)).map(Given);
    let mut sent = Sent::default();
    if brought.callback.is_some() {
        let secret = given(&brought.callback_secret);
        sent.callback_secret =
            Some(secret.ok_or_else(|| missing("a callback is signed with a secret", "CA_CALLBACK_SECRET"))?);
        sent.callback_url.clone_from(&brought.callback);
    }
    if brought.own_key {
        let key = given(&brought.anthropic_api_key);
        sent.anthropic_api_key =
            Some(key.ok_or_else(|| missing("--own-key needs a key for the model", "CA_ANTHROPIC_API_KEY"))?);
    }
    if brought.own_token {
        let token = given(&brought.github_token);
        sent.github_token =
            Some(token.ok_or_else(|| missing("--own-token needs a token for GitHub", "CA_GITHUB_TOKEN"))?);
    }
    Ok(sent)
}

fn secret_is_empty(secret: &SecretString) -> bool {
    secret.expose_secret().is_empty()
}

/// Ask for a task, and watch it if that is wanted.
async fn make<T: Serialize>(ca: &Ca, path: &[&str], body: Option<&T>, again: &Again) -> Result<ExitCode> {
    let key = again.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let answer = ca.server.post_once(path, body, &key).await?;
    let json = answer.json.clone();
    let made: Accepted = answer.read()?;
    tell(if ca.json { &json } else { &made.task_id });
    if again.follow {
        return follow(ca, &made.task_id, Show::View, None).await;
    }
    if !ca.json {
        hint(&format!("It is {}. Watch it with: ca task logs --follow {}", made.status, made.task_id));
    }
    Ok(ExitCode::SUCCESS)
}

/// Words that were typed, or standard input for `-`.
fn words(typed: &str) -> Result<String> {
    if typed != "-" {
        return Ok(typed.to_owned());
    }
    let mut read = String::new();
    std::io::stdin().read_to_string(&mut read).context("read standard input")?;
    Ok(read.trim().to_owned())
}

fn one(ca: &Ca, answer: Answer) -> Result<ExitCode> {
    if ca.json {
        tell(&answer.json);
    } else {
        tell(&show::card(&answer.read::<TaskView>()?));
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(ca: &Ca, asked: &TaskList) -> Result<ExitCode> {
    let filters = [
        ("status", asked.status.clone()),
        ("repo", asked.repo.clone()),
        ("requester", asked.requester.clone()),
        ("source", asked.source.clone()),
        ("since", asked.since.map(|it| it.0.to_string())),
    ];
    pages(ca, &["api", "v1", "tasks"], &filters, &asked.page, |answer| {
        let page: TaskPage = answer.read()?;
        Ok((page.tasks.iter().map(show::row).collect(), page.next_cursor))
    })
    .await
}

/// One page of a list, or all of them.
pub async fn pages(
    ca: &Ca,
    path: &[&str],
    filters: &[(&str, Option<String>)],
    page: &Page,
    rows: impl Fn(Answer) -> Result<(Vec<String>, Option<String>)>,
) -> Result<ExitCode> {
    let mut cursor = page.cursor.clone();
    loop {
        let mut query = filters.to_vec();
        let limit = page.limit.unwrap_or(if page.all { 200 } else { 20 });
        query.extend([("limit", Some(limit.to_string())), ("cursor", cursor)]);
        let answer = ca.server.get(path, &query).await?;
        let json = answer.json.clone();
        let (rows, next) = rows(answer)?;
        if ca.json {
            tell(&json);
        } else {
            for row in &rows {
                tell(row);
            }
        }
        match next {
            Some(next) if page.all => cursor = Some(next),
            Some(next) => {
                if !ca.json {
                    hint(&format!("There are more: add --cursor {next}, or --all"));
                }
                return Ok(ExitCode::SUCCESS);
            }
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// What has happened so far.
async fn logs(ca: &Ca, task: &str) -> Result<ExitCode> {
    let mut after = 0;
    loop {
        let query = [("after", Some(i64::to_string(&after)))];
        let answer = ca.server.get(&["api", "v1", "tasks", task, "logs"], &query).await?;
        let page: LogPage = if ca.json { serde_json::from_str(&answer.json)? } else { answer.read()? };
        for line in &page.events {
            match ca.json {
                true => tell(&escaped_json(&serde_json::to_string(line)?)),
                false => tell(&picture::log_line(line)),
            }
        }
        match page.events.last() {
            Some(last) => after = last.seq,
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use clap::Parser as _;

    use super::*;
    use crate::cli::ca::args::{Cli, Command, Pr};

    fn found(args: &[&str]) -> Option<String> {
        let typed = ["ca", "pr", "review"].iter().chain(args);
        let Command::Pr(Pr::Review(subject)) = Cli::try_parse_from(typed).unwrap().command else { panic!("a review") };
        address("pull", &subject).ok().map(String::from)
    }

    #[test]
    fn a_subject_is_a_number_with_its_repository_or_an_address() {
        let check = |args: &[&str], want: Option<&str>| assert_eq!(found(args).as_deref(), want, "{args:?}");
        check(&["7", "--repo", "octo/app"], Some("https://github.com/octo/app/pull/7"));
        check(&["#7", "--repo", "octo/app"], Some("https://github.com/octo/app/pull/7"));
        let own = ["7", "--repo", "octo/app", "--github-url", "https://git.example.com/gh"];
        check(&own, Some("https://git.example.com/gh/octo/app/pull/7"));
        check(&["https://github.com/octo/app/pull/7"], Some("https://github.com/octo/app/pull/7"));
        for wrong in [
            &["7"][..],
            &["7", "--repo", "octo"],
            &["seven", "--repo", "octo/app"],
            &["https://github.com/octo/app/issues/7"],
        ] {
            check(wrong, None);
        }
    }
}

//! Beyond GitHub's list of deliveries: the open issues and pull requests, and the comments, of every repository that the
//! App is installed on. What would have been delivered is made of them, and decided on in the same way.
//!
//! All repositories, not those that are known here: nobody hears of a repository while we are away. Two or three calls
//! each, archived ones left out, and where it broke off it goes on.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use tracing::{info, warn};
use uuid::Uuid;

use super::super::payload::Envelope;
use super::super::take::{Arrived, take};
use super::{LEASE, OVERLAP, Turn};
use crate::clock::{self, Millis};
use crate::github::{Error, Installed, ReactTo, Reaction, Repo};
use crate::queue::Accepted;
use crate::report;
use crate::store::Source;
use crate::task::{rules, speaks};

/// So long is listed before GitHub's list of deliveries is compared again.
const SLICE: Duration = Duration::from_mins(5);

/// Look through all repositories that are left. False if some are left still.
pub(super) async fn list(turn: &Turn<'_>) -> Result<bool> {
    let (app, store) = (turn.app, &turn.app.store);
    let sweep = store.begin_sweep(turn.app_id, &turn.owner, LEASE).await?;
    let Some(listing) = sweep.and_then(|sweep| sweep.listing) else { return Ok(true) };
    let mut search = Search::since(listing.since, listing.since, Some(listing.after));
    info!(
        "GitHub's list of deliveries does not reach back far enough: looking through all repositories since {}",
        search.since
    );
    for installation in app.github.installations().await? {
        let (suspended, installation) = (installation.is_suspended(), installation.id);
        if suspended {
            search.put_off(turn, installation).await?;
        }
        if suspended || installation < listing.after.0 {
            continue;
        }
        if search.is_late() {
            return Ok(false);
        }
        search.installation(turn, installation).await?;
        if search.broke_off {
            return Ok(false);
        }
    }
    search.end()?;
    store.listed(turn.app_id, &turn.owner, None).await?;
    Ok(true)
}

/// Look through the repositories of one installation, for what happened since then. `began` names the search.
pub(super) async fn list_one(turn: &Turn<'_>, installation: u64, began: Millis, since: Millis) -> Result<()> {
    let mut search = Search::since(began, since, None);
    info!(installation.id = installation, "Looking for what could not be looked for before, since {}", search.since);
    search.installation(turn, installation).await?;
    search.end()
}

/// What is looked for, and what came of it.
struct Search {
    began: Millis,
    since: String,
    /// Of all installations, from what comes after this repository. An installation that can't be looked through is put off
    /// then, and keeps nobody waiting.
    after: Option<(u64, u64)>,
    until: Instant,
    found: usize,
    /// Not all could be looked through.
    stuck: bool,
    /// There is more to look through than for now.
    broke_off: bool,
}

impl Search {
    fn since(began: Millis, since: Millis, after: Option<(u64, u64)>) -> Self {
        let since = clock::iso(since - OVERLAP);
        Self { began, since, after, until: Instant::now() + SLICE, found: 0, stuck: false, broke_off: false }
    }

    fn is_late(&self) -> bool {
        Instant::now() > self.until
    }

    /// Look through an installation's repositories, and keep how far that has come.
    async fn installation(&mut self, turn: &Turn<'_>, installation: u64) -> Result<()> {
        let repositories = match turn.app.github.repositories(installation).await {
            Err(Error::Suspended) => return self.put_off(turn, installation).await,
            Err(error) if error.is_final() => {
                warn!(installation.id = installation, "An installation can't be looked through: {error}");
                return Ok(());
            }
            Err(error) => return self.not_now(turn, installation, &error).await,
            Ok(found) => found,
        };
        let mut some = false;
        for repository in repositories {
            let place = (installation, repository.id);
            let known = self.after.is_some_and(|after| place <= after) || turn.looked.has(self.began, place);
            if known || repository.archived {
                continue;
            }
            // At least one at a time: it comes to an end.
            if some && self.is_late() {
                (self.broke_off, self.stuck) = (true, true);
                return Ok(());
            }
            some = true;
            turn.keep().await?;
            match Shelf::new(turn, installation, &repository).look_through(&self.since).await {
                Ok(new) => {
                    self.found += new;
                    turn.looked.add(self.began, place);
                }
                Err(Trouble::GitHub(Error::Suspended)) => return self.put_off(turn, installation).await,
                Err(Trouble::GitHub(error)) if error.is_final() => {
                    warn!("{} can't be looked through: {error}", repository.full_name);
                }
                Err(Trouble::GitHub(error @ Error::Limited { .. })) => {
                    return self.not_now(turn, installation, &error).await;
                }
                // The others are looked through all the same.
                Err(Trouble::GitHub(error)) => {
                    warn!("{} can't be looked through yet", repository.full_name);
                    self.not_now(turn, installation, &error).await?;
                }
                Err(Trouble::Ours(error)) => return Err(error),
            }
            if self.after.is_some() {
                turn.app.store.listed(turn.app_id, &turn.owner, Some(place)).await?;
            }
        }
        Ok(())
    }

    /// It is looked for by itself then, and given up after some hours.
    async fn not_now(&mut self, turn: &Turn<'_>, installation: u64, error: &Error) -> Result<()> {
        warn!(installation.id = installation, "An installation can't be looked through yet: {error}");
        if self.after.is_some() {
            return self.put_off(turn, installation).await;
        }
        self.stuck = true;
        Ok(())
    }

    /// Its turn comes when it is active, or answers, again.
    async fn put_off(&self, turn: &Turn<'_>, installation: u64) -> Result<()> {
        Ok(turn.app.store.note_suspension(turn.app_id, installation, self.began).await?)
    }

    fn end(self) -> Result<()> {
        if self.stuck {
            bail!("not all repositories could be looked through");
        }
        info!("Looked through repositories since {}: {} things had been missed", self.since, self.found);
        Ok(())
    }
}

/// Why a repository was not looked through.
enum Trouble {
    GitHub(Error),
    Ours(anyhow::Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::GitHub(error)
    }
}

impl From<crate::store::Error> for Trouble {
    fn from(error: crate::store::Error) -> Self {
        Self::Ours(error.into())
    }
}

/// One repository while it is looked through.
struct Shelf<'a> {
    turn: &'a Turn<'a>,
    repo: Repo,
    repository: &'a Installed,
    installation: u64,
    mention: &'a str,
}

/// An event as it would have been delivered.
struct Event {
    /// Of the thing that it tells of, so that it is taken in once.
    guid: String,
    name: &'static str,
    at: String,
    payload: Value,
}

impl<'a> Shelf<'a> {
    fn new(turn: &'a Turn<'a>, installation: u64, repository: &'a Installed) -> Self {
        let repo = turn.app.github.repo(installation, repository.id, &repository.full_name);
        Self { turn, repo, repository, installation, mention: &turn.app.config.github.mention }
    }

    /// Take in what is found, oldest first. How much was new.
    async fn look_through(&self, since: &str) -> Result<usize, Trouble> {
        let mut events = self.threads(since).await?;
        events.extend(self.comments(since).await?);
        events.sort_by(|a, b| a.at.cmp(&b.at));
        let mut new = 0;
        for it in events {
            let envelope: Envelope =
                serde_json::from_value(it.payload.clone()).map_err(|it| Trouble::Ours(it.into()))?;
            let arrived = Arrived {
                delivery_id: Uuid::now_v7(),
                guid: it.guid,
                event: it.name.to_owned(),
                content_type: "application/json".to_owned(),
                raw: Bytes::from(it.payload.to_string()),
                envelope,
            };
            self.turn.app.store.note_late(&arrived.delivery_id.to_string(), Source::Listed).await?;
            let taken = take(self.turn.app, arrived).await.map_err(Trouble::Ours)?;
            new += usize::from(taken.accepted == Accepted::New && taken.ignored.is_none());
        }
        Ok(new)
    }

    /// Issues and pull requests that were opened or got our label.
    async fn threads(&self, since: &str) -> Result<Vec<Event>, Trouble> {
        let mut events = Vec::new();
        let mut ours = None;
        for issue in self.repo.open_issues_since(since).await? {
            let Some(number) = issue["number"].as_u64() else { continue };
            self.turn.keep().await.map_err(Trouble::Ours)?;
            let opened = text(&issue, "created_at") >= since;
            let labels = issue["labels"].as_array().map(Vec::as_slice).unwrap_or_default();
            let on_pull = issue["pull_request"].is_object();
            let names_us = speaks(text(&issue, "body"), self.mention);
            if !labels.is_empty() && ours.is_none() {
                ours = Some(self.label().await?);
            }
            let is_ours = |label: &Value| ours.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(text(label, "name")));
            let labeled = labels.iter().any(is_ours);
            let talked_of = self.turn.app.store.tasks_of_thread(self.repository.id, number).await;
            let untouched = talked_of.map_err(Trouble::Ours)?.is_empty();
            if !(labeled && untouched || opened && (on_pull || names_us)) {
                continue;
            }
            let (name, field, whole) = match on_pull {
                true => ("pull_request", "pull_request", self.repo.whole_pull(number).await?),
                false => ("issues", "issue", issue.clone()),
            };
            // Who has no account any more gives no orders.
            if opened && (on_pull || names_us) && issue["user"].is_object() {
                events.push(Event {
                    guid: format!("listed:opened:{}", id_of(&issue)),
                    name,
                    at: text(&issue, "created_at").to_owned(),
                    payload: self.payload("opened", &issue["user"], json!({ field: whole })),
                });
            }
            if !(labeled && untouched) {
                continue;
            }
            let set = self.repo.labelings(number).await?.into_iter().rev().find(|it| is_ours(&it.label));
            // Set before that, it was heard of.
            if let Some(set) = set.filter(|it| it.at.as_str() >= since) {
                events.push(Event {
                    guid: format!("listed:labeled:{}", set.id),
                    name,
                    at: set.at.clone(),
                    payload: self.payload("labeled", &set.by, json!({ field: whole, "label": set.label })),
                });
            }
        }
        Ok(events)
    }

    /// Comments that name us and that we have not reacted to.
    async fn comments(&self, since: &str) -> Result<Vec<Event>, Trouble> {
        let mut events = Vec::new();
        for comment in self.repo.comments_since(since).await? {
            let id = id_of(&comment);
            if self.is_heard(&comment, since, ReactTo::Comment(id)).await? {
                continue;
            }
            let Some(number) = number_in(text(&comment, "issue_url")) else { continue };
            if let Some(issue) = if_there(self.repo.whole_issue(number).await)? {
                events.push(self.said("issue_comment", &comment, json!({ "issue": issue, "comment": comment })));
            }
        }
        for comment in self.repo.review_comments_since(since).await? {
            let id = id_of(&comment);
            if self.is_heard(&comment, since, ReactTo::ReviewComment(id)).await? {
                continue;
            }
            let Some(number) = number_in(text(&comment, "pull_request_url")) else { continue };
            if let Some(pull) = if_there(self.repo.whole_pull(number).await)? {
                let more = json!({ "pull_request": pull, "comment": comment });
                events.push(self.said("pull_request_review_comment", &comment, more));
            }
        }
        Ok(events)
    }

    fn said(&self, name: &'static str, comment: &Value, more: Value) -> Event {
        Event {
            guid: format!("listed:{name}:{}", id_of(comment)),
            name,
            at: text(comment, "created_at").to_owned(),
            payload: self.payload("created", &comment["user"], more),
        }
    }

    /// Whether a comment is none of ours to hear, or was heard.
    async fn is_heard(&self, comment: &Value, since: &str, on: ReactTo) -> Result<bool, Trouble> {
        let by_person = comment["user"].is_object() && text(&comment["user"], "type") != "Bot";
        if !by_person || text(comment, "created_at") < since || !speaks(text(comment, "body"), self.mention) {
            return Ok(true);
        }
        let keys =
            [Reaction::Eyes, Reaction::Confused, Reaction::Rocket].map(|it| report::reaction_key(&self.repo, on, it));
        Ok(self.turn.app.store.is_intended(&keys).await?)
    }

    /// The label that asks for something here.
    async fn label(&self) -> Result<String, Trouble> {
        let usual = &self.turn.app.config.github.label;
        let head = self.repo.default_branch(&self.repository.default_branch).await?.head;
        let file = match &head {
            Some(head) => match self.repo.file(rules::FILE, head).await {
                // Too large to be read, for example.
                Err(error) if error.is_final() => None,
                other => other?,
            },
            None => None,
        };
        let rules = file.and_then(|file| rules::read_bytes(&file.bytes).ok());
        Ok(rules.and_then(|rules| rules.fix.label).unwrap_or_else(|| usual.clone()))
    }

    fn payload(&self, action: &str, sender: &Value, more: Value) -> Value {
        let mut payload = json!({
            "action": action,
            "repository": {
                "id": self.repository.id,
                "full_name": self.repository.full_name,
                "default_branch": self.repository.default_branch,
            },
            "installation": { "id": self.installation },
            "sender": sender,
        });
        if let (Value::Object(payload), Value::Object(more)) = (&mut payload, more) {
            payload.extend(more);
        }
        payload
    }
}

/// What has gone meanwhile is nothing to stop at.
fn if_there(found: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match found {
        Err(error) if error.is_final() => Ok(None),
        other => other.map(Some),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn id_of(value: &Value) -> u64 {
    value["id"].as_u64().unwrap_or_default()
}

/// The number at the end of an issue's or pull request's address.
fn number_in(url: &str) -> Option<u64> {
    url.rsplit('/').next()?.parse().ok()
}

//! One REST call being answered: its parameters, its body, who sends it, and lists in pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::github::answer::Answer;
use crate::github::events::Event;
use crate::github::git::Bare;
use crate::github::state::{Issue, Note, State};
use crate::github::{BOT_ID, Credential, World, limits};

/// A call that has passed authentication and permission.
pub(crate) struct Call<'a> {
    pub world: &'a Arc<World>,
    pub state: &'a mut State,
    pub params: BTreeMap<String, String>,
    pub query: BTreeMap<String, String>,
    /// The path below `/repos/{o}/{r}`, or the whole path.
    pub below: String,
    pub headers: &'a HeaderMap,
    pub body: Value,
    pub credential: Credential,
    /// Who does it: the person whose token it is, or else the bot.
    pub by: u64,
    /// The text of the credential, for revoking it.
    pub token: String,
    /// 0 on routes without one.
    pub repo: u64,
    pub now: u64,
    /// Webhooks to send once the answer stands.
    pub events: Vec<Event>,
}

impl Call<'_> {
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// A number in the path; anything else names nothing.
    pub fn number(&self, name: &str) -> Result<u64, Answer> {
        self.param(name).parse().map_err(|_| Answer::not_found())
    }

    pub fn asked(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|it| !it.is_empty())
    }

    /// A string of the body.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }

    pub fn bare(&self) -> Bare {
        self.world.bare(self.repo)
    }

    pub fn issue(&self) -> Result<Issue, Answer> {
        let number = self.number("n")?;
        self.state.issue(self.repo, number).cloned().ok_or_else(Answer::not_found)
    }

    pub fn note(&self) -> Result<Note, Answer> {
        let id = self.number("id")?;
        self.state.notes.get(&id).filter(|it| it.repo == self.repo).cloned().ok_or_else(Answer::not_found)
    }

    /// Whose eyes see the answer: a person's, the bot's, or nobody's.
    pub fn viewer(&self) -> u64 {
        match self.credential {
            Credential::Person { .. } => self.by,
            Credential::Installation { .. } => BOT_ID,
            _ => 0,
        }
    }

    /// Counts one comment or pull request against the content budget, which each person has for themselves.
    pub fn creates(&mut self) -> Result<(), Answer> {
        limits::create(&self.world.options, self.state, self.by, self.now)
    }

    /// One page of a list, with `Link` when there is more than one: 30 items unless asked, 100 at most.
    pub fn page(&self, items: Vec<Value>) -> Answer {
        self.page_in(items, None)
    }

    /// The same inside `{"total_count": …, "<key>": […]}`.
    pub fn page_in(&self, mut items: Vec<Value>, key: Option<&str>) -> Answer {
        self.state.lag.borrow_mut().hides(&self.below, &mut items);
        let number = |name: &str, usual: usize| {
            self.asked(name).and_then(|it| it.parse::<usize>().ok()).filter(|it| *it > 0).unwrap_or(usual)
        };
        let (per_page, page) = (number("per_page", 30).min(100), number("page", 1));
        let (total, last) = (items.len(), items.len().div_ceil(per_page).max(1));
        let shown: Vec<Value> = items.into_iter().skip((page - 1) * per_page).take(per_page).collect();
        let answer = match key {
            Some(key) => Answer::ok(&json!({ "total_count": total, key: shown })),
            None => Answer::ok(&Value::Array(shown)),
        };
        let mut links = Vec::new();
        let mut link = |to: usize, rel: &str| {
            links.push(format!("<{}>; rel=\"{rel}\"", self.url_with(&[("page", &to.to_string())])));
        };
        if page > 1 {
            link(page - 1, "prev");
        }
        if page < last {
            link(page + 1, "next");
            link(last, "last");
        }
        if page > 1 {
            link(1, "first");
        }
        if links.is_empty() { answer } else { answer.with("link", links.join(", ")) }
    }

    /// This call's URL with other query values. Repositories appear by id, as in GitHub's links.
    pub fn url_with(&self, changed: &[(&str, &str)]) -> String {
        let mut query = self.query.clone();
        for (name, value) in changed {
            query.insert((*name).to_owned(), (*value).to_owned());
        }
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let above = if self.repo == 0 { String::new() } else { format!("/repositories/{}", self.repo) };
        format!("{}{above}{}?{}", self.world.api_url, self.below, query.join("&"))
    }
}

/// A query string's names and values.
pub(crate) fn parse_query(query: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|it| !it.is_empty());
    pairs.map(|it| it.split_once('=').unwrap_or((it, ""))).map(|(name, value)| (decode(name), decode(value))).collect()
}

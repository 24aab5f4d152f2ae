//! What a caller brings along for one task: their own key for the model, their own token for GitHub, and whom to call at the
//! end.

use http::StatusCode;

use super::auth::{Caller, Scope};
use super::callback;
use super::problem::Problem;
use super::secret::Given;
use crate::app::App;
use crate::store::{Brings, StoredTask};

/// The agents that there are.
const AGENTS: [&str; 1] = ["claude-code"];
/// Lengths of a key, in characters.
const KEY: std::ops::RangeInclusive<usize> = 20..=512;

/// As it stands in a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Brought<'a> {
    /// What is to be done.
    pub words: &'a str,
    pub anthropic_api_key: Option<&'a Given>,
    pub github_token: Option<&'a Given>,
    pub callback_url: Option<&'a str>,
    pub callback_secret: Option<&'a Given>,
}

impl Brought<'_> {
    /// What of it can be used. What the task that is repeated or gone on from had of its caller is needed again.
    pub fn read(self, app: &App, earlier: Option<&StoredTask>) -> Result<Brings, Problem> {
        if earlier.is_some_and(|it| it.own_key) && self.anthropic_api_key.is_none() {
            let says =
                "the task worked with a key of its caller's own, which went with it: bring `anthropic_api_key` anew";
            return Err(needed("key_needed", "anthropic_api_key", says));
        }
        if earlier.is_some_and(|it| it.own_token) && self.github_token.is_none() {
            let says =
                "the task worked with a token of its caller's own, which went with it: bring `github_token` anew";
            return Err(needed("token_needed", "github_token", says));
        }
        if let Some(key) = self.anthropic_api_key
            && !is_key(key.expose())
        {
            let says = "give a key for the model API: 20 to 512 letters, digits and `-_.`, such as sk-ant-…";
            return Err(Problem::invalid("anthropic_api_key", says));
        }
        if let Some(key) = self.anthropic_api_key
            && self.words.contains(key.expose())
        {
            return Err(named("anthropic_api_key"));
        }
        if let Some(token) = self.github_token
            && !is_token(token.expose())
        {
            let says =
                "give a person's token for GitHub, such as github_pat_… or ghp_…; an App's, ghs_…, ends too soon";
            return Err(Problem::invalid("github_token", says));
        }
        if let Some(token) = self.github_token
            && self.words.contains(token.expose())
        {
            return Err(named("github_token"));
        }
        Ok(Brings {
            model_key: self.anthropic_api_key.map(|key| key.0.clone()),
            github_token: self.github_token.map(|token| token.0.clone()),
            callback: callback::wanted(app, self.callback_url, self.callback_secret)?,
        })
    }
}

/// The agent would read it, and whoever sees the task.
fn named(field: &str) -> Problem {
    Problem::invalid("prompt", format!("leave the `{field}` out of it: everybody who sees the task reads it"))
}

fn needed(code: &str, field: &str, says: &str) -> Problem {
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, says);
    Problem { field: Some(field.to_owned()), ..problem }
}

/// Whether it looks like a person's token. GitHub gives each kind its own beginning, which nobody else's words have.
fn is_token(text: &str) -> bool {
    const KINDS: [&str; 4] = ["github_pat_", "ghp_", "gho_", "ghu_"];
    let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    KEY.contains(&text.len()) && fits && KINDS.iter().any(|kind| text.starts_with(kind))
}

/// Whether it looks like a key. The logs are searched for it while it lives, so it must not be something that others might
/// want to say.
fn is_key(text: &str) -> bool {
    let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    KEY.contains(&text.len()) && fits && (text.starts_with("sk-") || digits >= 4)
}

/// A callback says all that `GET /tasks/{id}` says, so whoever wants one has to be allowed to read that.
pub fn may_hear(caller: &Caller, callback_url: Option<&str>) -> Result<(), Problem> {
    match callback_url {
        Some(_) => caller.may(Scope::TasksRead),
        None => Ok(()),
    }
}

/// Only what is there can be asked for.
pub fn check_agent(agent: Option<&str>) -> Result<(), Problem> {
    match agent {
        Some(agent) if !AGENTS.contains(&agent) => {
            Err(Problem::invalid("agent", format!("give one of {}, or leave it out", AGENTS.join(", "))))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_key, is_token};

    #[test]
    fn a_token_is_a_persons() {
        for (text, expected) in [
            ("github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz", true),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", true),
            ("ghu_abcdefghijklmnopqrstuvwxyz0123456789", true),
            ("ghs_abcdefghijklmnopqrstuvwxyz0123456789", false),
            ("ghp_short", false),
            ("ghp_with spaces in the middle of it all", false),
            ("sk-ant-api03-abcdefghijklmnop", false),
        ] {
            assert_eq!(is_token(text), expected, "{text}");
        }
    }

    #[test]
    fn a_key_is_nothing_that_people_say() {
        for (text, expected) in [
            ("sk-ant-api03-abcdefghijklmnop", true),
            ("sk-ant-simulated-key", true),
            ("0f8fad5bd9cb469fa16570867728950e", true),
            ("sk-ant-short", false),
            ("cloud-agent-opened-a-pull-request", false),
            ("sk-ant-a key with spaces in it", false),
            ("fn main() { println!(1234567); }", false),
        ] {
            assert_eq!(is_key(text), expected, "{text}");
        }
    }
}

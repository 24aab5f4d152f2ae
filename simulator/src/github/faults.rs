//! Trouble on demand: per route, a number of times, before or after the request took effect.

use std::time::Duration;

use serde_json::Value;

use super::World;
use super::state::State;

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answer this status with a short GitHub error; nothing takes effect.
    Status(u16),
    /// Answer this status and body; nothing takes effect.
    StatusWithBody(u16, Value),
    /// Say nothing for so long, then close the connection; nothing takes effect.
    Hang(Duration),
    /// Wait, then go on as usual.
    Delay(Duration),
    /// Close the connection without an answer; nothing takes effect.
    ResetBeforeApply,
    /// Do what was asked, then close the connection without an answer.
    ResetAfterApply,
    /// Do what was asked, and answer 502.
    BadGatewayAfterApply,
    /// Do what was asked, and answer half of the JSON.
    TruncatedJson,
    /// 403 for going too fast; GitHub does not always say how long to wait.
    SecondaryLimit { retry_after: Option<u64> },
    /// 403 with nothing remaining until the reset, in seconds from now.
    PrimaryLimit { reset_in: u64 },
    /// 401, as for a token that has not reached every server yet.
    BadCredentials,
}

#[derive(Debug)]
pub(crate) struct Rule {
    method: String,
    path: String,
    left: usize,
    fault: Fault,
}

/// Makes rules: `github.faults().on("POST", "/repos/{o}/{r}/pulls").times(2).answer(Fault::Status(500))`.
#[derive(Debug)]
pub struct Faults<'a> {
    world: &'a World,
    method: String,
    path: String,
    times: usize,
}

impl World {
    /// Starts a fault rule. Several rules for one route are used up in the order they were made.
    pub fn faults(&self) -> Faults<'_> {
        Faults { world: self, method: "*".to_owned(), path: "/{*}".to_owned(), times: 1 }
    }

    /// Forgets all faults not met yet.
    pub fn no_more_faults(&self) {
        self.state().faults.clear();
    }
}

impl Faults<'_> {
    /// `{name}` stands for one path segment, `{*name}` for the rest; method `*` for any. Git's routes are
    /// `/{o}/{r}/info/refs`, `/{o}/{r}/git-upload-pack` and `/{o}/{r}/git-receive-pack`.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        method.clone_into(&mut self.method);
        path.clone_into(&mut self.path);
        self
    }

    /// How often; once unless said.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Puts the rule in force.
    pub fn answer(self, fault: Fault) {
        let rule = Rule { method: self.method, path: self.path, left: self.times, fault };
        self.world.state().faults.push(rule);
    }
}

/// The fault this request meets, which is thereby used up once.
pub(crate) fn met(state: &mut State, method: &str, path: &str) -> Option<Fault> {
    let rule = state
        .faults
        .iter_mut()
        .find(|it| it.left > 0 && (it.method == "*" || it.method == method) && fits(&it.path, path).is_some())?;
    rule.left -= 1;
    Some(rule.fault.clone())
}

/// The raw values of a template's `{name}` and `{*name}` parts, if the path fits it.
pub(crate) fn fits(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut segments = path.trim_start_matches('/').split('/');
    for part in template.trim_start_matches('/').split('/') {
        if let Some(name) = part.strip_prefix("{*") {
            let rest: Vec<&str> = segments.collect();
            let wanted = (!rest.is_empty() && rest.iter().all(|it| !it.is_empty())).then(|| rest.join("/"))?;
            found.push((name.trim_end_matches('}').to_owned(), wanted));
            return Some(found);
        }
        let segment = segments.next()?;
        if let Some(name) = part.strip_prefix('{') {
            (!segment.is_empty()).then_some(())?;
            found.push((name.trim_end_matches('}').to_owned(), segment.to_owned()));
        } else if part != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(found)
}

//! Trouble on demand: per route, a number of times, before or after the request took effect.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

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
    /// Close the connection without an answer, and do what was asked when told to.
    AppliedLate(Arc<Notify>),
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
    /// Requests that pass before the first one meets the fault.
    spared: usize,
    left: usize,
    met: bool,
    fault: Fault,
}

/// Makes rules: `github.faults().on("POST", "/repos/{o}/{r}/pulls").times(2).answer(Fault::Status(500))`.
#[derive(Debug)]
pub struct Faults<'a> {
    world: &'a World,
    method: String,
    path: String,
    spared: usize,
    times: usize,
}

impl World {
    /// Starts a fault rule. Several rules for one route are used up in the order they were made.
    pub fn faults(&self) -> Faults<'_> {
        Faults { world: self, method: "*".to_owned(), path: "/{*}".to_owned(), spared: 0, times: 1 }
    }

    /// Whether every rule that is in force was met by some request.
    pub fn all_faults_met(&self) -> bool {
        self.state().faults.iter().all(|it| it.met)
    }

    /// Forgets all faults not met yet.
    pub fn no_more_faults(&self) {
        self.state().faults.clear();
    }
}

impl Faults<'_> {
    /// `{name}` stands for one path segment, `{*name}` for the rest; method `*` for any. Git's routes are
    /// `/{o}/{r}/info/refs`, `/{o}/{r}/git-upload-pack` and `/{o}/{r}/git-receive-pack`. A path with a query wants just
    /// that query: `/{o}/{r}/info/refs?service=git-receive-pack`.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        method.clone_into(&mut self.method);
        path.clone_into(&mut self.path);
        self
    }

    /// Spares the first requests of the route.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.spared = requests;
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
        let rule =
            Rule { method: self.method, path: self.path, spared: self.spared, left: self.times, met: false, fault };
        self.world.state().faults.push(rule);
    }
}

/// The fault this request meets, which is thereby used up once.
pub(crate) fn met(state: &mut State, method: &str, path: &str, query: &str) -> Option<Fault> {
    for rule in state.faults.iter_mut().filter(|it| it.left > 0 && meant(&it.method, &it.path, method, path, query)) {
        if rule.spared > 0 {
            rule.spared -= 1;
            continue;
        }
        rule.left -= 1;
        rule.met = true;
        return Some(rule.fault.clone());
    }
    None
}

/// Whether a rule for this method and path is about a request.
pub(crate) fn meant(rule_method: &str, rule_path: &str, method: &str, path: &str, query: &str) -> bool {
    let (template, wanted) = rule_path.split_once('?').map_or((rule_path, None), |it| (it.0, Some(it.1)));
    (rule_method == "*" || rule_method == method)
        && wanted.is_none_or(|it| it == query)
        && fits(template, path).is_some()
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

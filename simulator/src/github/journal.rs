//! Every request that arrived, so that a test can say what was sent and what was not.

use serde_json::Value;

use super::World;
use super::faults::meant;
use super::state::Permissions;

/// Who a request came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// No `Authorization`, or one that was refused.
    None,
    /// The App itself.
    Jwt,
    /// An installation token.
    Installation {
        /// A serial number standing for the token's text.
        id: u64,
        permissions: Permissions,
        /// `None`: all repositories of the installation.
        repository_ids: Option<Vec<u64>>,
    },
    /// A person's own token.
    Person {
        /// The account.
        id: u64,
        permissions: Permissions,
        /// `None`: all repositories that the person has a role in.
        repository_ids: Option<Vec<u64>>,
    },
}

/// One request, REST or git.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// As sent, still percent-encoded, with the API prefix removed.
    pub path: String,
    pub query: String,
    pub credential: Credential,
    /// Lower-case names; `authorization` is reduced to its scheme.
    pub headers: Vec<(String, String)>,
    /// Null when there was none, or for git.
    pub body: Value,
    /// 0 when the connection was closed without an answer.
    pub status: u16,
    /// Seconds since 1970 by the simulator's clock.
    pub at: u64,
}

impl Request {
    /// Whether it is one of this route, written as for a fault: `("GET", "/repos/{o}/{r}/pulls/{n}")`.
    pub fn is(&self, method: &str, route: &str) -> bool {
        let path = self.path.strip_suffix(".git").unwrap_or(&self.path).replacen(".git/", "/", 1);
        meant(method, route, &self.method, &path, &self.query)
    }
}

impl World {
    /// All requests so far, oldest first.
    pub fn journal(&self) -> Vec<Request> {
        self.state().journal.clone()
    }

    /// `METHOD /path status` of every request since the given index; short enough for a snapshot.
    pub fn requests_since(&self, index: usize) -> Vec<String> {
        let state = self.state();
        state.journal.iter().skip(index).map(|it| format!("{} {} {}", it.method, it.path, it.status)).collect()
    }
}

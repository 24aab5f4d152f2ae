//! The rows: the requests of each story, by what they are for.

use super::cell::Story;

/// A request of a story: the `nth` of those with its method and path, from zero, since the story has begun.
pub struct Route {
    pub what: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    pub nth: usize,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, nth: usize, what: &'static str) -> Self {
        Self { what, method, path, nth }
    }

    /// Whether it changes nothing on GitHub.
    pub fn reads(&self) -> bool {
        self.method == "GET" || self.path.ends_with("/git-upload-pack") || self.what.starts_with("see ")
    }
}

const TOKENS: &str = "/app/installations/{id}/access_tokens";
const SETTINGS: &str = "/repos/{o}/{r}/contents/{*path}";
const REACTIONS: &str = "/repos/{o}/{r}/issues/comments/{id}/reactions";
const CHECK: &str = "/repos/{o}/{r}/check-runs/{id}";

const MENTION: &[Route] = &[
    Route::new("GET", "/app", 0, "who we are"),
    Route::new("GET", "/users/{login}", 0, "the bot's account"),
    Route::new("POST", TOKENS, 0, "a token to talk with"),
    Route::new("GET", "/repos/{o}/{r}/collaborators/{u}/permission", 0, "who may ask"),
    Route::new("GET", "/repos/{o}/{r}/branches/{b}", 0, "the default branch"),
    Route::new("GET", SETTINGS, 0, "the repository's settings"),
    Route::new("GET", "/repos/{o}/{r}/issues/{n}/comments", 0, "the conversation"),
    Route::new("POST", REACTIONS, 0, "👀"),
    Route::new("POST", "/repos/{o}/{r}/issues/{n}/comments", 0, "the comment"),
    Route::new("POST", TOKENS, 1, "a token to fetch with"),
    Route::new("GET", "/{o}/{r}/info/refs?service=git-upload-pack", 0, "what there is to fetch"),
    Route::new("POST", "/{o}/{r}/git-upload-pack", 0, "the fetch"),
    Route::new("POST", TOKENS, 2, "a token to push with"),
    Route::new("GET", "/{o}/{r}/info/refs?service=git-receive-pack", 0, "where to push"),
    Route::new("POST", "/{o}/{r}/git-receive-pack", 0, "the push"),
    Route::new("POST", "/repos/{o}/{r}/pulls", 0, "the pull request"),
    Route::new("POST", "/repos/{o}/{r}/check-runs", 0, "the check run"),
    Route::new("PATCH", "/repos/{o}/{r}/issues/comments/{id}", 0, "the comment's last words"),
    Route::new("POST", REACTIONS, 1, "🚀"),
];

/// Those that a mention has not.
const REVIEW: &[Route] = &[
    Route::new("GET", "/repos/{o}/{r}/pulls/{n}", 0, "the pull request"),
    Route::new("GET", "/repos/{o}/{r}/pulls/{n}/comments", 0, "the conversations on lines"),
    Route::new("GET", "/repos/{o}/{r}/commits/{sha}/check-runs", 0, "the other checks"),
    Route::new("POST", "/repos/{o}/{r}/check-runs", 0, "the check run, queued"),
    Route::new("PATCH", CHECK, 0, "the check run, in progress"),
    Route::new("GET", "/repos/{o}/{r}/pulls/{n}", 2, "the pull request, before posting"),
    Route::new("GET", "/repos/{o}/{r}/pulls/{n}/reviews", 0, "the reviews that are there"),
    Route::new("POST", "/repos/{o}/{r}/pulls/{n}/reviews", 0, "the review"),
    Route::new("PATCH", CHECK, 1, "the check run, completed"),
];

/// Those that the other two have not.
const PUSH: &[Route] = &[
    Route::new("POST", "/graphql", 0, "see which conversations are resolved"),
    Route::new("POST", "/graphql", 2, "resolve a conversation"),
];

/// Asked from time to time whatever happens: no part of a story, and when they fail they are asked again.
pub const BACKGROUND: &[(&str, &str)] = &[
    ("GET", "/app"),
    ("GET", "/app/hook/deliveries"),
    ("GET", "/app/hook/deliveries/{id}"),
    ("GET", "/app/installations"),
    ("GET", "/app/installations/{id}"),
];

impl Story {
    pub fn routes(self) -> &'static [Route] {
        match self {
            Self::Mention => MENTION,
            Self::Review => REVIEW,
            Self::Push => PUSH,
        }
    }

    /// What is a row of this story or of another.
    pub fn known() -> impl Iterator<Item = &'static Route> {
        MENTION.iter().chain(REVIEW).chain(PUSH)
    }
}

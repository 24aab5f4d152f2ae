//! The story: one line for everything visible that happened, in the order it happened.

use super::World;
use super::reviews::words::SpotWords;
use super::state::State;

impl World {
    /// What happened since the last call. SHAs are written as branch names, addresses as `http://github` and
    /// `http://bot`, so that lines can stand in a snapshot.
    pub fn told(&self) -> Vec<String> {
        let mut state = self.state();
        let until = state.story.len();
        let from = std::mem::replace(&mut state.told, until);
        state.story[from..].to_vec()
    }

    /// The whole story so far; takes nothing away from [`World::told`].
    pub fn story(&self) -> Vec<String> {
        self.state().story.clone()
    }

    /// Adds a line about something that happened in a repository.
    pub(crate) fn tell(&self, state: &mut State, repo: u64, line: &str) {
        let line = self.scrub(state, repo, line);
        state.story.push(line);
    }

    /// `#1` in a world of one repository, `octo/app#1` for the later ones of several.
    pub(crate) fn place(state: &State, repo: u64, number: u64) -> String {
        match state.repos.first() {
            Some(first) if first.id != repo => format!("{}#{number}", state.repo(repo).full_name()),
            _ => format!("#{number}"),
        }
    }

    /// The repository of a comment or review by node id, and its place in the story.
    pub(crate) fn place_of_node(state: &State, id: &str) -> Option<(u64, String)> {
        let (kind, number) = id.rsplit_once('_')?;
        let number: u64 = number.parse().ok()?;
        match kind {
            "IC" => state.notes.get(&number).map(|it| (it.repo, Self::place(state, it.repo, it.number))),
            "PRR" => state.reviews.get(&number).map(|it| (it.repo, Self::place(state, it.repo, it.number))),
            _ => state.inlines.get(&number).map(|it| {
                let place = Self::place(state, it.repo, it.number);
                (it.repo, format!("{place} {}", SpotWords(&it.spot)))
            }),
        }
    }

    /// Takes what differs from run to run out of a text.
    fn scrub(&self, state: &State, repo: u64, text: &str) -> String {
        let mut text = text.replace(&self.url, "http://github");
        if let Some(end) = origin_length(&state.hook.url) {
            text = text.replace(&state.hook.url[..end], "http://bot");
        }
        if !has_hash(&text) {
            return text;
        }
        let default = state.repo(repo).default_branch.clone();
        let mut heads: Vec<(String, String)> = self.bare(repo).branches().into_iter().collect();
        heads.sort_by_key(|(name, _)| *name != default);
        let mut out = String::new();
        for word in words(&text) {
            let known = heads.iter().find(|(_, sha)| is_hash(word) && sha.starts_with(word));
            match known {
                Some((branch, _)) => out.push_str(branch),
                None if is_hash(word) && word.len() == 40 => out.push_str("<sha>"),
                None => out.push_str(word),
            }
        }
        out
    }
}

/// The name a story gives a body of several lines: the first on this line, the others indented below.
pub(crate) fn indented(body: &str) -> String {
    let mut lines = body.lines();
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        out.push_str("\n  ");
        out.push_str(line);
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `file: -old +new` for each file of a diff without context.
pub(crate) fn short_diff(patch: &str) -> Vec<String> {
    const LONGEST: usize = 200;
    let mut files: Vec<String> = Vec::new();
    for line in patch.lines() {
        if let Some((_, file)) = line.strip_prefix("diff --git ").and_then(|it| it.split_once(" b/")) {
            files.push(format!("{file}:"));
        } else if let Some(file) = files.last_mut() {
            let heading = line.starts_with("+++ ") || line.starts_with("--- ");
            if line.starts_with("Binary") {
                file.push_str(" (binary)");
            } else if line.starts_with(['+', '-']) && !heading && file.len() < LONGEST {
                file.push(' ');
                file.push_str(line);
                if file.len() >= LONGEST {
                    file.push_str(" …");
                }
            }
        }
    }
    files
}

fn origin_length(url: &str) -> Option<usize> {
    let start = url.find("://")? + 3;
    Some(url[start..].find('/').map_or(url.len(), |it| it + start))
}

fn is_hash(word: &str) -> bool {
    (7..=40).contains(&word.len())
        && word.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it))
        && word.bytes().any(|it| it.is_ascii_digit())
}

fn has_hash(text: &str) -> bool {
    words(text).any(is_hash)
}

/// The text cut into runs of letters and digits, and what is between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let kind = first.is_alphanumeric();
        let end = rest.find(|it: char| it.is_alphanumeric() != kind).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        rest = tail;
        Some(word)
    })
}

//! The file as settings. Strict: what is not known is a mistake, because a setting that is silently ignored is worse than
//! one that is refused. All mistakes are told, not only the first.

use super::mistake::{Mistake, Spot, listed, nearest, shown};
use super::tree::{self, Node, What};
use super::value::{self, Field};
use super::{On, Paths, Rules, Verdict, Who, bare};
use crate::config::Kind;

/// Every key, by its path.
pub const KEYS: &[&str] = &[
    "review",
    "review.on",
    "review.paths",
    "review.gate",
    "review.verify",
    "review.verdict",
    "review.bots",
    "fix",
    "fix.label",
    "fix.draft",
    "gate",
    "gate.allow",
    "gate.file_mb",
    "gate.files",
    "ask",
    "ask.who",
    "model",
    "instructions",
    "budget",
    "budget.run",
];
/// Keys that are planned, so that nobody takes them for a slip of their own.
const LATER: &[&str] = &["egress", "fix.ci", "budget.day"];

const ON: [(&str, On); 4] = [
    ("opened", On::Opened),
    ("ready_for_review", On::ReadyForReview),
    ("synchronize", On::Synchronize),
    ("reopened", On::Reopened),
];
const VERDICT: [(&str, Verdict); 3] =
    [("comment", Verdict::Comment), ("request_changes", Verdict::RequestChanges), ("approve", Verdict::Approve)];
const WHO: [(&str, Who); 4] =
    [("write", Who::Write), ("triage", Who::Triage), ("read", Who::Read), ("everyone", Who::Everyone)];

/// The most MiB of a file; GitHub warns from there on.
const MOST_FILE_MB: u32 = 50;
/// The most files of one change; nobody reads as many.
const MOST_FILES: u32 = 10_000;
/// The most characters of `instructions`.
const MOST_INSTRUCTIONS: usize = 10_000;
/// The most characters of a label; GitHub's limit.
const LONGEST_LABEL: usize = 50;
/// The most characters of a model's name.
const LONGEST_MODEL: usize = 100;
/// The most bots that are named.
const MOST_BOTS: usize = 50;
/// The most characters of a login; GitHub's limit.
const LONGEST_LOGIN: usize = 39;

/// Read the settings, or tell what is wrong with them, from the top of the file to its end.
pub fn read(text: &str) -> Result<Rules, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let root = tree::parse(text, &mut mistakes);
    let mut reader = Reader { rules: Rules::default(), mistakes };
    if let Some(root) = root {
        reader.section("", root.spot, &root);
    }
    let Reader { rules, mut mistakes } = reader;
    mistakes.sort();
    mistakes.dedup();
    if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
}

/// The same for bytes, which may be no text.
pub fn read_bytes(bytes: &[u8]) -> Result<Rules, Vec<Mistake>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => read(text),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            Err(vec![Spot::new(line, column, column + 1).says("the file is not UTF-8 from here on")])
        }
    }
}

struct Reader {
    rules: Rules,
    mistakes: Vec<Mistake>,
}

impl Reader {
    /// The keys below `under`, which is empty at the top.
    fn section(&mut self, under: &str, key: Spot, node: &Node) {
        let spot = if node.one_line || under.is_empty() { node.spot } else { key };
        let pairs = match &node.what {
            What::Map(pairs) => pairs,
            What::Broken => return,
            _ if value::is_nothing(node) => return,
            _ => {
                let name = if under.is_empty() { "the file".to_owned() } else { format!("`{under}`") };
                return self.tell(spot, format!("{name} must hold keys and values, not {}", value::kind(node)));
            }
        };
        let mut seen: Vec<(&str, u32)> = Vec::new();
        for (key, value) in pairs {
            let name = match &key.what {
                What::Scalar { text, .. } => text.as_str(),
                What::Broken => continue,
                _ => {
                    self.tell(key.spot, "a key must be a word");
                    continue;
                }
            };
            if let Some((_, line)) = seen.iter().find(|(it, _)| *it == name) {
                self.tell(key.spot, format!("{} was given before, on line {line}", shown(name)));
                continue;
            }
            if seen.len() < KEYS.len() {
                seen.push((name, key.spot.line));
            }
            let path = if under.is_empty() { name.to_owned() } else { format!("{under}.{name}") };
            if KEYS.iter().any(|it| below(under, it) == Some(name)) {
                self.set(&Field { path: &path, key: key.spot, node: value });
            } else {
                self.tell(key.spot, unknown(under, name, &path));
            }
        }
    }

    /// Put one value where it belongs. A key without a value is as good as left out.
    fn set(&mut self, field: &Field<'_>) {
        if value::is_nothing(field.node) {
            return;
        }
        let Self { rules, mistakes } = self;
        match field.path {
            "review" | "fix" | "gate" | "ask" | "budget" => self.section(field.path, field.key, field.node),
            "review.on" => {
                let items = field.list(ON.len(), mistakes);
                rules.review.on = items.iter().filter_map(|item| item.choice(&ON, mistakes)).collect();
            }
            "review.paths" => put(&mut rules.review.paths, paths(field, mistakes)),
            "review.gate" => put(&mut rules.review.gate, field.truth(mistakes)),
            "review.verify" => put(&mut rules.review.verify, field.truth(mistakes)),
            "review.verdict" => put(&mut rules.review.verdict, field.choice(&VERDICT, mistakes)),
            "review.bots" => {
                let items = field.list(MOST_BOTS, mistakes);
                rules.review.bots = items.iter().filter_map(|item| login(item, mistakes)).collect();
            }
            "fix.label" => rules.fix.label = label(field, mistakes),
            "fix.draft" => put(&mut rules.fix.draft, field.truth(mistakes)),
            "gate.allow" => {
                let items = field.list(Kind::ALL.len(), mistakes);
                rules.gate.allow = items.iter().filter_map(|item| item.choice(&Kind::ALL, mistakes)).collect();
            }
            "gate.file_mb" => rules.gate.file_mb = field.count(MOST_FILE_MB, mistakes),
            "gate.files" => rules.gate.files = field.count(MOST_FILES, mistakes),
            "ask.who" => put(&mut rules.ask.who, field.choice(&WHO, mistakes)),
            "model" => rules.model = model(field, mistakes),
            "instructions" => put(&mut rules.instructions, instructions(field, mistakes)),
            "budget.run" => rules.budget.run = field.dollars(mistakes),
            other => unreachable!("`{other}` is in KEYS, but nothing reads it"),
        }
    }

    fn tell(&mut self, spot: Spot, message: impl Into<String>) {
        self.mistakes.push(spot.says(message));
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn paths(field: &Field<'_>, mistakes: &mut Vec<Mistake>) -> Option<Paths> {
    let items = field.list(Paths::MOST, mistakes);
    if items.is_empty() && matches!(field.node.what, What::List(_)) {
        field.tell(mistakes, "`review.paths` names nothing; leave it out to look at everything");
    }
    let mut patterns = Vec::new();
    for item in &items {
        let Some(pattern) = item.text(mistakes) else { continue };
        match Paths::check(pattern) {
            Ok(()) => patterns.push(pattern.to_owned()),
            Err(why) => item.tell(mistakes, format!("{} is no pattern for paths: {why}", shown(pattern))),
        }
    }
    let paths = Paths::new(patterns);
    paths.map_err(|why| field.tell(mistakes, format!("these patterns can't be used together: {why}"))).ok()
}

fn login(field: &Field<'_>, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let login = field.text(mistakes)?;
    let name = bare(login);
    let fits = !name.is_empty()
        && name.len() <= LONGEST_LOGIN
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !fits {
        field.tell(mistakes, format!("{} is no login; write it such as `renovate[bot]`", shown(login)));
    }
    fits.then_some(name)
}

fn label(field: &Field<'_>, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let label = field.text(mistakes)?.trim();
    let fits = !label.is_empty() && label.chars().count() <= LONGEST_LABEL && !label.contains(char::is_control);
    if !fits {
        field.tell(mistakes, format!("a label has 1 to {LONGEST_LABEL} characters on one line"));
    }
    fits.then(|| label.to_owned())
}

/// A model's name becomes an argument of a command, so it must not look like an option.
fn model(field: &Field<'_>, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let model = field.text(mistakes)?;
    let fits = model.starts_with(|c: char| c.is_ascii_alphanumeric())
        && model.len() <= LONGEST_MODEL
        && model.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/@[]".contains(c));
    if !fits {
        field.tell(mistakes, format!("{} is no name of a model", shown(model)));
    }
    fits.then(|| model.to_owned())
}

fn instructions(field: &Field<'_>, mistakes: &mut Vec<Mistake>) -> Option<String> {
    let text = field.text(mistakes)?.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.trim();
    let count = text.chars().count();
    let fits = count <= MOST_INSTRUCTIONS;
    if !fits {
        let told = format!("`instructions` has {count} characters; at most {MOST_INSTRUCTIONS} are read");
        field.tell(mistakes, told);
    }
    fits.then(|| text.to_owned())
}

/// Why there is no such key, and which one may have been meant.
fn unknown(under: &str, name: &str, path: &str) -> String {
    if LATER.contains(&path) {
        return format!("this version does not know `{path}` yet");
    }
    let place = if under.is_empty() { String::new() } else { format!(" under `{under}`") };
    let hint = if let Some((home, key)) = name.rsplit_once('.').filter(|_| KEYS.contains(&name)) {
        format!("write `{key}` under `{home}`")
    } else if let Some(home) = KEYS.iter().find(|it| it.rsplit('.').next() == Some(name)) {
        match home.rsplit_once('.') {
            Some((home, _)) => format!("it belongs under `{home}`"),
            None => "it belongs at the top of the file, not indented".to_owned(),
        }
    } else {
        let known: Vec<&str> = KEYS.iter().filter_map(|it| below(under, it)).collect();
        match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", listed(&known)),
        }
    };
    format!("unknown key {}{place}; {hint}", shown(name))
}

/// The name of a key directly below another one.
fn below<'a>(under: &str, path: &'a str) -> Option<&'a str> {
    let rest = if under.is_empty() { path } else { path.strip_prefix(under)?.strip_prefix('.')? };
    (!rest.contains('.')).then_some(rest)
}

#[cfg(test)]
mod tests;

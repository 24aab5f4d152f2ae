//! The file as settings. Strict: what is not known is a mistake, because a setting that is silently ignored is worse than
//! one that is refused. All mistakes are told, not only the first.

use super::mistake::{Mistake, Spot, nearest, shown};
use super::tree::{self, Node, What};
use super::{On, Paths, Rules, Verdict, Who, bare};
use crate::config::Dollars;

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

/// The most characters of `instructions`.
pub const MOST_INSTRUCTIONS: usize = 10_000;
/// The most characters of a label; GitHub's limit.
pub const LONGEST_LABEL: usize = 50;
/// The most characters of a model's name.
pub const LONGEST_MODEL: usize = 100;
/// The most bots that are named.
pub const MOST_BOTS: usize = 50;
/// The most characters of a login; GitHub's limit.
const LONGEST_LOGIN: usize = 39;
/// Less than a cent buys nothing.
const LEAST_BUDGET: i64 = 10_000;

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

/// A value, with the name and place of its key.
struct Field<'a> {
    path: &'a str,
    key: Spot,
    node: &'a Node,
}

impl Field<'_> {
    /// Where a mistake in the value is shown: at the value, or at its key when the value is long.
    fn spot(&self) -> Spot {
        if self.node.one_line { self.node.spot } else { self.key }
    }
}

/// What YAML takes a word for.
enum Word<'a> {
    Nothing,
    Truth(bool),
    Number(&'a str),
    Text(&'a str),
}

impl Reader {
    /// The keys below `under`, which is empty at the top.
    fn section(&mut self, under: &str, key: Spot, node: &Node) {
        let spot = if node.one_line || under.is_empty() { node.spot } else { key };
        let pairs = match &node.what {
            What::Map(pairs) => pairs,
            What::Broken => return,
            _ if is_nothing(node) => return,
            _ => {
                let name = if under.is_empty() { "the file".to_owned() } else { format!("`{under}`") };
                return self.tell(spot, format!("{name} must hold keys and values, not {}", kind(node)));
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
        if is_nothing(field.node) {
            return;
        }
        match field.path {
            "review" | "fix" | "ask" | "budget" => self.section(field.path, field.key, field.node),
            "review.on" => {
                let items = self.list(field, ON.len());
                self.rules.review.on = items.iter().filter_map(|item| self.choice(item, &ON)).collect();
            }
            "review.paths" => self.paths(field),
            "review.gate" => put(&mut self.rules.review.gate, truth(field, &mut self.mistakes)),
            "review.verify" => put(&mut self.rules.review.verify, truth(field, &mut self.mistakes)),
            "review.verdict" => {
                let chosen = self.choice(field, &VERDICT);
                put(&mut self.rules.review.verdict, chosen);
            }
            "review.bots" => {
                let items = self.list(field, MOST_BOTS);
                self.rules.review.bots = items.iter().filter_map(|item| self.login(item)).collect();
            }
            "fix.label" => self.rules.fix.label = self.label(field),
            "fix.draft" => put(&mut self.rules.fix.draft, truth(field, &mut self.mistakes)),
            "ask.who" => {
                let chosen = self.choice(field, &WHO);
                put(&mut self.rules.ask.who, chosen);
            }
            "model" => self.rules.model = self.model(field),
            "instructions" => self.instructions(field),
            "budget.run" => self.rules.budget.run = self.dollars(field),
            other => unreachable!("`{other}` is in KEYS, but nothing reads it"),
        }
    }

    fn paths(&mut self, field: &Field<'_>) {
        let items = self.list(field, Paths::MOST);
        if items.is_empty() && matches!(field.node.what, What::List(_)) {
            return self.tell(field.spot(), "`review.paths` names nothing; leave it out to look at everything");
        }
        let mut patterns = Vec::new();
        for item in &items {
            let Some(pattern) = self.text(item) else { continue };
            match Paths::check(pattern) {
                Ok(()) => patterns.push(pattern.to_owned()),
                Err(why) => self.tell(item.spot(), format!("{} is no pattern for paths: {why}", shown(pattern))),
            }
        }
        match Paths::new(patterns) {
            Ok(paths) if !paths.patterns().is_empty() => self.rules.review.paths = paths,
            Ok(_) => (),
            Err(why) => self.tell(field.spot(), format!("these patterns can't be used together: {why}")),
        }
    }

    fn login(&mut self, field: &Field<'_>) -> Option<String> {
        let login = self.text(field)?;
        let name = bare(login);
        let fits = !name.is_empty()
            && name.len() <= LONGEST_LOGIN
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !fits {
            self.tell(field.spot(), format!("{} is no login; write it such as `renovate[bot]`", shown(login)));
        }
        fits.then_some(name)
    }

    fn label(&mut self, field: &Field<'_>) -> Option<String> {
        let label = self.text(field)?.trim();
        let fits = !label.is_empty() && label.chars().count() <= LONGEST_LABEL && !label.contains(char::is_control);
        if !fits {
            self.tell(field.spot(), format!("a label has 1 to {LONGEST_LABEL} characters on one line"));
        }
        fits.then(|| label.to_owned())
    }

    /// A model's name becomes an argument of a command, so it must not look like an option.
    fn model(&mut self, field: &Field<'_>) -> Option<String> {
        let model = self.text(field)?;
        let fits = model.starts_with(|c: char| c.is_ascii_alphanumeric())
            && model.len() <= LONGEST_MODEL
            && model.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/@[]".contains(c));
        if !fits {
            self.tell(field.spot(), format!("{} is no name of a model", shown(model)));
        }
        fits.then(|| model.to_owned())
    }

    fn instructions(&mut self, field: &Field<'_>) {
        let Some(text) = self.text(field) else { return };
        let text = text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned();
        let count = text.chars().count();
        if MOST_INSTRUCTIONS < count {
            return self.tell(
                field.spot(),
                format!("`instructions` has {count} characters; at most {MOST_INSTRUCTIONS} are read"),
            );
        }
        self.rules.instructions = text;
    }

    fn dollars(&mut self, field: &Field<'_>) -> Option<Dollars> {
        let amount = match word(field.node) {
            Some(Word::Number(number)) => number,
            // `.inf` and `.nan` are numbers to YAML, and no money.
            _ => {
                self.expects(field, "dollars such as 3.00");
                return None;
            }
        };
        match amount.parse::<Dollars>() {
            Ok(dollars) if LEAST_BUDGET <= dollars.micros => Some(dollars),
            Ok(_) => {
                self.tell(field.spot(), format!("`{}` must be at least 0.01", field.path));
                None
            }
            Err(_) => {
                self.tell(field.spot(), format!("`{}` must be more than 0, and not {}", field.path, shown(amount)));
                None
            }
        }
    }

    /// The items of a list; none for something else, which is told.
    fn list<'a>(&mut self, field: &Field<'a>, most: usize) -> Vec<Field<'a>> {
        let What::List(items) = &field.node.what else {
            self.expects(field, "a list such as `[one, two]`");
            return Vec::new();
        };
        if let Some(over) = items.get(most) {
            self.tell(over.spot, format!("`{}` has {} items; at most {most} are read", field.path, items.len()));
        }
        items.iter().take(most).map(|node| Field { path: field.path, key: node.spot, node }).collect()
    }

    fn text<'a>(&mut self, field: &Field<'a>) -> Option<&'a str> {
        if let Some(Word::Text(text)) = word(field.node) {
            return Some(text);
        }
        self.expects(field, "a text; put it in quotes");
        None
    }

    /// One of a few words.
    fn choice<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let Some(Word::Text(text)) = word(field.node) else {
            self.expects(field, &format!("one of {}", listed(&names)));
            return None;
        };
        let found = words.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let hint = match nearest(text, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", listed(&names)),
            };
            self.tell(field.spot(), format!("`{}` does not know {}; {hint}", field.path, shown(text)));
        }
        found.map(|(_, value)| *value)
    }

    fn expects(&mut self, field: &Field<'_>, what: &str) {
        self.mistakes.extend(expected(field, what));
    }

    fn tell(&mut self, spot: Spot, message: impl Into<String>) {
        self.mistakes.push(spot.says(message));
    }
}

/// `a`, `b`, `c`
fn listed(words: &[&str]) -> String {
    words.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn truth(field: &Field<'_>, mistakes: &mut Vec<Mistake>) -> Option<bool> {
    match word(field.node) {
        Some(Word::Truth(truth)) => Some(truth),
        _ => {
            mistakes.extend(expected(field, "`true` or `false`"));
            None
        }
    }
}

fn expected(field: &Field<'_>, what: &str) -> Option<Mistake> {
    let told = matches!(field.node.what, What::Broken);
    (!told).then(|| field.spot().says(format!("`{}` must be {what}, not {}", field.path, kind(field.node))))
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

fn is_nothing(node: &Node) -> bool {
    matches!(word(node), Some(Word::Nothing))
}

/// A word by the core schema of YAML 1.2, in which `yes` and `on` are texts.
fn word(node: &Node) -> Option<Word<'_>> {
    let What::Scalar { text, plain } = &node.what else { return None };
    Some(match text.as_str() {
        text if !plain => Word::Text(text),
        "" | "~" | "null" | "Null" | "NULL" => Word::Nothing,
        "true" | "True" | "TRUE" => Word::Truth(true),
        "false" | "False" | "FALSE" => Word::Truth(false),
        text if is_number(text) => Word::Number(text),
        text => Word::Text(text),
    })
}

fn is_number(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    let special = [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(&bare);
    let other = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0o"));
    let other = other.is_some_and(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_hexdigit()));
    // `inf`, `infinity` and `nan` are numbers to Rust, and texts to YAML.
    let starts = bare.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    special || other || (starts && bare.parse::<f64>().is_ok())
}

/// What stands there, for the end of a sentence.
fn kind(node: &Node) -> String {
    match (&node.what, word(node)) {
        (What::List(_), _) => "a list".to_owned(),
        (What::Map(_), _) => "keys and values".to_owned(),
        (What::Scalar { text, .. }, Some(Word::Text(_))) => format!("the text {}", shown(text)),
        (What::Scalar { text, .. }, Some(Word::Number(_))) => format!("the number {}", shown(text)),
        (What::Scalar { text, .. }, Some(Word::Truth(_))) => shown(text),
        _ => "nothing".to_owned(),
    }
}

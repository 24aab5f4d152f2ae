//! Who gets what: every combination of author, code, trigger, asker and approval, as `docs/admission.md` shows it.

use std::fmt::Write as _;
use std::path::PathBuf;

use cloud_agent::task::rules::Who;
use cloud_agent::task::{Admission, Asker, Command, Facts, PullFacts, Role, Standing, Wants, admit, lane, may_press};

/// What a task is about, in words for the table.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
#[derive(Clone, Copy)]
struct Subject {
    words: &'static str,
    pull: bool,
    fork: bool,
    approved: bool,
    /// Who opened it may write.
    by_writer: bool,
    /// Strangers have said something that no approval covers, whoever opened it.
    more: bool,
}

const ISSUE: Subject =
    Subject { words: "issue by a writer", pull: false, fork: false, approved: false, by_writer: true, more: false };
const BRANCH: Subject = Subject { words: "branch, by a writer", pull: true, ..ISSUE };
const FORK: Subject = Subject { words: "fork of a writer", fork: true, ..BRANCH };
const APPROVED: Subject = Subject { words: "fork of a writer, approved", approved: true, ..FORK };

const SUBJECTS: [Subject; 11] = [
    ISSUE,
    Subject { words: "issue by a writer, with a stranger's comment", more: true, ..ISSUE },
    Subject { words: "issue by a stranger", by_writer: false, ..ISSUE },
    BRANCH,
    Subject { words: "branch, by a writer, with a stranger's comment", more: true, ..BRANCH },
    Subject { words: "branch, by an App", by_writer: false, ..BRANCH },
    FORK,
    Subject { words: "fork of a stranger", by_writer: false, ..FORK },
    APPROVED,
    Subject { words: "fork of a stranger, approved", by_writer: false, ..APPROVED },
    Subject {
        words: "fork of a stranger, approved, with a stranger's comment since",
        by_writer: false,
        more: true,
        ..APPROVED
    },
];

#[derive(Clone, Copy, PartialEq)]
enum Trigger {
    Mention,
    AskedForReview,
    Label,
    OwnText,
    RetryOfAnothers,
    Approve,
    FixAll,
    Rerun,
    Settings,
}

const TRIGGERS: [(Trigger, &str); 9] = [
    (Trigger::Mention, "`@cloud-agent fix this`"),
    (Trigger::AskedForReview, "`@cloud-agent review`"),
    (Trigger::Label, "label"),
    (Trigger::OwnText, "a mention in its own text"),
    (Trigger::RetryOfAnothers, "`retry` of what one who was let in has asked"),
    (Trigger::Approve, "`/ok-to-test`"),
    (Trigger::FixAll, "*Fix all*"),
    (Trigger::Rerun, "*Re-run*"),
    (Trigger::Settings, "`review.on`"),
];

/// Who asks: column, role, whom the settings let in.
const ASKERS: [(&str, Role, Who); 3] = [
    ("who may write", Role::Write, Who::Triage),
    ("let in", Role::Triage, Who::Triage),
    ("others", Role::Read, Who::Triage),
];

fn cell(subject: Subject, trigger: Trigger, role: Role, who: Who) -> String {
    let writes = role.can_write();
    if trigger == Trigger::OwnText && writes != subject.by_writer {
        return "—".to_owned();
    }
    let facts = Facts {
        role,
        who,
        pull: subject.pull.then(PullFacts::default),
        open_task: false,
        ended_task: true,
        has_commits: true,
        broken: false,
    };
    let work = || Command::Do("fix this".to_owned());
    let (command, quiet) = match trigger {
        Trigger::Mention => (work(), false),
        Trigger::AskedForReview => (Command::Review, false),
        Trigger::Label if subject.pull => (Command::Review, true),
        Trigger::Label | Trigger::OwnText => (work(), true),
        Trigger::RetryOfAnothers => (Command::Retry, false),
        Trigger::Approve => (Command::Approve { commit: "0123456".to_owned(), then: None }, false),
        Trigger::FixAll | Trigger::Rerun if !subject.pull => return "—".to_owned(),
        Trigger::FixAll | Trigger::Rerun => {
            let wants = if trigger == Trigger::FixAll { Wants::Fix } else { Wants::Rerun };
            return if may_press(wants, role, who) { in_lane(subject, asker(writes)) } else { "no".to_owned() };
        }
        Trigger::Settings => return "—".to_owned(),
    };
    match admit(&command, quiet, &facts) {
        Admission::Refuse(_) => "no".to_owned(),
        Admission::Approve(_) => "approves".to_owned(),
        Admission::Retry => in_lane(subject, Asker::Other),
        Admission::Start { .. } | Admission::Review => in_lane(subject, asker(writes)),
        other => panic!("{other:?} is no answer to an ask"),
    }
}

fn asker(writes: bool) -> Asker {
    if writes { Asker::Writer } else { Asker::Other }
}

fn in_lane(subject: Subject, asker: Asker) -> String {
    let unseen = !subject.by_writer && !subject.approved;
    let standing = Standing {
        asker,
        fork: subject.fork,
        approved: subject.approved,
        strangers: unseen || subject.more,
        inherited: false,
    };
    lane(standing).0.name().to_owned()
}

fn table() -> String {
    let heads: Vec<&str> = ASKERS.iter().map(|it| it.0).collect();
    let mut table =
        format!("| about | trigger | {} | nobody |\n|---|---|{}---|\n", heads.join(" | "), "---|".repeat(heads.len()));
    for subject in SUBJECTS {
        for (trigger, words) in TRIGGERS {
            if !subject.pull && matches!(trigger, Trigger::FixAll | Trigger::Rerun | Trigger::Settings) {
                continue;
            }
            let mut cells: Vec<String> =
                ASKERS.iter().map(|(_, role, who)| cell(subject, trigger, *role, *who)).collect();
            cells.push(match trigger {
                Trigger::Settings => in_lane(subject, Asker::Settings),
                _ => "—".to_owned(),
            });
            let _ = writeln!(table, "| {} | {words} | {} |", subject.words, cells.join(" | "));
        }
    }
    table
}

#[test]
fn the_admission_table_is_that_of_the_docs() {
    const HEADING: &str = "`—`\ncan't happen.\n\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/admission.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, committed) = text.split_once(HEADING).expect("the words above the table");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{HEADING}{table}")).unwrap();
        return;
    }
    let diff = similar::TextDiff::from_lines(committed, &table).unified_diff().context_radius(0).to_string();
    assert!(
        diff.is_empty(),
        "who gets what differs from docs/admission.md:\n{diff}\nIf that is meant: UPDATE_DOCS=1, and run this test"
    );
}

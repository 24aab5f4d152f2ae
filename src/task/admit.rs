//! Whether an ask becomes a task. Facts come in as arguments, the decision goes out as a value (invariant 3).

use super::rules::Who;
use super::{Command, Kind, State};

/// What somebody may do in a repository, by GitHub's `role_name`; custom roles count as the base role they grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Role {
    pub fn can_write(self) -> bool {
        self >= Self::Write
    }
}

/// What must be known to decide.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub role: Role,
    /// Whom the repository's settings let ask for answers and reviews.
    pub who: Who,
    /// The thread, when it is a pull request.
    pub pull: Option<PullFacts>,
    /// A task of this thread that changes code has not ended.
    pub open_task: bool,
    /// A task of this thread has ended before.
    pub ended_task: bool,
    /// The default branch has a commit to start from.
    pub has_commits: bool,
    /// Too much was asked here, and nobody has resumed.
    pub broken: bool,
}

/// What must be known of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullFacts {
    pub closed: bool,
    /// A review of this very commit waits or runs.
    pub review_open: bool,
    /// A review of any commit waits or runs.
    pub any_review_open: bool,
}

/// Whether a review of this commit waits or runs already.
pub fn review_asked<'a>(tasks: impl Iterator<Item = (Kind, State, &'a str)>, head_sha: &str) -> bool {
    tasks.into_iter().any(|(kind, state, head)| kind == Kind::Review && !state.is_final() && head == head_sha)
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    Start {
        prompt: String,
    },
    Review,
    /// Run the last task of the thread again, with everything as it is now.
    Retry,
    /// Go on where the last task of the thread ended.
    Continue,
    Stop,
    Resume,
    Help,
    /// Let work be done on the commit that these digits name, if it is the head.
    Approve(String),
    Refuse(Refusal),
    /// Nothing is said, because somebody hears of it already.
    Ignore(&'static str),
}

/// The person's "no", told kindly and once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotAWriter,
    AlreadyRunning,
    AlreadyReviewing,
    NothingToStop,
    NothingToRetry,
    NothingToResume,
    NothingToFix,
    NothingToApprove,
    /// `/ok-to-test` without a commit.
    ApproveWhat,
    /// `/ok-to-test` with another commit than the head.
    NotTheHead,
    PullClosed,
    EmptyRepository,
    TooMuchAtOnce,
    /// GitHub did not let us read what has to be known first.
    Unreadable,
}

impl Refusal {
    /// Stable; names the template's case and the "once" in "once a person and reason".
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAWriter => "not_a_writer",
            Self::AlreadyRunning => "already_running",
            Self::AlreadyReviewing => "already_reviewing",
            Self::NothingToStop => "nothing_to_stop",
            Self::NothingToRetry => "nothing_to_retry",
            Self::NothingToResume => "nothing_to_resume",
            Self::NothingToFix => "nothing_to_fix",
            Self::NothingToApprove => "nothing_to_approve",
            Self::ApproveWhat => "approve_what",
            Self::NotTheHead => "not_the_head",
            Self::PullClosed => "pull_closed",
            Self::EmptyRepository => "empty_repository",
            Self::TooMuchAtOnce => "too_much_at_once",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether hearing it again on another thread would tell the person nothing new.
    pub fn is_about_the_person(self) -> bool {
        self == Self::NotAWriter
    }
}

/// Decide. A `quiet` ask (a label, an issue that was just opened) is not worth a comment when a task runs already: opening
/// an issue that has the label sends both.
pub fn admit(command: &Command, quiet: bool, facts: &Facts) -> Admission {
    if *command == Command::Help {
        return Admission::Help;
    }
    let writes = facts.role.can_write();
    // A review or an answer; what else there is to ask for needs more.
    let asks = matches!(command, Command::Review | Command::Do(_)) && facts.who.includes(facts.role);
    if !writes && !asks {
        return Admission::Refuse(Refusal::NotAWriter);
    }
    let pull = facts.pull.unwrap_or_default();
    match command {
        Command::Help => Admission::Help,
        Command::Stop if facts.open_task || pull.any_review_open => Admission::Stop,
        Command::Stop => Admission::Refuse(Refusal::NothingToStop),
        Command::Resume if facts.broken => Admission::Resume,
        Command::Resume => Admission::Refuse(Refusal::NothingToResume),
        Command::Approve { .. } if facts.pull.is_none() => Admission::Refuse(Refusal::NothingToApprove),
        _ if pull.closed => Admission::Refuse(Refusal::PullClosed),
        Command::Approve { commit, .. } => Admission::Approve(commit.clone()),
        Command::Review if facts.pull.is_some() => match (pull.review_open, quiet) {
            (true, true) => Admission::Ignore("a review of this commit is open already"),
            (true, false) => Admission::Refuse(Refusal::AlreadyReviewing),
            _ => Admission::Review,
        },
        _ if facts.open_task && quiet => Admission::Ignore("a task of this thread is open already"),
        _ if facts.open_task => Admission::Refuse(Refusal::AlreadyRunning),
        _ if !facts.has_commits => Admission::Refuse(Refusal::EmptyRepository),
        Command::Retry if facts.ended_task => Admission::Retry,
        Command::Continue if facts.ended_task => Admission::Continue,
        Command::Retry | Command::Continue => Admission::Refuse(Refusal::NothingToRetry),
        Command::Review => Admission::Start { prompt: "review this".to_owned() },
        Command::Do(prompt) => Admission::Start { prompt: prompt.clone() },
    }
}

/// What a button on a check run asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// *Re-run* of a run or of the suite.
    Rerun,
    Fix,
    Stop,
}

/// Whether whoever presses a button may.
pub fn may_press(wants: Wants, role: Role, who: Who) -> bool {
    match wants {
        Wants::Rerun => who.includes(role),
        Wants::Fix | Wants::Stop => role.can_write(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: Facts = Facts {
        role: Role::Write,
        who: Who::Write,
        pull: None,
        open_task: false,
        ended_task: false,
        has_commits: true,
        broken: false,
    };
    const OPEN: PullFacts = PullFacts { closed: false, review_open: false, any_review_open: false };

    fn check(command: &Command, by_label: bool, facts: Facts, expected: &Admission) {
        assert_eq!(admit(command, by_label, &facts), *expected, "{command:?} {facts:?}");
    }

    fn start() -> Admission {
        Admission::Start { prompt: "fix this".into() }
    }

    #[test]
    fn only_writers_start_work() {
        let ask = || Command::Do("fix this".into());
        for role in [Role::Write, Role::Maintain, Role::Admin] {
            check(&ask(), false, Facts { role, ..WRITER }, &start());
        }
        for role in [Role::None, Role::Read, Role::Triage] {
            for command in [ask(), Command::Stop, Command::Retry, Command::Continue, Command::Resume, Command::Review] {
                let facts = Facts { role, broken: true, ..WRITER };
                check(&command, false, facts, &Admission::Refuse(Refusal::NotAWriter));
            }
            check(&Command::Help, false, Facts { role, ..WRITER }, &Admission::Help);
        }
    }

    #[test]
    fn the_settings_let_others_ask_and_never_write() {
        let ask = Command::Do("fix this".into());
        for (who, role, expected) in [
            (Who::Triage, Role::Triage, start()),
            (Who::Triage, Role::Read, Admission::Refuse(Refusal::NotAWriter)),
            (Who::Read, Role::Read, start()),
            (Who::Everyone, Role::None, start()),
            (Who::Everyone, Role::Write, start()),
        ] {
            check(&ask, false, Facts { role, who, ..WRITER }, &expected);
        }
        let anybody = Facts { role: Role::None, who: Who::Everyone, pull: Some(OPEN), ..WRITER };
        check(&Command::Review, false, anybody, &Admission::Review);
        check(&Command::Retry, false, anybody, &Admission::Refuse(Refusal::NotAWriter));
    }

    #[test]
    fn a_pull_request_has_rules_of_its_own() {
        let on = |pull: PullFacts| Facts { pull: Some(pull), ..WRITER };
        check(&Command::Review, false, on(OPEN), &Admission::Review);
        let approve = Command::Approve { commit: "0123456".into(), then: None };
        check(&approve, false, on(OPEN), &Admission::Approve("0123456".into()));
        check(&approve, false, WRITER, &Admission::Refuse(Refusal::NothingToApprove));
        check(&approve, false, on(PullFacts { closed: true, ..OPEN }), &Admission::Refuse(Refusal::PullClosed));
        let anybody = Facts { role: Role::Triage, who: Who::Everyone, ..on(OPEN) };
        check(&approve, false, anybody, &Admission::Refuse(Refusal::NotAWriter));
        let closed = PullFacts { closed: true, ..OPEN };
        check(&Command::Review, false, on(closed), &Admission::Refuse(Refusal::PullClosed));
        let busy = PullFacts { review_open: true, any_review_open: true, ..OPEN };
        check(&Command::Review, false, on(busy), &Admission::Refuse(Refusal::AlreadyReviewing));
        check(&Command::Stop, false, on(busy), &Admission::Stop);
        check(&Command::Do("fix this".into()), false, on(busy), &start());
        let earlier = PullFacts { any_review_open: true, ..OPEN };
        check(&Command::Review, false, on(earlier), &Admission::Review);
    }

    #[test]
    fn one_task_a_thread() {
        let busy = Facts { open_task: true, ended_task: true, ..WRITER };
        check(&Command::Do(String::new()), false, busy, &Admission::Refuse(Refusal::AlreadyRunning));
        check(&Command::Retry, false, busy, &Admission::Refuse(Refusal::AlreadyRunning));
        check(&Command::Do(String::new()), true, busy, &Admission::Ignore("a task of this thread is open already"));
        check(&Command::Stop, false, busy, &Admission::Stop);
    }

    #[test]
    fn what_can_not_be_done_is_refused() {
        check(&Command::Stop, false, WRITER, &Admission::Refuse(Refusal::NothingToStop));
        check(&Command::Retry, false, WRITER, &Admission::Refuse(Refusal::NothingToRetry));
        check(&Command::Resume, false, WRITER, &Admission::Refuse(Refusal::NothingToResume));
        check(&Command::Resume, false, Facts { broken: true, ..WRITER }, &Admission::Resume);
        check(&Command::Continue, false, WRITER, &Admission::Refuse(Refusal::NothingToRetry));
        let ended = Facts { ended_task: true, ..WRITER };
        check(&Command::Retry, false, ended, &Admission::Retry);
        check(&Command::Continue, false, ended, &Admission::Continue);
        let empty = Facts { has_commits: false, ..WRITER };
        check(&Command::Do(String::new()), false, empty, &Admission::Refuse(Refusal::EmptyRepository));
    }
}

//! Whether an ask becomes a task. Facts come in as arguments, the decision goes out as a value (invariant 3).

use super::Command;

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
#[expect(clippy::struct_excessive_bools, reason = "four facts that have nothing to do with each other")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub role: Role,
    /// The thread is a pull request.
    pub on_pull: bool,
    /// A task of this thread has not ended.
    pub open_task: bool,
    /// A task of this thread has ended before.
    pub ended_task: bool,
    /// The default branch has a commit to start from.
    pub has_commits: bool,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    Start {
        prompt: String,
    },
    /// Run the last task of the thread again, with the issue as it is now.
    Retry,
    Stop,
    Help,
    Refuse(Refusal),
    /// Nothing is said, because somebody hears of it already.
    Ignore(&'static str),
}

/// The person's "no", told kindly and once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotAWriter,
    AlreadyRunning,
    NothingToStop,
    NothingToRetry,
    OnPullRequest,
    EmptyRepository,
}

impl Refusal {
    /// Stable; names the template's case and the "once" in "once a person and reason".
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAWriter => "not_a_writer",
            Self::AlreadyRunning => "already_running",
            Self::NothingToStop => "nothing_to_stop",
            Self::NothingToRetry => "nothing_to_retry",
            Self::OnPullRequest => "on_pull_request",
            Self::EmptyRepository => "empty_repository",
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
    if !facts.role.can_write() {
        return Admission::Refuse(Refusal::NotAWriter);
    }
    if facts.on_pull {
        return Admission::Refuse(Refusal::OnPullRequest);
    }
    match command {
        Command::Help => Admission::Help,
        Command::Stop if facts.open_task => Admission::Stop,
        Command::Stop => Admission::Refuse(Refusal::NothingToStop),
        _ if facts.open_task && quiet => Admission::Ignore("a task of this thread is open already"),
        _ if facts.open_task => Admission::Refuse(Refusal::AlreadyRunning),
        _ if !facts.has_commits => Admission::Refuse(Refusal::EmptyRepository),
        Command::Retry if facts.ended_task => Admission::Retry,
        Command::Retry => Admission::Refuse(Refusal::NothingToRetry),
        Command::Do(prompt) => Admission::Start { prompt: prompt.clone() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: Facts =
        Facts { role: Role::Write, on_pull: false, open_task: false, ended_task: false, has_commits: true };

    fn check(command: &Command, by_label: bool, facts: Facts, expected: &Admission) {
        assert_eq!(admit(command, by_label, &facts), *expected, "{command:?} {facts:?}");
    }

    #[test]
    fn only_writers_start_work() {
        let ask = || Command::Do("fix this".into());
        for role in [Role::Write, Role::Maintain, Role::Admin] {
            check(&ask(), false, Facts { role, ..WRITER }, &Admission::Start { prompt: "fix this".into() });
        }
        for role in [Role::None, Role::Read, Role::Triage] {
            for command in [ask(), Command::Stop, Command::Retry] {
                check(&command, false, Facts { role, ..WRITER }, &Admission::Refuse(Refusal::NotAWriter));
            }
            check(&Command::Help, false, Facts { role, ..WRITER }, &Admission::Help);
        }
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
        let ended = Facts { ended_task: true, ..WRITER };
        check(&Command::Retry, false, ended, &Admission::Retry);
        let empty = Facts { has_commits: false, ..WRITER };
        check(&Command::Do(String::new()), false, empty, &Admission::Refuse(Refusal::EmptyRepository));
        let pull = Facts { on_pull: true, ..WRITER };
        check(&Command::Do(String::new()), false, pull, &Admission::Refuse(Refusal::OnPullRequest));
    }
}

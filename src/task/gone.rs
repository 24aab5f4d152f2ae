//! What took the ground from under a task: the installation or the repository is no longer there for us.

/// Nothing can be read or said there any more, so nothing is told on GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The installation is suspended.
    Suspended,
    /// The App was uninstalled.
    Uninstalled,
    /// The installation no longer covers the repository.
    Uncovered,
    Deleted,
    /// Nobody can write there any more.
    Archived,
}

impl Gone {
    pub const ALL: [Self; 5] = [Self::Suspended, Self::Uninstalled, Self::Uncovered, Self::Deleted, Self::Archived];

    /// The code of the ending.
    pub fn code(self) -> &'static str {
        match self {
            Self::Suspended => "installation_suspended",
            Self::Uninstalled => "installation_removed",
            Self::Uncovered => "repository_removed",
            Self::Deleted => "repository_deleted",
            Self::Archived => "repository_archived",
        }
    }

    /// For the log and whoever asks why nothing was done.
    pub fn says(self) -> &'static str {
        match self {
            Self::Suspended => "the installation is suspended",
            Self::Uninstalled => "the App is not installed there any more",
            Self::Uncovered => "the installation no longer covers the repository",
            Self::Deleted => "the repository was deleted",
            Self::Archived => "the repository is archived",
        }
    }

    pub fn coded(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gone| gone.code() == code)
    }

    /// Who stops a task for this: no login has brackets.
    pub fn stopper(self) -> String {
        format!("({})", self.code())
    }

    pub fn stopped_by(by: &str) -> Option<Self> {
        Self::coded(by.strip_prefix('(')?.strip_suffix(')')?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Ending, State};

    #[test]
    fn each_is_known_again_and_ends_a_task_as_a_person_would() {
        for gone in Gone::ALL {
            assert_eq!(Gone::stopped_by(&gone.stopper()), Some(gone));
            assert_eq!(Ending::new(gone.code(), "").state(), State::Cancelled);
        }
        assert_eq!(Gone::stopped_by("alice"), None);
        assert_eq!(Gone::stopped_by("(closed)"), None);
    }
}

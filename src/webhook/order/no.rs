//! Why nothing comes of an order.

use crate::clock::Millis;
use crate::github::{Error, TokenProblem};
use crate::task::{Gone, Refusal};
use crate::webhook::handle::Trouble;

/// Why nothing comes of it.
#[derive(Debug)]
pub enum No {
    /// There is none, or the App is not installed there, or the caller may not know of it.
    NoRepository,
    NoThread,
    /// It was named as a pull request, in this field.
    IsIssue(&'static str),
    NoBranch,
    /// The branch that an earlier task began with is not there any more.
    BranchGone(String),
    /// A pull request has a branch.
    BranchOfPull,
    Suspended,
    Archived,
    Refused(Refusal),
    /// Too much was asked there, and nobody has resumed.
    Paused,
    /// Too much within an hour: there, or by this key.
    TooMuchThere,
    TooMuch,
    OverBudget {
        spent: i64,
    },
    /// The idempotency key stands for something else.
    Reused,
    /// GitHub, or what we do there, has to wait.
    Later {
        at: Millis,
        why: String,
    },
    /// GitHub does not let us look.
    Github(String),
    /// GitHub does not let the caller's own token look, in its words and ours.
    Token(TokenProblem, String),
    /// A review is posted in the App's name.
    TokenForReview,
    Ours(anyhow::Error),
}

impl From<Trouble> for No {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Later { at, why } => Self::Later { at, why },
            Trouble::Gone(Gone::Suspended) => Self::Suspended,
            Trouble::Gone(_) => Self::NoRepository,
            Trouble::Lost | Trouble::Would(_) => {
                Self::Ours(anyhow::anyhow!("something was to be written without a claim"))
            }
            Trouble::Ours(error) => match error.downcast::<Error>() {
                Ok(error) => Self::refused(&error),
                Err(error) => Self::Ours(error),
            },
        }
    }
}

impl No {
    pub(super) fn refused(error: &Error) -> Self {
        let says = error.to_string();
        match TokenProblem::read(&says) {
            Some((problem, says)) => Self::Token(problem, says.to_owned()),
            None => Self::Github(says),
        }
    }
}

//! Pull requests: opened from a branch here or in a fork, and moved on by pushes.

mod acts;
mod people;
mod twins;

/// A pull request about to be opened.
#[derive(Default, Debug)]
pub(crate) struct NewPull<'a> {
    pub title: &'a str,
    pub body: Option<&'a str>,
    pub head: &'a str,
    pub base: &'a str,
    pub draft: bool,
    /// The repository of the head branch, if it is not the same.
    pub fork: Option<u64>,
}

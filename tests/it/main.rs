//! Everything that is tested from outside: stories first, then the parts.

mod git;
mod stories;
mod tidy;
mod world;

//! Everything that is tested from outside: stories first, then the parts.

mod stories;
mod tidy;
mod world;

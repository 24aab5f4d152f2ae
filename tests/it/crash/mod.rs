//! The process is killed with SIGKILL before and after every durable write and every request to GitHub or the model, one point
//! at a time, and started again: the world at rest is always the same as if nothing had happened.
//!
//! The product knows nothing of it. Requests are counted by the simulator, PostgreSQL's writes by a proxy, SQLite's commits
//! by a preloaded library. Nothing is counted beforehand: a series of points ends with the first one that a run doesn't meet.
//!
//! SQLite is tried at every point. Of PostgreSQL's every fourth is, unless `CRASH_POINTS=all` (`script/crash`) asks for all.
//! A point that has failed is tried alone with `CRASH_POINT=mention/sqlite/write/before/7`.

mod every;
mod point;
mod story;

use insta::assert_snapshot;

use every::{every_point_of, undisturbed};
use point::Engine;
use story::Story;

#[test]
fn every_point_of_a_mention_on_sqlite() {
    every_point_of(Story::Mention, Engine::Sqlite);
}

#[test]
fn every_point_of_a_mention_on_postgres() {
    every_point_of(Story::Mention, Engine::Postgres);
}

#[test]
fn every_point_of_a_review_on_sqlite() {
    every_point_of(Story::Review, Engine::Sqlite);
}

#[test]
fn every_point_of_a_review_on_postgres() {
    every_point_of(Story::Review, Engine::Postgres);
}

#[test]
fn every_point_of_a_mention_with_the_real_claude() {
    every_point_of(Story::RealMention, Engine::Sqlite);
}

/// What the others are held against.
#[test]
fn the_world_without_a_crash() {
    assert_snapshot!(undisturbed(Story::Mention), @"");
    assert_snapshot!(undisturbed(Story::Review), @"");
}

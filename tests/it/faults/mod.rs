//! The fault matrix: one story after another, with one thing going wrong in each, judged by what people see in the end.
//! The tables in `docs/faults.md` are made by these tests: `UPDATE_DOCS=1 script/faults`.
//!
//! A cell is a world of its own, and there are some hundreds. Every sixth is played, another one in each row, unless
//! `FAULTS=all` (`script/faults`) asks for all; those that are not are held as they stand in the document. `FAULTS="the push"`
//! plays the cells with these words in `request, trouble`.

mod cell;
mod columns;
mod database;
mod judge;
mod model;
mod routes;
mod table;

use cell::Story;

#[tokio::test(flavor = "multi_thread")]
async fn a_mention_meets_every_fault_of_github() {
    table::of_routes(Story::Mention, "A mention becomes a pull request").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_meets_every_fault_of_github() {
    table::of_routes(Story::Review, "A pull request is reviewed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_review_meets_every_fault_of_github() {
    table::of_routes(Story::Push, "A push settles what a review has found").await;
}

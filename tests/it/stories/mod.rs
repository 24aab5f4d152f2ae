//! READ THESE: what cloud-agent does, told from GitHub's side. Each story runs on SQLite and on PostgreSQL.

/// Stories that run on both databases.
macro_rules! stories {
    ($(async fn $name:ident($database:ident: Database) $story:block)*) => {
        $(async fn $name($database: $crate::world::Database) $story)*

        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::world::Database::sqlite()).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::world::Database::postgres()).await;
            })*
        }
    };
}

mod api;
mod api_again;
mod api_edges;
mod api_tasks;
pub mod artifacts;
pub mod approval;
mod blocked;
mod breaker;
mod ca;
mod callbacks;
mod code;
mod cage;
mod data;
mod deliveries;
mod described;
mod doors;
mod endings;
mod mention;
mod missed;
mod outages;
mod refusals;
mod refused;
mod replay;
mod restart;
pub mod findings;
mod forks;
mod guidance;
mod huge;
mod installation;
mod suspended;
mod retarget;
mod lanes;
mod workflows;
mod own;
mod narrowed;
mod own_key;
mod own_token;
mod readers;
mod real_review;
mod reviews;
mod buttons;
mod ledger;
mod limits;
mod talk;
mod triggers;
mod unseen;
mod two_doors;
mod cut_off;
mod moves;
mod sick;
mod slow;
mod stalled;
mod stops;
mod waiting;
mod workers;

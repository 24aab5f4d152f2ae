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

mod cage;
mod deliveries;
mod doors;
mod endings;
mod mention;
mod outages;
mod refusals;
mod restart;
pub mod findings;
mod forks;
mod huge;
mod own;
mod readers;
mod real_review;
mod reviews;
mod buttons;
mod ledger;
mod talk;
mod triggers;

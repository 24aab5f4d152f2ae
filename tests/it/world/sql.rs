//! Looking into the database past the store: what the store has no word for, because no part of the product asks.

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use super::database::Postgres;
use super::{Database, World};

impl World {
    /// Run one statement; the number that it gives, if it gives one.
    pub async fn sql(&self, statement: &str) -> i64 {
        let mut connection = AnyConnection::connect(&self.database_url()).await.unwrap();
        let query = sqlx::query(AssertSqlSafe(statement.to_owned()));
        let row = query.fetch_optional(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        row.map_or(0, |row| row.try_get(0).unwrap_or_default())
    }

    /// The server, to be stopped and started.
    pub fn postgres(&self) -> &Postgres {
        let Database::Postgres(server, _) = &self.database else { panic!("this world is on SQLite") };
        server
    }

    /// The database itself, also when the bot reaches it some other way.
    pub fn database_url(&self) -> String {
        self.database.url(self.dir.path())
    }
}

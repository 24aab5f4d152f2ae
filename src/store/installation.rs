//! What becomes of open tasks when an installation or a repository changes. Found by way of the queue's rows, of which
//! there are few, whatever the history.

use super::{Store, StoredTask};
use crate::clock::Millis;
use crate::task::Gone;

impl Store {
    /// The open tasks of an installation, or of these repositories of it: each with its repository.
    pub async fn open_tasks_of(
        &self,
        installation: u64,
        repositories: Option<&[u64]>,
    ) -> sqlx::Result<Vec<(String, u64)>> {
        const SQL: &str = "select task.task_id, task.repository_id from job join task on task.task_id = job.job_id
                           where job.queue = 'task' and task.installation_id = $1 order by task.created_at";
        let rows: Vec<(String, i64)> = sqlx::query_as(SQL).bind(installation as i64).fetch_all(&self.read).await?;
        let rows = rows.into_iter().map(|(id, repository)| (id, repository as u64));
        Ok(rows.filter(|(_, repository)| repositories.is_none_or(|them| them.contains(repository))).collect())
    }

    /// The tasks of an installation that were stopped for this since then, the oldest first.
    pub async fn stopped_tasks_of(
        &self,
        installation: u64,
        gone: Gone,
        since: Millis,
    ) -> anyhow::Result<Vec<StoredTask>> {
        const MOST: i64 = 200;
        const SQL: &str = "select task_id from task
                           where installation_id = $1 and ended_at > $2 and ending like $3
                           order by ended_at limit $4";
        let ids: Vec<String> = sqlx::query_scalar(SQL)
            .bind(installation as i64)
            .bind(since)
            .bind(format!("%{}%", gone.code()))
            .bind(MOST)
            .fetch_all(&self.read)
            .await?;
        let mut found = Vec::new();
        for id in ids {
            let task = self.task(&id).await?;
            found.extend(task.filter(|task| task.ending.as_ref().is_some_and(|it| it.code == gone.code())));
        }
        Ok(found)
    }

    /// A repository has another name, and perhaps another owner with an installation of their own: its open tasks follow. What
    /// works with its caller's own token goes on with that.
    pub async fn move_repository(&self, repository: u64, name: &str, installation: u64) -> sqlx::Result<u64> {
        const SQL: &str = "update task set repository = $1,
                               installation_id = case when own_token = 1 then installation_id else $2 end
                           where repository_id = $3
                           and task_id in (select job_id from job where queue = 'task')";
        let moved = sqlx::query(SQL).bind(name).bind(installation as i64).bind(repository as i64);
        Ok(moved.execute(&self.write).await?.rows_affected())
    }

    /// An account has another name: the repositories of its open tasks follow.
    pub async fn rename_owner(&self, installation: u64, from: &str, to: &str) -> sqlx::Result<u64> {
        const SQL: &str = "update task set repository = $1 || substr(repository, $2)
                           where installation_id = $3 and lower(substr(repository, 1, $4)) = lower($5)
                           and task_id in (select job_id from job where queue = 'task')";
        let old = format!("{from}/");
        // Characters, as `substr` counts; the owner's name goes, its slash and what follows stays.
        let length = old.chars().count() as i64;
        let renamed = sqlx::query(SQL).bind(to).bind(length).bind(installation as i64).bind(length).bind(old);
        Ok(renamed.execute(&self.write).await?.rows_affected())
    }
}

//! What becomes of open tasks when an installation or a repository changes. Found by way of the queue's rows, of which
//! there are few, whatever the history.

use super::Store;

impl Store {
    /// The open tasks of an installation, or of these repositories of it.
    pub async fn open_tasks_of(&self, installation: u64, repositories: Option<&[u64]>) -> sqlx::Result<Vec<String>> {
        const SQL: &str = "select task.task_id, task.repository_id from job join task on task.task_id = job.job_id
                           where job.queue = 'task' and task.installation_id = $1 order by task.created_at";
        let rows: Vec<(String, i64)> = sqlx::query_as(SQL).bind(installation as i64).fetch_all(&self.read).await?;
        let wanted = |repository: i64| repositories.is_none_or(|them| them.contains(&(repository as u64)));
        Ok(rows.into_iter().filter(|(_, repository)| wanted(*repository)).map(|(id, _)| id).collect())
    }

    /// A repository has another name, and perhaps another owner with an installation of their own: its open tasks follow.
    pub async fn move_repository(&self, repository: u64, name: &str, installation: u64) -> sqlx::Result<u64> {
        const SQL: &str = "update task set repository = $1, installation_id = $2 where repository_id = $3
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

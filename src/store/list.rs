//! Lists for people and programs: tasks and deliveries by what they look for, a page at a time.

use anyhow::Result;
use sqlx::{AssertSqlSafe, Row as _};

use super::filter::Filter;
use super::task::{COLUMNS, StoredTask, read};
use super::{Among, DeliveryState, Store};
use crate::clock::Millis;
use crate::task::State;

/// Which tasks.
#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    pub state: Option<State>,
    pub repository: Option<String>,
    pub requester: Option<String>,
    /// The kind of trigger, such as `comment`.
    pub source: Option<String>,
    pub since: Option<Millis>,
    /// What the one who asks may see; `None` for all.
    pub among: Option<Among>,
    /// Older than this task: when it was made, and its id.
    pub before: Option<(Millis, String)>,
}

/// Which deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    pub id: Option<String>,
    pub state: Option<DeliveryState>,
    pub event: Option<String>,
    pub repository: Option<String>,
    pub since: Option<Millis>,
    /// Received before this moment.
    pub until: Option<Millis>,
    /// By the names that they have now: deliveries are known by no other.
    pub among: Option<Among>,
    /// Older than this one, by its id.
    pub before: Option<String>,
}

/// A delivery without its body.
#[derive(Debug, Clone)]
pub struct DeliveryLine {
    pub delivery_id: String,
    pub guid: String,
    pub event: String,
    pub action: Option<String>,
    pub repository: Option<String>,
    pub state: String,
    pub decision: Option<String>,
    pub task_id: Option<String>,
    pub received_at: Millis,
}

const LINE: &str = "delivery_id, guid, event, action, repository, state, decision, task_id, received_at";

impl Store {
    /// Tasks, newest first.
    pub async fn find_tasks(&self, query: &TaskQuery, limit: i64, offset: i64) -> Result<Vec<StoredTask>> {
        let filter = query.filter();
        let sql = format!(
            "select {COLUMNS} from task {} order by created_at desc, task_id desc limit {} offset {}",
            filter.sql(),
            limit.max(0),
            offset.max(0)
        );
        let rows = filter.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&self.read).await?;
        rows.iter().map(read).collect()
    }

    /// How many there are, wherever the page begins.
    pub async fn count_tasks(&self, query: &TaskQuery) -> Result<i64> {
        let filter = TaskQuery { before: None, ..query.clone() }.filter();
        let sql = format!("select count(*) from task {}", filter.sql());
        Ok(filter.bind_scalar(sqlx::query_scalar(AssertSqlSafe(sql))).fetch_one(&self.read).await?)
    }

    /// Deliveries, newest first.
    pub async fn find_deliveries(&self, query: &DeliveryQuery, limit: i64) -> Result<Vec<DeliveryLine>> {
        let filter = query.filter();
        let sql =
            format!("select {LINE} from delivery {} order by delivery_id desc limit {}", filter.sql(), limit.max(0));
        let rows = filter.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&self.read).await?;
        rows.into_iter()
            .map(|row| {
                Ok(DeliveryLine {
                    delivery_id: row.try_get(0)?,
                    guid: row.try_get(1)?,
                    event: row.try_get(2)?,
                    action: row.try_get(3)?,
                    repository: row.try_get(4)?,
                    state: row.try_get(5)?,
                    decision: row.try_get(6)?,
                    task_id: row.try_get(7)?,
                    received_at: row.try_get(8)?,
                })
            })
            .collect()
    }

    /// One delivery without its body, if the one who asks may see it.
    pub async fn delivery_line(&self, id: &str, among: Option<&Among>) -> Result<Option<DeliveryLine>> {
        let query = DeliveryQuery { id: Some(id.to_owned()), among: among.cloned(), ..Default::default() };
        Ok(self.find_deliveries(&query, 1).await?.pop())
    }

    /// Forget what a delivery said. Its row stays, so that the same delivery is never taken in again, also if it had failed.
    /// False while it waits to be looked at.
    pub async fn forget_delivery(&self, id: &str) -> Result<bool> {
        const SQL: &str =
            "update delivery set body = $1, state = case state when 'failed' then 'ignored' else state end
                           where delivery_id = $2 and state <> 'waiting'";
        let emptied = sqlx::query(SQL).bind(Vec::<u8>::new()).bind(id).execute(&self.write).await?;
        Ok(emptied.rows_affected() == 1)
    }

    /// The same for all of these that say something still, in small steps: deliveries that come in meanwhile wait for one of
    /// them at most. How many.
    pub async fn forget_deliveries(&self, query: &DeliveryQuery) -> Result<u64> {
        const STEP: i64 = 200;
        let mut query = query.clone();
        let mut forgotten = 0;
        loop {
            let mut filter = query.filter();
            filter.so("state <> 'waiting' and (length(body) > 0 or state = 'failed')");
            let sql =
                format!("select delivery_id from delivery {} order by delivery_id desc limit {STEP}", filter.sql());
            let ids = filter.bind_scalar(sqlx::query_scalar(AssertSqlSafe(sql)));
            let ids: Vec<String> = ids.fetch_all(&self.read).await?;
            let Some(last) = ids.last() else { return Ok(forgotten) };
            query.before = Some(last.clone());
            let mut these = Filter::default();
            these.one_of("delivery_id", &ids);
            these.so("state <> 'waiting'");
            let sql = format!(
                "update delivery set body = cast('' as {}), state = case state when 'failed' then 'ignored' else state end {}",
                self.dialect.bytes(),
                these.sql()
            );
            forgotten += these.bind(sqlx::query(AssertSqlSafe(sql))).execute(&self.write).await?.rows_affected();
        }
    }
}

impl TaskQuery {
    fn filter(&self) -> Filter {
        let mut filter = Filter::default();
        if let Some(state) = self.state {
            filter.text("state = ?", state.name());
        }
        if let Some(repository) = &self.repository {
            filter.text("lower(repository) = ?", repository.to_lowercase());
        }
        if let Some(requester) = &self.requester {
            filter.text("lower(requester) = ?", requester.to_lowercase());
        }
        if let Some(source) = &self.source {
            // The kind is what the JSON begins with.
            let kind = format!("{{\"kind\":{}", serde_json::Value::from(source.as_str()));
            filter.text(&format!("substr(trigger_json, 1, {}) = ?", kind.chars().count()), kind);
        }
        if let Some(since) = self.since {
            filter.number("created_at >= ?", since);
        }
        if let Some(among) = &self.among {
            among.filter(&mut filter);
        }
        if let Some((at, id)) = &self.before {
            filter.older("created_at", *at, "task_id", id);
        }
        filter
    }
}

impl DeliveryQuery {
    /// Whether it leaves nothing out.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    fn filter(&self) -> Filter {
        let mut filter = Filter::default();
        if let Some(id) = &self.id {
            filter.text("delivery_id = ?", id);
        }
        if let Some(state) = self.state {
            filter.text("state = ?", state.name());
        }
        if let Some(event) = &self.event {
            filter.text("event = ?", event);
        }
        if let Some(repository) = &self.repository {
            filter.text("lower(repository) = ?", repository.to_lowercase());
        }
        if let Some(since) = self.since {
            filter.number("received_at >= ?", since);
        }
        if let Some(until) = self.until {
            filter.number("received_at < ?", until);
        }
        if let Some(among) = &self.among {
            filter.one_of("lower(coalesce(repository, ''))", &among.names());
        }
        if let Some(before) = &self.before {
            filter.text("delivery_id < ?", before);
        }
        filter
    }
}

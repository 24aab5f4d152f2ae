//! How far what never came has been looked for, by which process, and which deliveries were found that way.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::{NewDelivery, Queue, Store};
use crate::clock::{self, Millis};

/// The state of the search, held by one process at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// When this database first looked.
    pub begun_at: Millis,
    /// All that GitHub lists up to here is known; 0 before the first look came to its end.
    pub swept_until: Millis,
    pub listing: Option<Listing>,
}

/// Repositories that have to be looked through, because GitHub's list of deliveries does not reach back far enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    pub since: Millis,
    /// Installation and repository that were looked through last; what comes after them is left.
    pub after: (u64, u64),
}

/// How a delivery was found that GitHub did not bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In GitHub's list of deliveries.
    Pulled,
    /// Made of what a repository shows.
    Listed,
    /// Brought while nothing could be done about it, and kept until something could.
    Kept,
    /// An operator wants it handled once more.
    Replayed,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pulled => "pulled",
            Self::Listed => "listed",
            Self::Kept => "kept",
            Self::Replayed => "replayed",
        }
    }
}

impl Store {
    /// Take the right to look for what was missed; none while another process has it.
    pub async fn begin_sweep(&self, app_id: i64, owner: &str, lease: Duration) -> sqlx::Result<Option<Sweep>> {
        const ROW: &str = "insert into sweep (app_id, begun_at) values ($1, $2) on conflict do nothing";
        const SQL: &str = "select begun_at, swept_until, list_since, listed_installation, listed_repository
                           from sweep where app_id = $1";
        sqlx::query(ROW).bind(app_id).bind(clock::now()).execute(&self.write).await?;
        if !self.keep_sweep(app_id, owner, lease).await? {
            return Ok(None);
        }
        let row = sqlx::query(SQL).bind(app_id).fetch_one(&self.write).await?;
        let number = |column: &str| row.try_get::<i64, _>(column).map(|it| it as u64);
        let after = (number("listed_installation")?, number("listed_repository")?);
        let since: Option<Millis> = row.try_get("list_since")?;
        Ok(Some(Sweep {
            begun_at: row.try_get("begun_at")?,
            swept_until: row.try_get("swept_until")?,
            listing: since.map(|since| Listing { since, after }),
        }))
    }

    /// Keep that right, or take it when it has lapsed. False when it is somebody else's.
    pub async fn keep_sweep(&self, app_id: i64, owner: &str, lease: Duration) -> sqlx::Result<bool> {
        let now = self.dialect.now();
        let sql = format!(
            "update sweep set owner = $1, owned_until = {now} + $2
             where app_id = $3 and (owner = $1 or owned_until < {now})"
        );
        let kept = sqlx::query(AssertSqlSafe(sql)).bind(owner).bind(lease.as_millis() as i64).bind(app_id);
        Ok(kept.execute(&self.write).await?.rows_affected() == 1)
    }

    /// Give that right back.
    pub async fn end_sweep(&self, app_id: i64, owner: &str) -> sqlx::Result<()> {
        const SQL: &str = "update sweep set owner = null, owned_until = 0 where app_id = $1 and owner = $2";
        sqlx::query(SQL).bind(app_id).bind(owner).execute(&self.write).await.map(drop)
    }

    /// Record that all that GitHub lists up to here is known.
    pub async fn swept(&self, app_id: i64, owner: &str, until: Millis) -> sqlx::Result<()> {
        const SQL: &str = "update sweep set swept_until = $1 where app_id = $2 and owner = $3";
        sqlx::query(SQL).bind(until).bind(app_id).bind(owner).execute(&self.write).await.map(drop)
    }

    /// Until when all that GitHub lists is known; 0 before the first look came to its end.
    pub async fn swept_until(&self, app_id: i64) -> sqlx::Result<Millis> {
        const SQL: &str = "select swept_until from sweep where app_id = $1";
        Ok(sqlx::query_scalar(SQL).bind(app_id).fetch_optional(&self.read).await?.unwrap_or_default())
    }

    /// Record that repositories have to be looked through, for what happened since then.
    pub async fn list_since(&self, app_id: i64, owner: &str, since: Millis) -> sqlx::Result<()> {
        const SQL: &str = "update sweep set list_since = $1, listed_installation = 0, listed_repository = 0
                           where app_id = $2 and owner = $3 and list_since is null";
        sqlx::query(SQL).bind(since).bind(app_id).bind(owner).execute(&self.write).await.map(drop)
    }

    /// Record how far that has come; nothing means to its end.
    pub async fn listed(&self, app_id: i64, owner: &str, after: Option<(u64, u64)>) -> sqlx::Result<()> {
        const SOME: &str = "update sweep set listed_installation = $1, listed_repository = $2
                            where app_id = $3 and owner = $4";
        const ALL: &str = "update sweep set list_since = null where app_id = $1 and owner = $2";
        let query = match after {
            Some((installation, repository)) => sqlx::query(SOME).bind(installation as i64).bind(repository as i64),
            None => sqlx::query(ALL),
        };
        query.bind(app_id).bind(owner).execute(&self.write).await.map(drop)
    }

    /// Which of these events have no delivery here.
    pub async fn unknown<'a>(&self, app_id: i64, guids: &[&'a str]) -> sqlx::Result<HashSet<&'a str>> {
        if guids.is_empty() {
            return Ok(HashSet::new());
        }
        let given = super::placeholders(1, guids.len());
        let sql = format!("select guid from delivery where guid in {given} and app_id = ${}", guids.len() + 1);
        let query = guids.iter().fold(sqlx::query_scalar(AssertSqlSafe(sql)), |query, guid| query.bind(*guid));
        let known: HashSet<String> = query.bind(app_id).fetch_all(&self.read).await?.into_iter().collect();
        Ok(guids.iter().copied().filter(|guid| !known.contains(*guid)).collect())
    }

    /// The repositories with tasks that are under way.
    pub async fn busy_repositories(&self) -> sqlx::Result<HashSet<u64>> {
        const SQL: &str = "select distinct task.repository_id from job join task on task.task_id = job.job_id
                           where job.queue = 'task'";
        let ids: Vec<i64> = sqlx::query_scalar(SQL).fetch_all(&self.read).await?;
        Ok(ids.into_iter().map(|id| id as u64).collect())
    }

    /// Whether a delivery waits to be looked at, which may ask for something anywhere.
    pub async fn has_waiting_deliveries(&self) -> sqlx::Result<bool> {
        const SQL: &str = "select 1 from job where queue = 'delivery' limit 1";
        Ok(sqlx::query(SQL).fetch_optional(&self.read).await?.is_some())
    }

    /// Note how a delivery was found, before it is accepted.
    pub async fn note_late(&self, delivery_id: &str, source: Source) -> sqlx::Result<()> {
        const SQL: &str = "insert into late (delivery_id, source, created_at) values ($1, $2, $3)
                           on conflict do nothing";
        let noted = sqlx::query(SQL).bind(delivery_id).bind(source.name()).bind(clock::now());
        noted.execute(&self.write).await.map(drop)
    }

    /// Whether this delivery tells of something that may be long over, and why: the name of a [`Source`].
    pub async fn late_source(&self, delivery_id: &str) -> sqlx::Result<Option<String>> {
        const SQL: &str = "select source from late where delivery_id = $1";
        sqlx::query_scalar(SQL).bind(delivery_id).fetch_optional(&self.read).await
    }

    /// Whether one of these writes was ever intended.
    pub async fn is_intended(&self, keys: &[String]) -> sqlx::Result<bool> {
        let sql = format!("select 1 from effect where key in {}", super::placeholders(1, keys.len()));
        let query = keys.iter().fold(sqlx::query(AssertSqlSafe(sql)), sqlx::query::Query::bind);
        Ok(query.fetch_optional(&self.read).await?.is_some())
    }

    /// Queue deliveries again that were given up and have come once more. Which of those given that were.
    pub async fn take_up_again(&self, given: &[&NewDelivery]) -> sqlx::Result<HashSet<uuid::Uuid>> {
        const FAILED: &str = "select delivery_id from delivery where app_id = $1 and guid = $2 and state = 'failed'";
        const SQL: &str = "update delivery set state = 'waiting', decision = null
                           where delivery_id = $1 and state = 'failed'";
        let now = self.dialect.now();
        let enqueue = format!(
            "insert into job (job_id, queue, lane, run_at, created_at) values ($1, $2, $4, {now}, $3)
             on conflict do nothing"
        );
        let mut again = HashSet::new();
        for it in given {
            let failed = sqlx::query_scalar(FAILED).bind(it.app_id).bind(&it.guid);
            let Some(id): Option<String> = failed.fetch_optional(&self.read).await? else { continue };
            let mut tx = self.begin().await?;
            if sqlx::query(SQL).bind(&id).execute(&mut *tx).await?.rows_affected() == 1 {
                let job = sqlx::query(AssertSqlSafe(enqueue.as_str()))
                    .bind(&id)
                    .bind(Queue::Delivery.name())
                    .bind(it.received_at)
                    .bind(it.lane());
                job.execute(&mut *tx).await?;
                self.commit_and_wake(tx, Queue::Delivery).await?;
                again.insert(it.delivery_id);
            }
        }
        Ok(again)
    }

    /// Queue deliveries of an installation again that came since then and were put aside for this reason, in the order in
    /// which they came. How many.
    pub async fn take_up_put_aside(&self, installation: u64, why: &str, since: Millis) -> sqlx::Result<u64> {
        const ASIDE: &str = "select delivery_id from delivery
                             where installation_id = $1 and state = 'ignored' and decision = $2 and received_at > $3
                               and delivery_id >= $4 and length(body) > 0
                             order by received_at, delivery_id";
        const SQL: &str = "update delivery set state = 'waiting', decision = null
                           where delivery_id = $1 and state = 'ignored'";
        let now = self.dialect.now();
        let enqueue = format!(
            "insert into job (job_id, queue, lane, run_at, created_at) values ($1, $2, $4, {now}, $3)
             on conflict do nothing"
        );
        // Ids are in the order of their time, so that the newest end of the table is read alone. A delivery's is made a moment
        // before it is received.
        let first = super::retain::first_id(since - 60_000);
        let aside = sqlx::query_scalar(ASIDE).bind(installation as i64).bind(why).bind(since).bind(first);
        let aside: Vec<String> = aside.fetch_all(&self.read).await?;
        let mut taken = 0;
        for id in &aside {
            self.note_late(id, Source::Kept).await?;
            let mut tx = self.begin().await?;
            if sqlx::query(SQL).bind(id).execute(&mut *tx).await?.rows_affected() == 1 {
                let job = sqlx::query(AssertSqlSafe(enqueue.as_str())).bind(id).bind(Queue::Delivery.name());
                job.bind(clock::now()).bind(super::delivery::lane(Some(installation as i64))).execute(&mut *tx).await?;
                self.commit_and_wake(tx, Queue::Delivery).await?;
                taken += 1;
            }
        }
        Ok(taken)
    }
}

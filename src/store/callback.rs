//! Who wants to hear of the end of a task, and how that went.

use anyhow::{Context as _, Result};
use secrecy::SecretString;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::{Lease, Store};
use crate::clock::{self, Millis};

/// A callback that a new task comes with.
#[derive(Debug, Clone)]
pub struct NewCallback {
    pub delivery_id: String,
    pub url: SecretString,
    /// What it is signed with.
    pub secret: SecretString,
    /// What people may see of the address.
    pub host: String,
}

/// How a callback has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    Delivered,
    /// It leads where no callback may.
    Refused,
    GivenUp,
}

impl Called {
    const ALL: [Self; 3] = [Self::Delivered, Self::Refused, Self::GivenUp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// What a try came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    pub status: Option<u16>,
    /// What was wrong.
    pub says: Option<String>,
}

/// A callback as the store has it.
#[derive(Debug, Clone)]
pub struct Callback {
    pub task_id: String,
    pub delivery_id: String,
    pub host: String,
    pub tries: i64,
    pub last: Tried,
    pub next_at: Option<Millis>,
    pub outcome: Option<Called>,
    pub ended_at: Option<Millis>,
}

const COLUMNS: &str = "task_id, delivery_id, host, tries, status, says, next_at, outcome, ended_at";

impl Store {
    pub(super) async fn keep_callback(
        tx: &mut Transaction<'static, Any>,
        task_id: &str,
        new: &NewCallback,
    ) -> sqlx::Result<()> {
        const SQL: &str = "insert into callback (task_id, delivery_id, host) values ($1, $2, $3)";
        sqlx::query(SQL).bind(task_id).bind(&new.delivery_id).bind(&new.host).execute(&mut **tx).await.map(drop)
    }

    /// The callback of a task, if somebody wants one.
    pub async fn callback_of_task(&self, task_id: &str) -> Result<Option<Callback>> {
        self.callback_where("task_id = $1", task_id).await
    }

    pub async fn callback(&self, delivery_id: &str) -> Result<Option<Callback>> {
        self.callback_where("delivery_id = $1", delivery_id).await
    }

    async fn callback_where(&self, is_so: &str, id: &str) -> Result<Option<Callback>> {
        let sql = format!("select {COLUMNS} from callback where {is_so}");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(&self.read).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Note a try that has failed, and when the next one is. False if the claim is no longer ours.
    pub async fn note_try(&self, lease: &Lease, tried: &Tried, next_at: Millis) -> Result<bool> {
        const SQL: &str = "update callback set tries = tries + 1, status = $1, says = $2, next_at = $3
            where delivery_id = $4 and outcome is null
              and exists (select 1 from job where job_id = $4 and lease_owner = $5 and epoch = $6)";
        let noted = sqlx::query(SQL).bind(tried.status.map(i64::from)).bind(&tried.says).bind(next_at);
        let noted = noted.bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&self.write).await?;
        Ok(noted.rows_affected() == 1)
    }

    /// The end of a callback: its outcome stays, its address and its secret go, and so does the job. False if the claim is no
    /// longer ours.
    pub async fn end_callback(&self, lease: &Lease, tried: &Tried, called: Called) -> Result<bool> {
        const OFF: &str = "delete from job where job_id = $1 and lease_owner = $2 and epoch = $3";
        const SQL: &str = "update callback set tries = tries + 1, status = $1, says = $2, next_at = null, outcome = $3,
                ended_at = $4 where delivery_id = $5";
        const WIPE: &str = "delete from task_secret where name in ('callback_url', 'callback_secret')
                            and task_id in (select task_id from callback where delivery_id = $1)";
        let mut tx = self.begin().await?;
        let off = sqlx::query(OFF).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&mut *tx).await?;
        if off.rows_affected() == 0 {
            return Ok(false);
        }
        let ended = sqlx::query(SQL).bind(tried.status.map(i64::from)).bind(&tried.says).bind(called.name());
        ended.bind(clock::now()).bind(&lease.job_id).execute(&mut *tx).await?;
        sqlx::query(WIPE).bind(&lease.job_id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn read(row: &AnyRow) -> Result<Callback> {
    let outcome: Option<String> = row.try_get("outcome")?;
    let outcome = outcome.map(|name| Called::named(&name).with_context(|| format!("a callback has ended as {name}")));
    Ok(Callback {
        task_id: row.try_get("task_id")?,
        delivery_id: row.try_get("delivery_id")?,
        host: row.try_get("host")?,
        tries: row.try_get("tries")?,
        last: Tried {
            status: row.try_get::<Option<i64>, _>("status")?.and_then(|it| u16::try_from(it).ok()),
            says: row.try_get("says")?,
        },
        next_at: row.try_get("next_at")?,
        outcome: outcome.transpose()?,
        ended_at: row.try_get("ended_at")?,
    })
}

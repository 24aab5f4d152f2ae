//! Which threads nothing begins on until a person resumes, and how much was asked for lately.

use anyhow::{Context as _, Result};
use sqlx::{Any, AnyConnection, Row as _, Transaction};

use super::{Dialect, Store};
use crate::clock::{self, Millis};
use crate::task::Place;
use crate::task::breaker::{Caps, Cause, Tally, Tripped, Weighed, weigh};

/// The breaker of a thread where too much was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    pub why: Tripped,
    pub tripped_at: Millis,
    /// When a person last closed it again; it is open without.
    pub resumed_at: Option<Millis>,
}

/// What one task more is held against in the transaction that makes it: of several that are asked for at one moment, each
/// counts those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    pub caps: Caps,
    pub cause: Cause,
    /// Since when the thread's tasks count, and the person's.
    pub since: Millis,
    pub lately: Millis,
}

impl Store {
    /// The breaker of a thread, if it was ever open.
    pub async fn breaker(&self, place: &Place) -> Result<Option<Breaker>> {
        const SQL: &str = "select why, tripped_at, resumed_at from breaker where repository_id = $1 and number = $2";
        let row = sqlx::query(SQL).bind(place.repository_id as i64).bind(place.number as i64);
        let Some(row) = row.fetch_optional(&self.read).await? else { return Ok(None) };
        let why: String = row.try_get(0)?;
        let why = Tripped::named(&why).with_context(|| format!("a breaker is open for the unknown reason {why}"))?;
        Ok(Some(Breaker { why, tripped_at: row.try_get(1)?, resumed_at: row.try_get(2)? }))
    }

    /// Open the breaker of a thread.
    pub async fn trip(&self, place: &Place, why: Tripped) -> Result<()> {
        const SQL: &str = "insert into breaker (repository_id, number, why, tripped_at) values ($1, $2, $3, $4)
                           on conflict (repository_id, number) do update
                           set why = excluded.why, tripped_at = excluded.tripped_at, resumed_at = null,
                               resumed_by = null
                           where breaker.resumed_at is not null or breaker.why <> excluded.why";
        let tripped = sqlx::query(SQL).bind(place.repository_id as i64).bind(place.number as i64).bind(why.name());
        Ok(tripped.bind(clock::now()).execute(&self.write).await.map(drop)?)
    }

    /// Close it again, in the name of a person.
    pub async fn resume(&self, place: &Place, by: &str) -> Result<()> {
        const SQL: &str = "update breaker set resumed_at = $1, resumed_by = $2
                           where repository_id = $3 and number = $4 and resumed_at is null";
        let closed = sqlx::query(SQL).bind(clock::now()).bind(by);
        let closed = closed.bind(place.repository_id as i64).bind(place.number as i64);
        Ok(closed.execute(&self.write).await.map(drop)?)
    }

    /// How many tasks were made on a thread since one moment, and for a person since another. A review that gave way to
    /// one of a newer commit before it began does not count.
    pub async fn tally(&self, place: &Place, since: Millis, person: u64, lately: Millis) -> Result<Tally> {
        Ok(tally(&mut *self.read.acquire().await?, place, since, person, lately).await?)
    }

    /// How many tasks were made for a person since then, wherever that was.
    pub async fn made_for(&self, person: u64, since: Millis) -> Result<u32> {
        let made = sqlx::query_scalar::<_, i64>(PERSON).bind(person as i64).bind(since).fetch_one(&self.read).await?;
        Ok(u32::try_from(made).unwrap_or(u32::MAX))
    }

    /// Whether one task more may be made, with nobody else counting meanwhile. SQLite has one writer; on PostgreSQL those
    /// on the same thread, then those of the same person, wait for each other.
    pub(super) async fn is_within(
        &self,
        tx: &mut Transaction<'static, Any>,
        place: &Place,
        person: u64,
        within: &Within,
    ) -> sqlx::Result<bool> {
        const LOCK: &str = "select 1 from (select pg_advisory_xact_lock(hashtextextended($1, 0))) as locked";
        if self.dialect == Dialect::Postgres {
            let thread = format!("cloud-agent thread {}#{}", place.repository_id, place.number);
            for what in [thread, format!("cloud-agent person {person}")] {
                sqlx::query(LOCK).bind(what).execute(&mut **tx).await?;
            }
        }
        let tally = tally(tx, place, within.since, person, within.lately).await?;
        Ok(weigh(within.caps, tally, within.cause) == Weighed::Fine)
    }
}

const PERSON: &str = "select count(*) from task where requester_id = $1 and created_at > $2
                        and trigger_json <> '{\"kind\":\"pull\"}'";

async fn tally(
    on: &mut AnyConnection,
    place: &Place,
    since: Millis,
    person: u64,
    lately: Millis,
) -> sqlx::Result<Tally> {
    const THREAD: &str = "select count(*), count(case when requester like '%[bot]' then 1 end) from task
                          where repository_id = $1 and number = $2 and created_at > $3
                            and (started_at is not null or ended_at is null)";
    let thread = sqlx::query(THREAD).bind(place.repository_id as i64).bind(place.number as i64).bind(since);
    let thread = thread.fetch_one(&mut *on).await?;
    let person = sqlx::query_scalar::<_, i64>(PERSON).bind(person as i64).bind(lately);
    Ok(Tally {
        thread: thread.try_get::<i64, _>(0)? as u32,
        bots: thread.try_get::<i64, _>(1)? as u32,
        person: person.fetch_one(on).await? as u32,
    })
}

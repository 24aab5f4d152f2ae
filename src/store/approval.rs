//! Which commits a writer has approved for work, and what was changed after somebody had asked.

use anyhow::Result;
use sqlx::Row as _;

use super::Store;
use crate::clock::{self, Millis};
use crate::task::{Account, Approval, Place};

/// Something that was changed on a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeAfter {
    /// `text`, `comment:ID`, `review-comment:ID`, `review:ID`, or `head`.
    pub what: String,
    /// The last time, by GitHub's clock, ISO 8601.
    pub at: String,
    /// The commit that the head is at since.
    pub head_sha: Option<String>,
}

impl Store {
    /// Approve a commit of a pull request; doing it again is as good as the first time.
    pub async fn approve(&self, place: &Place, by: &Account, approval: &Approval) -> Result<()> {
        const SQL: &str =
            "insert into approval (repository_id, number, head_sha, approver_id, approver, said_at, words,
                               approved_at)
                           values ($1, $2, $3, $4, $5, $6, $7, $8)
                           on conflict (repository_id, number, head_sha) do update
                           set approver_id = excluded.approver_id, approver = excluded.approver,
                               said_at = excluded.said_at, words = excluded.words, approved_at = excluded.approved_at,
                               voided_at = null
                           where approval.said_at < excluded.said_at";
        sqlx::query(SQL)
            .bind(place.repository_id as i64)
            .bind(place.number as i64)
            .bind(&approval.head_sha)
            .bind(by.id as i64)
            .bind(&by.login)
            .bind(&approval.at)
            .bind(&approval.words)
            .bind(clock::now())
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// The approvals of a pull request, newest first, each with whether somebody has pushed since.
    pub async fn approvals(&self, place: &Place) -> Result<Vec<(Approval, bool)>> {
        const SQL: &str = "select head_sha, approver, said_at, words, voided_at from approval
                           where repository_id = $1 and number = $2 order by approved_at desc, head_sha limit 20";
        let rows = sqlx::query(SQL).bind(place.repository_id as i64).bind(place.number as i64);
        let rows = rows.fetch_all(&self.write).await?;
        rows.iter()
            .map(|row| {
                let approval = Approval {
                    head_sha: row.try_get(0)?,
                    by: row.try_get(1)?,
                    at: row.try_get(2)?,
                    words: row.try_get(3)?,
                };
                Ok((approval, row.try_get::<Option<i64>, _>(4)?.is_some()))
            })
            .collect()
    }

    /// Somebody has pushed: what was approved before is void, also if the head comes back to it, and the push is noted.
    pub async fn head_moved(&self, place: &Place, head_sha: &str, at: &str) -> Result<()> {
        const VOID: &str = "update approval set voided_at = $1 where repository_id = $2 and number = $3
                            and voided_at is null and said_at <= $4 and head_sha <> $5";
        let void = sqlx::query(VOID).bind(clock::now()).bind(place.repository_id as i64).bind(place.number as i64);
        void.bind(at).bind(head_sha).execute(&self.write).await?;
        let change = ChangeAfter { what: "head".into(), at: at.into(), head_sha: Some(head_sha.into()) };
        self.note_change(place, &change).await
    }

    /// Note that something was changed.
    pub async fn note_change(&self, place: &Place, change: &ChangeAfter) -> Result<()> {
        const SQL: &str = "insert into change_after (repository_id, number, what, happened_at, head_sha, noted_at)
                           values ($1, $2, $3, $4, $5, $6)
                           on conflict (repository_id, number, what) do update
                           set happened_at = excluded.happened_at, head_sha = excluded.head_sha,
                               noted_at = excluded.noted_at
                           where change_after.happened_at <= excluded.happened_at";
        sqlx::query(SQL)
            .bind(place.repository_id as i64)
            .bind(place.number as i64)
            .bind(&change.what)
            .bind(&change.at)
            .bind(&change.head_sha)
            .bind(clock::now())
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// What was changed on a thread, by name.
    pub async fn changes_after(&self, place: &Place) -> Result<Vec<ChangeAfter>> {
        const SQL: &str = "select what, happened_at, head_sha from change_after
                           where repository_id = $1 and number = $2 order by what";
        let rows = sqlx::query(SQL).bind(place.repository_id as i64).bind(place.number as i64);
        let rows = rows.fetch_all(&self.write).await?;
        rows.iter()
            .map(|row| Ok(ChangeAfter { what: row.try_get(0)?, at: row.try_get(1)?, head_sha: row.try_get(2)? }))
            .collect()
    }

    /// Drop what is past its time of both.
    pub(super) async fn drop_approvals(&self, before: Millis) -> Result<u64> {
        const APPROVALS: &str = "delete from approval where approved_at < $1
                                   and not exists (select 1 from task where task.repository_id = approval.repository_id
                                                                        and task.number = approval.number)";
        const CHANGES: &str = "delete from change_after where noted_at < $1
                                 and not exists (select 1 from task where task.repository_id = change_after.repository_id
                                                                      and task.number = change_after.number)";
        let mut gone = 0;
        for sql in [APPROVALS, CHANGES] {
            gone += sqlx::query(sql).bind(before).execute(&self.write).await?.rows_affected();
        }
        Ok(gone)
    }
}

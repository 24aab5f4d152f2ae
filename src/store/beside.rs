//! Deliveries beside the one that is looked at. Several are looked at at once, and some later than others, so a stop may be
//! heard before what it stops.

use anyhow::Result;
use sqlx::{AssertSqlSafe, Row as _};

use super::{Store, StoredDelivery, delivery, retain};
use crate::clock::Millis;
use crate::task::Place;

impl Store {
    /// What somebody has said in this repository since then, looked at or not, as far as something could come of it.
    pub async fn said_since(&self, place: &Place, since: Millis) -> Result<Vec<StoredDelivery>> {
        const SQL: &str = "select delivery_id, guid, event, content_type, body, received_at from delivery
                           where delivery_id >= $1 and installation_id = $2 and repository = $3
                             and state in ('waiting', 'done')
                             and event in ('issue_comment', 'pull_request_review', 'pull_request_review_comment')
                           order by delivery_id";
        let rows = sqlx::query(SQL).bind(retain::first_id(since)).bind(place.installation_id as i64);
        let rows = rows.bind(&place.repository).fetch_all(&self.read).await?;
        Ok(rows.iter().map(delivery::read).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// What waits in this repository to be looked at, and what was decided so, of all that came since then; and whether a
    /// worker is at it.
    pub async fn waiting_since(
        &self,
        place: &Place,
        since: Millis,
        decided: &str,
    ) -> Result<Vec<(StoredDelivery, bool)>> {
        let now = self.dialect.now();
        let sql = format!(
            "select delivery.delivery_id, guid, event, content_type, body, received_at,
                    cast(case when job.lease_until >= {now} then 1 else 0 end as bigint)
             from delivery left join job on job.job_id = delivery.delivery_id
             where delivery.delivery_id >= $1 and installation_id = $2 and repository = $3
               and (state = 'waiting' or (state = 'ignored' and decision = $4))
             order by delivery.delivery_id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(retain::first_id(since)).bind(place.installation_id as i64);
        let rows = rows.bind(&place.repository).bind(decided).fetch_all(&self.read).await?;
        let mut found = Vec::new();
        for row in &rows {
            if let Some(delivery) = delivery::read(row)? {
                found.push((delivery, row.try_get::<i64, _>(6)? == 1));
            }
        }
        Ok(found)
    }
}

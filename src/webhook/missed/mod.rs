//! What GitHub did not bring. It never sends again by itself, so its own list of deliveries is compared with ours at the
//! start and every few minutes; what happened before that list begins is found by looking through the repositories.

mod listing;
mod looked;
mod pulled;
mod suspended;

use std::time::Duration;

use anyhow::Result;
use tracing::{debug, warn};
use uuid::Uuid;

use self::looked::LookedThrough;
use crate::app::App;
use crate::clock::{self, Millis};
use crate::github::Error;
use crate::store::Sweep;

/// How long the right to look lasts without being kept: longer than any one call to GitHub.
const LEASE: Duration = Duration::from_mins(1);
/// After a failure, and when more was missed than is taken in at once.
const AGAIN: Duration = Duration::from_secs(20);
const MORE: Duration = Duration::from_secs(1);
/// Deliveries come late and clocks differ: what is this much older than the last look is compared once more.
const OVERLAP: Millis = 10 * 60 * 1000;

/// Look for what was missed, for as long as the process lives.
pub async fn sweep(app: &App) {
    let turn = Turn {
        app,
        app_id: app.config.github.app_id.unwrap_or_default() as i64,
        owner: Uuid::new_v4().to_string(),
        looked: LookedThrough::default(),
    };
    let every = app.config.github.sweep_interval.0.max(Duration::from_secs(1));
    let mut now = true;
    loop {
        let looked = turn.look(now).await;
        let pause = match looked {
            Ok(Looked::All) => {
                now = false;
                every
            }
            Ok(Looked::Part) => {
                now = true;
                MORE
            }
            // Should that process die, somebody goes on.
            Ok(Looked::Elsewhere) => every.min(LEASE),
            Err(error) => {
                warn!("Could not look for deliveries that never came: {error:#}");
                after(&error).unwrap_or(AGAIN.min(every))
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// How long GitHub asks us to wait, if it does.
fn after(error: &anyhow::Error) -> Option<Duration> {
    match error.downcast_ref::<Error>()? {
        Error::Limited { until, .. } => Some(Duration::from_millis((until - clock::now()).max(1000) as u64)),
        _ => None,
    }
}

/// What came of looking.
enum Looked {
    All,
    /// More was missed, or is to be looked through, than is at once.
    Part,
    /// Another process is at it, or was a moment ago.
    Elsewhere,
}

/// One process's turn to look: of several, one looks at a time.
struct Turn<'a> {
    app: &'a App,
    app_id: i64,
    owner: String,
    looked: LookedThrough,
}

impl Turn<'_> {
    /// Look once. `now` if it matters not that somebody has looked a moment ago.
    async fn look(&self, now: bool) -> Result<Looked> {
        let Some(sweep) = self.app.store.begin_sweep(self.app_id, &self.owner, LEASE).await? else {
            return Ok(Looked::Elsewhere);
        };
        let every = self.app.config.github.sweep_interval.0.as_millis() as Millis;
        let looked = match now || sweep.swept_until + every / 2 < clock::now() {
            true => self.compare_and_list(&sweep).await,
            false => Ok(Looked::Elsewhere),
        };
        self.app.store.end_sweep(self.app_id, &self.owner).await?;
        looked
    }

    async fn compare_and_list(&self, sweep: &Sweep) -> Result<Looked> {
        let store = &self.app.store;
        let window = self.app.config.github.keeps_deliveries_for().as_millis() as Millis;
        // A program that never ran has missed nothing that far back.
        let gap = sweep.swept_until > 0 && sweep.swept_until < clock::now() - window;
        if gap && sweep.listing.is_none() {
            store.list_since(self.app_id, &self.owner, sweep.swept_until).await?;
        }
        if !pulled::compare(self, sweep).await? {
            return Ok(Looked::Part);
        }
        suspended::look(self).await?;
        if gap || sweep.listing.is_some() {
            // Comparing has a clock of its own.
            if !listing::list(self).await? {
                return Ok(Looked::Part);
            }
        }
        debug!("Compared GitHub's list of deliveries with ours");
        Ok(Looked::All)
    }

    /// Go on only while it is our turn.
    async fn keep(&self) -> Result<()> {
        let ours = self.app.store.keep_sweep(self.app_id, &self.owner, LEASE).await?;
        anyhow::ensure!(ours, "another process has taken it over");
        Ok(())
    }
}

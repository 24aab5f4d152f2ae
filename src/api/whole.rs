//! All that there is to know of one task.

use anyhow::Result;

use super::tasks::{ModelUse, TaskView, view};
use crate::app::App;
use crate::store::StoredTask;

/// A task as it is shown alone, but for who hears of its end.
pub async fn whole(app: &App, task: &StoredTask) -> Result<TaskView> {
    let blocked = app.store.blocked(&task.id.to_string()).await?;
    let children = app.store.children_of(&task.id.to_string()).await?;
    let models = app.store.used_by(&task.id.to_string()).await?.into_iter();
    let models = models.map(|it| ModelUse { model: it.model, tokens: it.tokens.into(), cost_micros: it.micros });
    Ok(TaskView { models: Some(models.collect()), blocked: Some(blocked), children: Some(children), ..view(app, task) })
}

//! A pull request that changes the repository's settings is told what they would mean.

use super::{Outbox, Undone, check_run};
use crate::config::Config;
use crate::github::{Annotation, CheckStatus, CheckUpdate, Conclusion, Level, NewCheck, Repo};
use crate::task::rules;

/// The name of the check run.
const NAME: &str = "cloud-agent settings";

/// Put a check run about a settings file on a commit, with a remark on each line that is wrong.
pub async fn settings_check(
    outbox: &Outbox<'_>,
    repo: &Repo,
    config: &Config,
    head: &str,
    file: &[u8],
    // What asks again gets a new check run.
    again: &str,
) -> Result<(), Undone> {
    let read = rules::read_bytes(file).map(|rules| {
        rules.under(rules::Operator {
            label: &config.github.label,
            model: config.model.model.as_deref(),
            run: config.runs.budget_run_usd,
            gate: &config.gate,
        })
    });
    let (title, summary) = rules::check_words(read.as_ref().map_err(Vec::as_slice));
    let annotations: Vec<Annotation> = read
        .as_ref()
        .err()
        .into_iter()
        .flatten()
        .map(|mistake| Annotation {
            path: rules::FILE.to_owned(),
            start_line: mistake.line,
            end_line: mistake.line,
            level: Level::Failure,
            title: String::new(),
            message: mistake.message.clone(),
        })
        .collect();
    let conclusion = if read.is_ok() { Conclusion::Success } else { Conclusion::Failure };
    let id = format!("settings-{head}{again}");
    let new = NewCheck {
        name: NAME,
        head,
        external_id: &id,
        status: CheckStatus::Completed,
        conclusion: Some(conclusion),
        title: &title,
        summary: &summary,
        actions: &[],
        details_url: None,
    };
    let key = format!("{}:{id}", repo.key());
    let check = check_run::make(outbox, repo, &key, &new).await?;
    let update = CheckUpdate {
        status: CheckStatus::Completed,
        conclusion: Some(conclusion),
        title: &title,
        summary: &summary,
        annotations: &annotations,
        actions: &[],
    };
    for index in 0..update.calls().min(annotations.len()) {
        let key = format!("{key}:{index}");
        let look = || repo.find_annotated(check.id, index, &update);
        outbox.once(&key, look, || repo.annotate(check.id, index, &update)).await?;
    }
    Ok(())
}

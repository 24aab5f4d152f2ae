//! Keys that open the API, deliveries, and what tasks have cost.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::args::{By, Deliveries, DeliveryList, Keys, Usage};
use super::screen::{escaped_json, hint, tell, try_tell};
use super::tasks::pages;
use super::{Ca, show};
use crate::api::{self, DeliveryPage, DeliveryView, MadeKey, NewKey, ReplayView, UsageView};

pub async fn keys(ca: &Ca, command: &Keys) -> Result<ExitCode> {
    const PATH: [&str; 4] = ["api", "v1", "admin", "api-keys"];
    match command {
        Keys::Create { name, scope, repo, expires, rate_limit, budget_per_day } => {
            let new = NewKey {
                name: name.clone(),
                scopes: scope.clone(),
                repositories: Some(repo.clone()).filter(|them| !them.is_empty()),
                expires_at: expires.map(|it| it.0),
                rate_limit: *rate_limit,
                budget_usd_per_day: budget_per_day.map(|it| it.micros as f64 / 1e6),
            };
            let answer = ca.server.post(&PATH, Some(&new)).await?;
            let id = answer.text("key_id");
            let shown = if ca.json { answer.json } else { answer.read::<MadeKey>()?.api_key };
            // Nobody can use it, and it is there.
            try_tell(&shown).with_context(|| {
                format!("the key {id} was made, and can't be shown; end it with `ca keys revoke {id}` and make another")
            })?;
            if !ca.json {
                hint(&format!("This is the only time that it is shown. Its id is {id}"));
            }
        }
        Keys::List => {
            let answer = ca.server.get(&PATH, &[]).await?;
            if ca.json {
                tell(&answer.json);
            } else {
                answer.read::<api::Keys>()?.api_keys.iter().map(show::key_row).for_each(|row| tell(&row));
            }
        }
        Keys::Revoke { key } => {
            ca.server.delete(&[&PATH[..], &[key]].concat()).await?;
            if ca.json {
                tell(&escaped_json(&json!({ "key_id": key, "revoked": true }).to_string()));
            } else {
                hint("It opens nothing any more.");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn deliveries(ca: &Ca, list: &DeliveryList, command: Option<&Deliveries>) -> Result<ExitCode> {
    const PATH: [&str; 3] = ["api", "v1", "deliveries"];
    let asked = match command {
        Some(Deliveries::Show { delivery }) => {
            let answer = ca.server.get(&[&PATH[..], &[delivery]].concat(), &[]).await?;
            tell(&match ca.json {
                true => answer.json,
                false => show::delivery_card(&answer.read::<DeliveryView>()?),
            });
            return Ok(ExitCode::SUCCESS);
        }
        Some(Deliveries::Replay { delivery, dry_run }) => {
            let query = [("dry_run", dry_run.then(|| "true".to_owned()))];
            let answer = ca.server.post_asking(&[&PATH[..], &[delivery, "replay"]].concat(), &query).await?;
            if ca.json {
                tell(&answer.json);
                return Ok(ExitCode::SUCCESS);
            }
            let view: ReplayView = answer.read()?;
            match &view.delivery_id {
                Some(new) => {
                    tell(new);
                    hint(&format!("`ca deliveries show {new}` says what came of it."));
                }
                None => tell(&show::rehearsal(&view)),
            }
            return Ok(ExitCode::SUCCESS);
        }
        Some(Deliveries::List(asked)) => asked,
        None => list,
    };
    let filters = [
        ("status", asked.status.clone()),
        ("event", asked.event.clone()),
        ("repo", asked.repo.clone()),
        ("since", asked.since.map(|it| it.0.to_string())),
    ];
    pages(ca, &PATH, &filters, &asked.page, |answer| {
        let page: DeliveryPage = answer.read()?;
        Ok((page.deliveries.iter().map(show::delivery_row).collect(), page.next_cursor))
    })
    .await
}

pub async fn usage(ca: &Ca, asked: &Usage) -> Result<ExitCode> {
    const PATH: [&str; 3] = ["api", "v1", "usage"];
    let by = match asked.by {
        By::Day => "day",
        By::Repository => "repository",
        By::Person => "person",
        By::Model => "model",
    };
    let query = [
        ("by", Some(by.to_owned())),
        ("since", asked.since.map(|it| it.0.to_string())),
        ("until", asked.until.map(|it| it.0.to_string())),
        ("format", asked.csv.then(|| "csv".to_owned())),
    ];
    if asked.csv {
        tell(ca.server.get_text(&PATH, &query).await?.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let answer = ca.server.get(&PATH, &query).await?;
    tell(&match ca.json {
        true => answer.json,
        false => show::usage(&answer.read::<UsageView>()?.usage, asked.by),
    });
    Ok(ExitCode::SUCCESS)
}

//! `cloud-agent doctor`: looks at everything a run needs and says what to mend.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use secrecy::ExposeSecret as _;

use super::delivered::newest;
use crate::agent;
use crate::app;
use crate::config::{self, Config, Kind};
use crate::gateway::{Gateway, GatewaySettings};
use crate::github::{Github, Installation};
use crate::health;
use crate::sandbox::{Finding, Grade, Limits, Provider, Spec};
use crate::store::Store;

/// What the App needs, by GitHub's names for permissions.
const PERMISSIONS: &[(&str, &str)] =
    &[("metadata", "read"), ("contents", "write"), ("issues", "write"), ("pull_requests", "write")];
const EVENTS: &[&str] =
    &["issue_comment", "issues", "pull_request", "pull_request_review", "pull_request_review_comment"];
/// What can be done without: check runs and their buttons, the logs of failed checks, answers to merge queues, names that
/// change.
const WISHED: &[(&str, &str)] = &[("checks", "write"), ("actions", "read"), ("merge_queues", "read")];
const WISHED_EVENTS: &[&str] = &["check_run", "check_suite", "merge_group", "repository", "installation_target"];

/// A webhook secret with fewer characters can be found by trying.
const LEAST_SECRET: usize = 16;

/// The same, with what the operator's gate would let through.
fn wished(config: &Config) -> Vec<(&'static str, &'static str)> {
    let workflows = config.gate.most().contains(&Kind::Workflows);
    WISHED.iter().copied().chain(workflows.then_some(("workflows", "write"))).collect()
}

/// Look, print a line for each thing, and fail when runs can't work.
pub async fn doctor(config: Config) -> Result<ExitCode> {
    let mut worst = Grade::Good;
    let mut tell = |findings: Vec<Finding>| {
        for finding in findings {
            worst = worst.max(finding.grade);
            let mark = match finding.grade {
                Grade::Good => "ok  ",
                Grade::Warning => "warn",
                Grade::Bad => "BAD ",
            };
            #[expect(clippy::print_stdout, reason = "this is what the command is for")]
            {
                println!("{mark}  {:<22} {}", finding.what, finding.says);
            }
        }
    };
    tell(settings(&config));
    tell(database(&config).await);
    tell(vec![disk(&config)]);
    tell(github(&config).await);
    tell(vec![model(&config).await]);
    match app::provider(&config) {
        Ok(provider) => {
            tell(provider.preflight().await);
            tell(vec![claude(&config, provider.as_ref()).await]);
        }
        Err(error) => tell(vec![finding(Grade::Bad, "sandbox", format!("{error:#}"))]),
    }
    Ok(if worst == Grade::Bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn finding(grade: Grade, what: &str, says: impl Into<String>) -> Finding {
    Finding { grade, what: what.to_owned(), says: says.into() }
}

fn settings(config: &Config) -> Vec<Finding> {
    let mut found = vec![match config.github.webhook_secrets() {
        Ok(secrets) if secrets.iter().any(|it| it.expose_secret().len() < LEAST_SECRET) => finding(
            Grade::Warning,
            "webhook secret",
            format!(
                "shorter than {LEAST_SECRET} characters, so it can be guessed: make one with `openssl rand -hex 32`"
            ),
        ),
        Ok(secrets) if secrets.len() > 1 => finding(
            Grade::Good,
            "webhook secret",
            format!("{} are taken; drop the old one when rotated", secrets.len()),
        ),
        Ok(_) => finding(Grade::Good, "webhook secret", "set"),
        Err(error) => finding(Grade::Bad, "webhook secret", error.to_string()),
    }];
    if config.server.public_url.host_str() == Some("localhost") {
        let says = "PUBLIC_URL is localhost: GitHub can't deliver there; set it to this server's public address";
        found.push(finding(Grade::Warning, "public URL", says));
    }
    found
}

async fn database(config: &Config) -> Vec<Finding> {
    let connected = async {
        config.store.make_data_dir()?;
        let store = Store::connect(&config.store.database_url()).await?;
        store.ping().await?;
        Ok::<_, anyhow::Error>(store)
    };
    let store = match connected.await {
        Ok(store) => store,
        Err(error) => return vec![finding(Grade::Bad, "database", format!("{error:#}"))],
    };
    let says = match store.is_shared() {
        true => "PostgreSQL answers; several processes may share it",
        false => "SQLite can be opened; one process uses it",
    };
    let mut found = vec![finding(Grade::Good, "database", says)];
    if let Err(error) = config.store.retention.check() {
        found.push(finding(Grade::Bad, "retention", error.to_string()));
    }
    found.push(encryption(config, &store).await);
    found
}

/// Whether what is sealed can be opened, and which older keys are still needed for it.
async fn encryption(config: &Config, store: &Store) -> Finding {
    const WHAT: &str = "encryption key";
    let keys = match app::known_keys(&config.store) {
        Ok(keys) => keys,
        Err(error) => return finding(Grade::Bad, WHAT, format!("{error:#}")),
    };
    // An error: the tables are not there yet.
    let sealing = store.sealing().await.unwrap_or_default();
    let Some(keys) = keys else {
        return match sealing.key_id {
            Some(id) => finding(
                Grade::Bad,
                WHAT,
                format!("the database was sealed with key id {id}, and there is none here; set ENCRYPTION_KEY"),
            ),
            None => finding(Grade::Good, WHAT, "made at the first start, and kept in DATA_DIR"),
        };
    };
    let ours: Vec<String> = keys.ids().collect();
    let is_foreign = |id: &str| !id.is_empty() && !ours.iter().any(|ours| ours == id);
    if let Some(id) = sealing.key_id.iter().chain(sealing.rows.iter().map(|(id, _)| id)).find(|id| is_foreign(id)) {
        let says =
            format!("the database needs key id {id}, which is not in ENCRYPTION_KEY; it has {}", ours.join(", "));
        return finding(Grade::Bad, WHAT, says);
    }
    let older: Vec<String> = sealing
        .rows
        .iter()
        .filter(|(id, _)| *id != ours[0])
        .map(|(id, rows)| match id.as_str() {
            "" => format!("{rows} rows are not sealed yet"),
            id => format!("{rows} rows still need the older key id {id}"),
        })
        .collect();
    if !older.is_empty() {
        return finding(Grade::Warning, WHAT, format!("{}; `serve` seals them anew", older.join("; ")));
    }
    match ours.len() {
        1 => finding(Grade::Good, WHAT, format!("key id {}", ours[0])),
        _ => finding(Grade::Good, WHAT, format!("key id {}; no row needs the older ones, drop them", ours[0])),
    }
}

/// A directory that is not there yet will be on the disk of the nearest one above it.
fn disk(config: &Config) -> Finding {
    let dir = std::path::absolute(&config.store.data_dir).unwrap_or_else(|_| config.store.data_dir.clone());
    let there = dir.ancestors().find(|it| it.exists()).unwrap_or(&dir);
    match health::disk(there, config.store.disk_free_mb) {
        None => finding(Grade::Good, "disk", format!("more than {} MiB are free", config.store.disk_free_mb)),
        Some(wrong) => finding(Grade::Bad, "disk", format!("{wrong}; runs wait until there is more")),
    }
}

async fn github(config: &Config) -> Vec<Finding> {
    let github = match Github::new(&config.github) {
        Ok(github) => github,
        Err(error) => return vec![finding(Grade::Bad, "GitHub App", format!("{error:#}"))],
    };
    let identity = match github.identity().await {
        Ok(identity) => identity.clone(),
        Err(error) => return vec![finding(Grade::Bad, "GitHub App", error.of_app())],
    };
    let mut found = vec![finding(Grade::Good, "GitHub App", format!("{} ({})", identity.slug, identity.bot_login))];
    match github.powers().await {
        Ok((permissions, events)) => {
            let enough = |(name, level): &&(&str, &str)| {
                permissions.get(*name).is_some_and(|has| has == level || has == "write" || has == "admin")
            };
            let lacks = |list: &[(&str, &str)]| -> Vec<String> {
                list.iter().filter(|it| !enough(it)).map(|(name, level)| format!("{name}: {level}")).collect()
            };
            let (missing, wished) = (lacks(PERMISSIONS), lacks(&wished(config)));
            let unheard = |list: &[&'static str]| -> Vec<&str> {
                list.iter().copied().filter(|event| !events.iter().any(|has| has == event)).collect()
            };
            let (deaf, hard_of_hearing) = (unheard(EVENTS), unheard(WISHED_EVENTS));
            found.push(said_missing("App permissions", &missing));
            if !wished.is_empty() {
                let list = wished.join(", ");
                let says = format!("not granted: {list}; the README's table says what is missed without");
                found.push(finding(Grade::Warning, "App permissions", says));
            }
            found.push(said_missing("App events", &deaf));
            if !hard_of_hearing.is_empty() {
                let list = hard_of_hearing.join(", ");
                let says = format!("not subscribed: {list}; buttons, merge queues or new names are not heard of");
                found.push(finding(Grade::Warning, "App events", says));
            }
        }
        Err(error) => found.push(finding(Grade::Bad, "App permissions", error.to_string())),
    }
    match github.installations().await {
        Ok(all) => found.extend(installations(&all, &wished(config))),
        Err(error) => found.push(finding(Grade::Bad, "installations", error.to_string())),
    }
    match github.deliveries(None).await {
        Ok((listed, _)) => found.push(newest(&listed)),
        Err(error) => found.push(finding(Grade::Warning, "deliveries", error.to_string())),
    }
    found
}

/// Those that don't do: an installation keeps what it was granted until its owner accepts what the App asks for since.
fn installations(all: &[Installation], wished: &[(&str, &str)]) -> Vec<Finding> {
    const MOST: usize = 20;
    let trouble = |it: &Installation| {
        let all = PERMISSIONS.iter().chain(wished);
        let missing: Vec<_> = all.filter(|(name, level)| !it.grants(name, level)).collect();
        if it.is_suspended() {
            return Some("suspended".to_owned());
        }
        let list: Vec<_> = missing.iter().map(|(name, level)| format!("{name}: {level}")).collect();
        (!list.is_empty()).then(|| format!("its owner has not granted {}", list.join(", ")))
    };
    let bad: Vec<_> = all.iter().filter_map(|it| trouble(it).map(|why| (it, why))).collect();
    let mut found: Vec<_> = bad
        .iter()
        .take(MOST)
        .map(|(it, why)| finding(Grade::Warning, "installation", format!("{} ({}): {why}", it.owner(), it.id)))
        .collect();
    match (all.len(), bad.len()) {
        (0, _) => found.push(finding(Grade::Warning, "installations", "none yet: install the App on an account")),
        (_, 0) => found.push(finding(Grade::Good, "installations", format!("{}, all in order", all.len()))),
        (_, bad) if bad > MOST => {
            found.push(finding(Grade::Warning, "installations", format!("and {} more", bad - MOST)));
        }
        _ => (),
    }
    found
}

fn said_missing<T: AsRef<str>>(what: &str, missing: &[T]) -> Finding {
    if missing.is_empty() {
        return finding(Grade::Good, what, "complete");
    }
    let list: Vec<&str> = missing.iter().map(AsRef::as_ref).collect();
    finding(Grade::Bad, what, format!("missing: {}; add them on the App's settings page", list.join(", ")))
}

async fn model(config: &Config) -> Finding {
    let settings = GatewaySettings::new(config.model.base_url.clone(), config.model.api_key.clone());
    let gateway = match Gateway::new(settings) {
        Ok(gateway) => gateway,
        Err(error) => return finding(Grade::Bad, "model", error.to_string()),
    };
    match gateway.reach().await {
        Ok(()) => finding(Grade::Good, "model", format!("{} answers", config::shown(&config.model.base_url))),
        Err(why) => finding(Grade::Bad, "model", why.to_string()),
    }
}

/// Start Claude Code in a sandbox, as a run does.
async fn claude(config: &Config, provider: &dyn Provider) -> Finding {
    let bad = |why: String| finding(Grade::Bad, "Claude Code", why);
    let binary = match agent::locate(&config.model.claude_bin, config::search_path().as_deref())
        .and_then(|binary| binary.pinned(config.model.claude_sha256()))
    {
        Ok(binary) => binary,
        Err(error) => return bad(error.to_string()),
    };
    let (digest, stated) = match (binary.digest(), binary.stated().await) {
        (Ok(digest), Ok(stated)) => (digest, stated),
        (Err(error), _) | (_, Err(error)) => return bad(error.to_string()),
    };
    let (grade, digest) = match (config.model.claude_sha256(), stated) {
        (Some(_), _) => (Grade::Good, format!("Its digest is the one in CLAUDE_SHA256: {digest}.")),
        (None, Some(platform)) => (Grade::Good, format!("Its digest is {digest}, as published for {platform}.")),
        (None, None) => {
            let says = "which nobody here has stated: if you know where it comes from, CLAUDE_SHA256 holds it to that";
            (Grade::Warning, format!("Its digest is {digest}, {says}."))
        }
    };
    let Ok(workspace) = tempfile::tempdir() else {
        return bad("no temporary directory can be made".to_owned());
    };
    let spec = Spec {
        labels: BTreeMap::from([("run".to_owned(), "doctor".to_owned())]),
        limits: Limits {
            lifetime: Duration::from_mins(1),
            memory_bytes: config.sandbox.memory_mb << 20,
            processes: config.sandbox.processes,
            disk_bytes: config.sandbox.disk_mb << 20,
        },
        workspace: PathBuf::from(workspace.path()),
        objects: Vec::new(),
        read_only: binary.read_only.clone(),
        doors: Vec::new(),
        git_identity: None,
    };
    let sandbox = match provider.create(&spec, "doctor").await {
        Ok(sandbox) => sandbox,
        Err(error) => return bad(error.to_string()),
    };
    let found = match provider.open(&sandbox).await {
        Ok(open) => {
            let run = |exec| agent::binary::run_in(open.as_ref(), exec);
            match config.model.claude_sha256() {
                None => match binary.vouched(run).await {
                    Ok(()) => agent::preflight(run).await,
                    Err(error) => bad(error.to_string()),
                },
                Some(_) => agent::preflight(run).await,
            }
        }
        Err(error) => bad(error.to_string()),
    };
    let _ = provider.destroy(&sandbox).await;
    match found.grade {
        Grade::Bad => found,
        _ => Finding { grade: found.grade.max(grade), says: format!("{} {digest}", found.says), ..found },
    }
}

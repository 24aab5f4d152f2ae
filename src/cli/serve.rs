//! `serve` and `work`: doors and workers put together, started, drained, stopped.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::listen::{Bounds, listen};
use super::patient::Patient;
use crate::app::App;
use crate::config::Config;
use crate::github::Github;
use crate::queue::{self, Abandon, Settings, Turns};
use crate::store::{self, Changed, Installations, Keep, Queue, Sole};
use crate::{api, run, webhook};

/// Deliveries looked at at once: each is a few calls to GitHub.
const DELIVERIES: usize = 16;
/// Of one installation, over all processes: they wait for each other's writes, and leave room for those of the others.
const DELIVERIES_OF_ONE: u32 = 4;
/// Deliveries are short; what takes longer than this at the end is given back.
const DELIVERY_DRAIN: Duration = Duration::from_secs(10);

/// Callbacks at once, and how long one that is under way may take at the end before it is given back.
const CALLBACKS: usize = 16;
const CALLBACK_DRAIN: Duration = Duration::from_secs(5);

/// Tasks at once that are only stopped: it takes a few calls to GitHub, and must not wait for others that work.
const STOPS: usize = 4;

/// After DRAIN_SECONDS, runs get this long to stop in order and give their claims back.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// After a second signal, what has given its claim back has this long to end.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// A program that runs until it is told to stop.
pub struct Running {
    pub app: App,
    /// Where the doors listen; none for a worker alone.
    pub address: Option<SocketAddr>,
    stop: CancellationToken,
    hurry: CancellationToken,
    parts: JoinSet<Result<()>>,
    /// A SQLite file is ours until the end.
    _sole: Option<Sole>,
}

/// `cloud-agent serve`.
pub async fn serve(config: Config) -> Result<ExitCode> {
    let running = start(config, true).await?;
    if let Some(address) = running.address {
        info!("Listening on http://{address}; webhooks go to {}webhooks/github", running.app.config.server.public_url);
    }
    running.until_told().await
}

/// `cloud-agent work`.
pub async fn work(config: Config) -> Result<ExitCode> {
    if !config.store.is_shared() {
        bail!("`work` needs a PostgreSQL that it shares with `serve`: set DATABASE_URL=postgres://…");
    }
    let running = start(config, false).await?;
    info!("Working");
    running.until_told().await
}

/// Start workers and, with `doors`, the server.
pub async fn start(config: Config, doors: bool) -> Result<Running> {
    config.store.make_data_dir()?;
    let sole = Sole::take(&config.store.database_url(), Sole::PATIENCE).await?;
    let listener = if doors {
        let address = config.server.address();
        Some(TcpListener::bind(address).await.with_context(|| format!("listen on {address} (LISTEN)"))?)
    } else {
        None
    };
    let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let app = App::start(config).await?;
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let mut parts = JoinSet::new();

    if let Some(listener) = listener {
        let router = webhook::router(app.clone()).merge(api::router(app.clone(), stop.clone()));
        let (closing, bounds) = (stop.clone(), Bounds::new(app.config.server.request_timeout.0));
        let patience = app.config.server.write_timeout.0;
        parts.spawn(async move {
            listen(Patient { listener, patience }, router, bounds, closing).await;
            Ok(())
        });
        let (app, stop) = (app.clone(), stop.clone());
        let settings = Settings {
            queue: Queue::Delivery,
            concurrency: DELIVERIES,
            lane_limit: Some(DELIVERIES_OF_ONE),
            lease: app.config.runs.lease.0,
            drain: DELIVERY_DRAIN,
            cancelled_only: false,
            hurry: hurry.clone(),
            turns: Turns::default(),
            // A delivery sets nothing in motion that outlives its handler.
            abandon: Arc::new(|_| std::future::ready(()).boxed()),
        };
        let missed = app.clone();
        beside(&mut parts, &stop, async move { webhook::missed::sweep(&missed).await });
        let calls = Settings {
            queue: Queue::Callback,
            concurrency: CALLBACKS,
            drain: CALLBACK_DRAIN,
            turns: Turns::default(),
            ..settings.clone()
        };
        let (caller, phone) = (app.clone(), api::phone());
        let call = move |job| api::call(caller.clone(), phone.clone(), job);
        parts.spawn(queue::work(app.store.clone(), calls, call, stop.clone()));
        parts.spawn(queue::work(app.store.clone(), settings, move |job| webhook::handle(app.clone(), job), stop));
    }
    let settings = Settings {
        queue: Queue::Task,
        concurrency: app.config.runs.runs as usize,
        lane_limit: Some(app.config.runs.runs_per_repository),
        lease: app.config.runs.lease.0,
        drain: Duration::from_secs(app.config.server.drain_seconds),
        cancelled_only: false,
        hurry: hurry.clone(),
        turns: Turns::default(),
        abandon: abandon(&app),
    };
    // Whoever asks for a stop is answered at once, also when all runs are taken.
    let stops = Settings { concurrency: STOPS, lane_limit: None, cancelled_only: true, ..settings.clone() };
    for settings in [settings, stops] {
        let runner = app.clone();
        parts.spawn(queue::work(app.store.clone(), settings, move |job| run::run(runner.clone(), job), stop.clone()));
    }
    if app.store.is_shared() {
        let (url, wakes) = (app.config.store.database_url(), app.store.wakes().clone());
        let (heard, github) = (wakes.installations(), app.github.clone());
        beside(&mut parts, &stop, forget_what_changes(heard, github));
        beside(&mut parts, &stop, store::listen(url, wakes));
    }
    let swept = app.clone();
    beside(&mut parts, &stop, async move { run::sweep(&swept).await });
    let watched = app.clone();
    beside(&mut parts, &stop, async move { api::watch(&watched).await });
    let retention = &app.config.store.retention;
    let keep = Keep {
        deliveries: retention.deliveries.0,
        events: retention.events.0,
        transcripts: retention.transcripts.0,
        tasks: retention.tasks.0,
    };
    beside(&mut parts, &stop, store::clean(app.store.clone(), keep));
    Ok(Running { app, address, stop, hurry, parts, _sole: sole })
}

/// Drop tokens and what was read, where another process has heard of a change.
async fn forget_what_changes(mut heard: Installations, github: Github) {
    while let Some(changed) = heard.changed().await {
        match changed {
            Changed::One(installation) => github.forget_installation(installation),
            Changed::Any => github.forget_installations(),
        }
    }
}

/// Ends the sandboxes of a task.
fn abandon(app: &App) -> Abandon {
    let app = app.clone();
    Arc::new(move |id| {
        let app = app.clone();
        async move { run::abandon(&app, &id).await }.boxed()
    })
}

/// Do something beside the workers, until the stop.
fn beside(parts: &mut JoinSet<Result<()>>, stop: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let stop = stop.clone();
    parts.spawn(async move {
        stop.run_until_cancelled_owned(work).await;
        Ok(())
    });
}

impl Running {
    /// Stop taking work, let runs end or give them back, and close the database.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let drain = Duration::from_secs(self.app.config.server.drain_seconds) + LAST_WORDS;
        let all = async {
            while let Some(ended) = self.parts.join_next().await {
                match ended {
                    Ok(Ok(())) => (),
                    Ok(Err(error)) => warn!("A part ended badly: {error:#}"),
                    Err(error) => warn!("A part ended badly: {error}"),
                }
            }
        };
        if tokio::time::timeout(drain, all).await.is_err() {
            // A client that sends half a request and waits, for example.
            warn!("Something does not end; leaving it");
            self.parts.abort_all();
        }
        self.app.store.close().await;
    }

    /// Run until SIGTERM or SIGINT, or until a part ends by itself, then drain. A second signal gives everything back at
    /// once.
    async fn until_told(mut self) -> Result<ExitCode> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let died = tokio::select! {
            _ = term.recv() => false,
            _ = int.recv() => false,
            ended = self.parts.join_next() => {
                match ended {
                    Some(Ok(Err(error))) => error!("Stopping, because a part ended: {error:#}"),
                    _ => error!("Stopping, because a part ended by itself"),
                }
                true
            }
        };
        info!("Draining: no new work, {} s for what runs", self.app.config.server.drain_seconds);
        let hurry = self.hurry.clone();
        let stopping = self.stop();
        tokio::pin!(stopping);
        let told_again = tokio::select! {
            () = &mut stopping => false,
            _ = term.recv() => true,
            _ = int.recv() => true,
        };
        if told_again {
            warn!("Giving everything back at once");
            hurry.cancel();
            if tokio::time::timeout(LAST_MOMENT, stopping).await.is_err() {
                warn!("Something does not end; what it had is resumed elsewhere, at the latest when its lease lapses");
            }
        }
        Ok(if died { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

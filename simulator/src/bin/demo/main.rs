//! The demo: a bug in a simulated repository, one comment, then a teammate's pull request; and the real cloud-agent at
//! work on both in this terminal.

mod bot;
mod clone;
mod markdown;
mod play;
mod review;
mod screen;
mod stage;
mod timeline;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use screen::{Screen, say};

/// Shows cloud-agent at work: files a bug in a simulated GitHub, says `@cloud-agent fix this`, and watches the pull
/// request appear; then a teammate's pull request is reviewed, and *Fix all* mends what was found. Needs no account and no network.
#[derive(Debug, Parser)]
#[command(name = "script/demo")]
struct Args {
    /// Leave everything running afterwards, and say how to look at it; Ctrl-C ends it.
    #[arg(long)]
    keep: bool,
    /// Use the real Claude behind `ANTHROPIC_API_KEY` instead of a scripted model. GitHub stays simulated.
    #[arg(long)]
    real_model: bool,
}

/// What a shell says of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let screen = Screen::find();
    // Leaving either branch drops the stage, which ends the bot and removes every file.
    let ended = tokio::select! {
        ended = play::play(&args, &screen) => Some(ended),
        () = told_to_stop() => None,
    };
    match ended {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            say("");
            screen.bad(&format!("demo: {error:#}"));
            ExitCode::FAILURE
        }
        None => {
            say("");
            screen.dim("Stopped. Nothing is left behind.");
            ExitCode::from(INTERRUPTED)
        }
    }
}

async fn told_to_stop() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    std::future::poll_fn(move |context| {
        let told = signals.iter_mut().any(|it| it.poll_recv(context).is_ready());
        if told { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

//! Runs a GitHub and a scripted Claude for people: a repository with a bug, a story told as it happens, pages to look at.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use simulator::github::Role;
use simulator::model::demo_files;
use simulator::{GitHub, Model, Options, Script};

/// A GitHub and a Claude API on loopback, with the repository octo/calc whose test fails.
#[derive(Parser)]
struct Args {
    /// Where the GitHub listens: web, REST and git.
    #[arg(long, default_value = "127.0.0.1:8471")]
    github: SocketAddr,
    /// Where the Messages API listens.
    #[arg(long, default_value = "127.0.0.1:8472")]
    model: SocketAddr,
    /// Where webhooks go.
    #[arg(long, default_value = "http://127.0.0.1:8470/webhooks/github")]
    deliver_to: String,
    /// File to write the App's private key to; readable by you alone.
    #[arg(long, default_value = "simulator-app.pem")]
    key_file: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let github = GitHub::start_with(Options { listen: args.github, ..Options::default() }).await;
    let model = Model::start_at(args.model).await;
    model.will(Script::fix_demo(&json!({})).slowly(Duration::from_millis(30)));
    github.create_repo("octo/calc", &demo_files());
    github.person("alice", Role::Write);
    github.deliver_to(args.deliver_to.as_str());
    write_key(&args.key_file, github.private_key_pem())
        .with_context(|| format!("write the key to {}", args.key_file.display()))?;
    println!("GitHub          {}", github.url());
    println!("REST            {}", github.api_url());
    println!("App id          {}", github.app_id());
    println!("App key         {}", args.key_file.display());
    println!("Webhook secret  {}", github.webhook_secret());
    println!("Webhooks go to  {}", args.deliver_to);
    println!("Messages API    {}   key {}", model.url(), model.api_key());
    println!();
    let here = github.url();
    println!("curl {here}/_control/issue -d '{{\"repo\":\"octo/calc\",\"title\":\"2 + 3 is -1\",\"body\":\"…\"}}'");
    println!("curl {here}/_control/comment -d '{{\"where\":\"octo/calc#1\",\"text\":\"@cloud-agent fix this\"}}'");
    println!();
    let story = async {
        loop {
            for line in github.told() {
                println!("{line}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = story => {}
        stopped = tokio::signal::ctrl_c() => stopped.context("wait for ctrl-c")?,
    }
    Ok(())
}

fn write_key(path: &PathBuf, pem: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = std::fs::remove_file(path);
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(pem.as_bytes())
}

//! `cloud-agent backup`: a copy of the database while it is in use, and what else has to be kept.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::app;
use crate::config;
use crate::store;

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where the copy goes: `FILE.partial` until it is complete and was checked.
    file: PathBuf,
    /// Replace FILE.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    store: config::Store,
}

/// Copy, check, and say what the copy lacks.
pub async fn backup(args: &BackupArgs) -> Result<ExitCode> {
    let size = store::backup(&args.store.database_url(), &args.file, args.force).await?;
    let key = match args.store.encryption_key {
        Some(_) => "ENCRYPTION_KEY".to_owned(),
        None => app::encryption_key_file(&args.store.data_dir).display().to_string(),
    };
    #[expect(clippy::print_stdout, reason = "this is what the command is for")]
    {
        println!(
            "Copied the database to {} ({:.1} MB), and checked the copy.\n\
             Keep apart from it: the encryption key ({key}), the App's private key, the webhook secret and the model's key.\n\
             Not needed: mirrors and the files of runs, which are made again.",
            args.file.display(),
            size as f64 / 1e6
        );
    }
    Ok(ExitCode::SUCCESS)
}

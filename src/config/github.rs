//! The GitHub App: who it is, what it signs with, where GitHub is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::values::{Span, mention, several};

/// Secrets that stood in examples: whoever knows them could give the bot orders.
const EXAMPLES: [&str; 2] = ["change-me", "the-secret-of-step-2"];

/// The GitHub App and the host it lives on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GitHub")]
pub struct Github {
    /// The host people see: `https://github.com`, a GitHub Enterprise Server, or `https://SUBDOMAIN.ghe.com`.
    #[arg(long = "github-url", env = "GITHUB_URL", default_value = "https://github.com")]
    pub url: Url,
    /// REST API base; derived from GITHUB_URL when absent.
    #[arg(long = "github-api-url", env = "GITHUB_API_URL")]
    pub api_url: Option<Url>,
    /// The App's numeric id.
    #[arg(long = "github-app-id", env = "GITHUB_APP_ID")]
    pub app_id: Option<u64>,
    /// The App's private key, PEM text. Literal `\n` is read as a line break.
    #[arg(long = "github-app-private-key", env = "GITHUB_APP_PRIVATE_KEY", hide_env_values = true)]
    pub private_key: Option<SecretString>,
    /// A file with the App's private key, instead of GITHUB_APP_PRIVATE_KEY.
    #[arg(long = "github-app-private-key-file", env = "GITHUB_APP_PRIVATE_KEY_FILE")]
    pub private_key_file: Option<PathBuf>,
    /// The webhook secret; several, comma separated, while one is being rotated.
    #[arg(long = "github-webhook-secret", env = "GITHUB_WEBHOOK_SECRET", hide_env_values = true)]
    pub webhook_secret: Option<SecretString>,
    /// Milliseconds between two writes of one installation. GitHub asks for a second.
    #[arg(long = "github-write-spacing-ms", env = "GITHUB_WRITE_SPACING_MS", default_value_t = 1000)]
    pub write_spacing_ms: u64,
    /// What people write, after an `@`, to reach the bot.
    #[arg(long, env = "MENTION", default_value = "cloud-agent", value_parser = mention)]
    pub mention: String,
    /// The label that asks for a fix on an issue, and for a review on a pull request.
    #[arg(long, env = "LABEL", default_value = "cloud-agent")]
    pub label: String,
    /// How often GitHub is asked for deliveries that never came.
    #[arg(long, env = "SWEEP_INTERVAL", default_value = "5m")]
    pub sweep_interval: Span,
}

impl Github {
    /// REST base by host: github.com, GitHub Enterprise Server (`/api/v3`) or `*.ghe.com` (`api.` prefix).
    pub fn api_url(&self) -> Url {
        if let Some(url) = &self.api_url {
            return url.clone();
        }
        let host = self.url.host_str().unwrap_or_default();
        let mut api = self.url.clone();
        if host == "github.com" || host.ends_with(".ghe.com") {
            // `set_host` fails only for URLs without a host, which the match above has excluded.
            let _ = api.set_host(Some(&format!("api.{host}")));
            api.set_path("/");
        } else {
            api.set_path("/api/v3");
        }
        api
    }

    /// How long GitHub lists its deliveries: three days on github.com and ghe.com, seven on an enterprise server.
    pub fn keeps_deliveries_for(&self) -> Duration {
        let host = self.url.host_str().unwrap_or_default();
        Duration::from_hours(if host == "github.com" || host.ends_with(".ghe.com") { 3 * 24 } else { 7 * 24 })
    }

    /// Where commit addresses that GitHub maps to accounts live.
    pub fn noreply_host(&self) -> String {
        format!("users.noreply.{}", self.url.host_str().unwrap_or("github.com"))
    }

    /// The secrets that a delivery may be signed with. An error when there is none: unsigned deliveries are never taken.
    pub fn webhook_secrets(&self) -> Result<Vec<SecretString>> {
        let Some(given) = &self.webhook_secret else {
            bail!("GITHUB_WEBHOOK_SECRET is not set: without it anybody could give the bot orders");
        };
        let secrets = several(given);
        if secrets.is_empty() {
            bail!("GITHUB_WEBHOOK_SECRET is empty: give it the secret that the App's webhook has");
        }
        if let Some(known) = secrets.iter().find(|it| EXAMPLES.contains(&it.expose_secret())) {
            bail!(
                "GITHUB_WEBHOOK_SECRET is `{}`, which everybody can read in the documentation: make one with \
                 `openssl rand -hex 32`, and put the same into the App's settings",
                known.expose_secret()
            );
        }
        Ok(secrets)
    }

    /// The App's id and private key.
    pub fn app(&self) -> Result<(u64, SecretString)> {
        let id = self.app_id.context("GITHUB_APP_ID is not set: it stands on the App's settings page")?;
        let key = self.private_key.as_ref().filter(|key| !key.expose_secret().trim().is_empty());
        let pem = match (key, &self.private_key_file) {
            (Some(pem), _) => SecretString::from(pem.expose_secret().replace("\\n", "\n")),
            (None, Some(file)) => read_secret(file, "GITHUB_APP_PRIVATE_KEY_FILE")?,
            (None, None) => {
                bail!("GITHUB_APP_PRIVATE_KEY and GITHUB_APP_PRIVATE_KEY_FILE are not set: give one of them")
            }
        };
        Ok((id, pem))
    }
}

fn read_secret(file: &Path, variable: &str) -> Result<SecretString> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{variable}: read {}", file.display()))?;
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        github: Github,
    }

    #[test]
    fn a_secret_from_an_example_is_none() {
        let secrets = |given: &str| {
            let given = Given::parse_from(["it", &format!("--github-webhook-secret={given}")]);
            given.github.webhook_secrets().map_err(|error| error.to_string())
        };
        for known in ["change-me", "the-secret-of-step-2", "0123456789abcdef, change-me"] {
            assert!(secrets(known).unwrap_err().contains("which everybody can read in the documentation"), "{known}");
        }
        assert_eq!(secrets("0123456789abcdef,change-me-not").unwrap().len(), 2);
    }
}

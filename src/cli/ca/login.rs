//! `ca login` and `ca logout`: which server, and the key to it.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use console::Term;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use url::Url;

use super::args::Cli;
use super::saved::{self, Saved};
use super::screen::{hint, note, tell};
use super::server::{Server, is_here};
use super::trouble::Trouble;
use super::{HERE, own_server};
use crate::api::OwnKey;
use crate::clock;

/// Keep a server and a key that it takes.
pub async fn login(cli: &Cli, server: Option<&Url>) -> Result<ExitCode> {
    let path = saved::path()?;
    // What can't be understood is written anew.
    let before = saved::read(&path).ok().flatten().map(|it| it.url);
    let url = server.or(cli.url()).cloned().or(before);
    let url = url.map_or_else(|| HERE.parse().context("the usual server"), Ok)?;
    if is_overheard(&url) {
        note(&format!("ca: {url} is not encrypted: everybody on the way can read the key. Use https:// if you can."));
    }
    let key = read_key(&url)?;
    let answer = Server::new(url.clone(), Some(key.clone()))?.get(&["api", "v1", "key"], &[]).await?;
    let json = answer.json.clone();
    let own: OwnKey = answer.read()?;
    saved::write(&path, &Saved { url: url.clone(), key }).with_context(|| format!("write {}", path.display()))?;
    tell(&if cli.json { json } else { welcome(&url, &own) });
    hint(&format!("Kept in {}, for your eyes alone.", path.display()));
    if cli.api_key.is_some() {
        note("ca: CA_API_KEY is set, and wins over this key.");
    }
    if cli.url().is_some_and(|set| !own_server(set, &url)) {
        note("ca: CA_URL or --url names another server, and wins over this one.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Forget what `login` keeps. The server is not asked: `ca keys revoke` makes a key useless.
pub fn logout(cli: &Cli) -> Result<ExitCode> {
    let path = saved::path()?;
    let was_there = saved::remove(&path)?;
    tell(&match was_there {
        _ if cli.json => json!({ "forgotten": was_there }).to_string(),
        true => "Forgotten. The key itself still opens the server: `ca keys revoke` ends it.".to_owned(),
        false => "Nothing was kept.".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

/// A key that is typed where nobody sees it, or that another program hands over.
fn read_key(url: &Url) -> Result<SecretString> {
    let mut typed = String::new();
    if std::io::stdin().is_terminal() {
        let term = Term::stderr();
        term.write_str(&format!("Key for {url} (ca_…, not shown): "))?;
        typed = term.read_secure_line().context("read the key")?;
    } else {
        std::io::stdin().take(4096).read_to_string(&mut typed).context("read the key from standard input")?;
    }
    let key = SecretString::from(typed.trim());
    let is_key = !key.expose_secret().is_empty() && key.expose_secret().bytes().all(|it| it.is_ascii_graphic());
    let says = "that is no key: give one line, such as the one in the server's DATA_DIR/admin-api-key";
    if is_key { Ok(key) } else { Err(Trouble::Usage(says.to_owned()).into()) }
}

/// Whether a key travels there in the clear.
fn is_overheard(url: &Url) -> bool {
    url.scheme() == "http" && !is_here(url)
}

fn welcome(url: &Url, own: &OwnKey) -> String {
    let of = own.repositories.as_ref().map(|them| format!(" of {}", them.join(", "))).unwrap_or_default();
    let ends = own.expires_at.map(|at| format!(", until {}", clock::iso(at))).unwrap_or_default();
    format!("Logged in to {url} with the key `{}`: {}{of}{ends}", own.name, own.scopes.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn keys_in_the_clear_are_warned_of() {
        let check = |url: &str, overheard: bool| assert_eq!(is_overheard(&url.parse().unwrap()), overheard, "{url}");
        check("http://agent.example.com", true);
        check("http://10.0.0.7:3000", true);
        check("https://agent.example.com", false);
        check("http://localhost:3000", false);
        check("http://127.0.0.1:3000", false);
        check("http://[::1]:3000", false);
    }
}

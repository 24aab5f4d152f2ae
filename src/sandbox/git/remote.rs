//! Where a repository is and the token for it. The token leaves this type only into the environment of one process.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Branch, Git, GitError, Sha, quick};

/// A repository on the configured host, and what opens it.
#[derive(Clone)]
pub struct Remote {
    url: Url,
    /// Scheme, host and port with a slash: what the token is for.
    origin: String,
    token: Option<SecretString>,
}

impl Remote {
    /// `owner/name` on the configured host.
    pub fn new(git: &Git, full_name: &str, token: Option<SecretString>) -> Result<Self, GitError> {
        let bad = || GitError::Other(format!("{full_name:?} is not the name of a repository"));
        let part = |p: &str| {
            !p.is_empty()
                && p.len() <= 100
                && !p.starts_with('.')
                && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        // A repository may be called `.github`, an owner may not begin with a dot.
        let (owner, name) = full_name.split_once('/').ok_or_else(bad)?;
        if !part(owner) || !part(name.strip_prefix('.').unwrap_or(name)) {
            return Err(bad());
        }
        let base = &git.settings().base;
        let url =
            Url::parse(&format!("{}/{owner}/{name}.git", base.as_str().trim_end_matches('/'))).map_err(|_| bad())?;
        let origin = format!("{}/", base.origin().ascii_serialization());
        Ok(Self { url, origin, token })
    }

    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The configuration that makes git send the token, to this origin only.
    pub(super) fn header(&self) -> Option<(String, String)> {
        Some((format!("http.{}.extraHeader", self.origin), format!("Authorization: {}", self.authorization()?)))
    }

    pub(super) fn authorization(&self) -> Option<String> {
        let token = self.token.as_ref()?.expose_secret();
        Some(format!("Basic {}", BASE64_STANDARD.encode(format!("x-access-token:{token}"))))
    }

    /// What must not be repeated in any message.
    pub(super) fn secrets(&self) -> Vec<String> {
        let token = self.token.iter().map(|t| t.expose_secret().to_owned());
        token.chain(self.authorization().map(|a| a.trim_start_matches("Basic ").to_owned())).collect()
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({})", self.url)
    }
}

impl Git {
    /// Where a branch is on the remote now.
    pub async fn remote_head(&self, remote: &Remote, branch: &Branch) -> Result<Option<Sha>, GitError> {
        let mut heads = self.remote_refs(remote, &[branch.full()]).await?;
        Ok(heads.pop().flatten())
    }

    /// Where each of these branches is on the remote now.
    pub async fn remote_heads(&self, remote: &Remote, branches: &[Branch]) -> Result<Vec<Option<Sha>>, GitError> {
        let names: Vec<String> = branches.iter().map(Branch::full).collect();
        self.remote_refs(remote, &names).await
    }

    /// What each of these refs is on the remote now.
    pub(super) async fn remote_refs(&self, remote: &Remote, names: &[String]) -> Result<Vec<Option<Sha>>, GitError> {
        // git takes two requests and three processes for this; asked directly it is one request on an open connection.
        if let Some(client) = &self.0.quick
            && let Some(found) = quick::ls_refs(client, remote, names).await
        {
            return Ok(found);
        }
        // Whatever went wrong there, git decides and finds the words.
        let call = self.call("ls-remote").args(["--refs", "--quiet", "--end-of-options", remote.url()]).args(names);
        // No repository is involved; a name that can't be one keeps git from looking for it.
        let call = call.env("GIT_DIR", "/dev/null/none").remote(remote, self.settings().timeouts.push);
        let out = call.run().await?;
        let text = String::from_utf8_lossy(&out.stdout);
        let line = |name: &String| text.lines().filter_map(|l| l.split_once('\t')).find(|(_, n)| n == name);
        names
            .iter()
            .map(|name| line(name).map(|(sha, _)| sha.parse()).transpose())
            .collect::<Result<_, _>>()
            .map_err(|_| GitError::Other("git ls-remote: an answer that is no commit id".to_owned()))
    }
}

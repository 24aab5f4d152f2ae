//! Where refs are on a remote, in one request: the `ls-refs` command of git's protocol version 2.
//!
//! Only a shortcut. Everything unexpected is `None`, and the caller asks git itself.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};

use super::{Remote, Settings, Sha};

/// A prefix can match any number of branches; more than this is not worth reading here.
const MAX_ANSWER: usize = 1 << 20;

/// The client for it, or none where git goes through a proxy or trusts certificates that this client knows nothing of.
pub(super) fn client(settings: &Settings) -> Option<reqwest::Client> {
    let special = |key: &str| {
        key.to_ascii_lowercase().ends_with("_proxy") || key.starts_with("GIT_SSL") || key.starts_with("SSL_")
    };
    if settings.env.iter().any(|(key, _)| special(&key.to_string_lossy())) {
        return None;
    }
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    let client = client.connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(15));
    client.user_agent(concat!("git/2 cloud-agent/", env!("CARGO_PKG_VERSION"))).build().ok()
}

/// What each of `names` is now, in their order.
pub(super) async fn ls_refs(client: &reqwest::Client, remote: &Remote, names: &[String]) -> Option<Vec<Option<Sha>>> {
    let mut request = client
        .post(format!("{}/git-upload-pack", remote.url()))
        .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
        .header(ACCEPT, "application/x-git-upload-pack-result")
        .header("Git-Protocol", "version=2")
        .body(question(names));
    if let Some(authorization) = remote.authorization() {
        let mut value = reqwest::header::HeaderValue::from_str(&authorization).ok()?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let mut response = request.send().await.ok()?;
    let kind = response.headers().get(CONTENT_TYPE)?;
    if response.status() != reqwest::StatusCode::OK || kind != "application/x-git-upload-pack-result" {
        return None;
    }
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        answer.extend_from_slice(&chunk);
        if answer.len() > MAX_ANSWER {
            return None;
        }
    }
    let refs = lines(&answer)?;
    let find = |name: &String| refs.iter().find(|(_, n)| n == name).map(|(sha, _)| sha.clone());
    Some(names.iter().map(find).collect())
}

fn question(names: &[String]) -> String {
    let packet = |line: String| format!("{:04x}{line}\n", line.len() + 5);
    let prefixes = names.iter().map(|name| packet(format!("ref-prefix {name}"))).collect::<String>();
    format!("{}{}0001{prefixes}0000", packet("command=ls-refs".to_owned()), packet("object-format=sha1".to_owned()))
}

/// `<sha> <name>` in packets, up to the flush. `None` when it is anything else, an error message of the remote included.
fn lines(mut answer: &[u8]) -> Option<Vec<(Sha, String)>> {
    let mut found = Vec::new();
    loop {
        let length = usize::from_str_radix(std::str::from_utf8(answer.get(..4)?).ok()?, 16).ok()?;
        if length == 0 {
            return Some(found);
        }
        let line = std::str::from_utf8(answer.get(4..length)?).ok()?;
        let (sha, name) = line.trim_end_matches('\n').split_once(' ')?;
        found.push((sha.parse().ok()?, name.to_owned()));
        answer = &answer[length..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_asked_and_read() {
        let asked = question(&["refs/heads/main".to_owned()]);
        assert_eq!(asked, "0014command=ls-refs\n0017object-format=sha1\n0001001fref-prefix refs/heads/main\n0000");
        let sha = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let answer = format!("003d{sha} refs/heads/main\n0000");
        assert_eq!(lines(answer.as_bytes()), Some(vec![(sha.parse().expect(sha), "refs/heads/main".to_owned())]));
        for broken in ["", "0000x", "003d", "ffff", "zzzz", "0010ERR no such\n0000", "0001", "0002"] {
            assert!(broken == "0000x" || lines(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}

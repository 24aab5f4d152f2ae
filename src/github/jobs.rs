//! Logs of GitHub Actions' jobs, which GitHub keeps on another host.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::StatusCode;
use tracing::debug;

use super::{Error, Repo};

/// For the whole of a log: the address is good for one minute.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A log longer than this is not read to its end, in bytes.
const LONGEST: usize = 256 << 20;
/// Redirects that the other host may make.
const HOPS: usize = 3;

/// A client without credentials, and without plain HTTP unless the API itself is reached by it.
pub(super) fn plain_client(api: &str) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("cloud-agent/", env!("CARGO_PKG_VERSION")))
        .https_only(!api.starts_with("http://"))
        .redirect(reqwest::redirect::Policy::limited(HOPS))
        .connect_timeout(Duration::from_secs(5))
        .timeout(TIMEOUT)
        .build()
}

impl Repo {
    /// The end of a job's log: whole lines, at most `max_bytes`. None when there is no log, or no longer, or we may not
    /// see it. GitHub answers with a 302 to storage elsewhere, which must not see our token.
    pub async fn job_log_tail(&self, job_id: u64, max_bytes: usize) -> Result<Option<String>, Error> {
        let location = match self.elsewhere(&format!("actions/jobs/{job_id}/logs")).await {
            Ok(Some(location)) => location,
            Ok(None) | Err(Error::NotFound(_) | Error::Forbidden(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        // The address is as good as a token while it lives: it stays out of every message.
        let failed = |error: reqwest::Error| {
            Error::Unreachable(format!("the log could not be fetched: {}", error.without_url()))
        };
        let response = self.github.inner.plain.get(location).send().await.map_err(failed)?;
        match response.status() {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status if !status.is_success() => {
                return Err(Error::Unreachable(format!("the log could not be fetched: {status}")));
            }
            _ => (),
        }
        let mut tail = Tail::new(max_bytes);
        let mut read = 0;
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(failed)?;
            read += chunk.len();
            if read > LONGEST {
                debug!(github.job = job_id, "The log is too long to be read to its end");
                return Ok(None);
            }
            tail.push(&chunk);
        }
        Ok(Some(tail.text()))
    }
}

/// The last bytes of what is pushed into it.
struct Tail {
    kept: Vec<u8>,
    room: usize,
    cut: bool,
}

impl Tail {
    fn new(room: usize) -> Self {
        Self { kept: Vec::new(), room, cut: false }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.kept.extend_from_slice(chunk);
        // Twice the room, so that bytes are not moved for every chunk.
        if self.kept.len() > self.room.saturating_mul(2) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let over = self.kept.len().saturating_sub(self.room);
        if over > 0 {
            // The byte before the cut tells whether a line begins there.
            self.cut = self.kept[over - 1] != b'\n';
            self.kept.drain(..over);
        }
    }

    /// From the first whole line on; a last line without any break is kept as it is.
    fn text(mut self) -> String {
        self.trim();
        let start = match self.kept.iter().position(|byte| *byte == b'\n') {
            Some(at) if self.cut && at + 1 < self.kept.len() => at + 1,
            _ => 0,
        };
        String::from_utf8_lossy(&self.kept[start..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(room: usize, chunks: &[&str]) -> String {
        let mut tail = Tail::new(room);
        for chunk in chunks {
            tail.push(chunk.as_bytes());
        }
        tail.text()
    }

    #[test]
    fn the_end_is_kept_in_whole_lines() {
        assert_eq!(tail(100, &["one\n", "two\n"]), "one\ntwo\n");
        assert_eq!(tail(8, &["one\n", "two\n"]), "one\ntwo\n");
        assert_eq!(tail(6, &["one\n", "two\n"]), "two\n");
        assert_eq!(tail(4, &["one\n", "two\n"]), "two\n");
        assert_eq!(tail(3, &["abcdefgh"]), "fgh");
        assert_eq!(tail(5, &["a\nb\nc\n", "d\ne\nf\n", "g\nh\n"]), "g\nh\n");
        assert_eq!(tail(0, &["a\n"]), "");
    }
}

//! How callers of the API hear that a task has ended.

use clap::Args;
use url::Url;

use super::values::Span;

/// Callbacks: whom they may reach, and how patient they are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Callbacks")]
pub struct Callbacks {
    /// Hosts that may be called back although their addresses are private, and over plain HTTP, comma separated: `host` or
    /// `host:port`, by name or address.
    #[arg(long = "callback-hosts", env = "CALLBACK_HOSTS", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// How long a callback may take until it is answered.
    #[arg(long = "callback-timeout", env = "CALLBACK_TIMEOUT", default_value = "10s")]
    pub timeout: Span,
    /// How long a callback that has failed is left before it is tried again; four times as long each time, up to six hours.
    #[arg(long = "callback-retry", env = "CALLBACK_RETRY", default_value = "10s")]
    pub retry: Span,
    /// Tries after which a callback is given up.
    #[arg(long = "callback-tries", env = "CALLBACK_TRIES", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub tries: u32,
}

impl Callbacks {
    /// The hosts that may be private; an empty CALLBACK_HOSTS names none.
    pub fn hosts(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.trim().to_ascii_lowercase()).filter(|host| !host.is_empty()).collect()
    }

    /// Whether the operator has named where this leads.
    pub fn names(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        let with_port = format!("{host}:{port}");
        self.hosts().iter().any(|it| *it == host || *it == with_port)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        callbacks: Callbacks,
    }

    #[test]
    fn a_host_is_named_with_or_without_its_port() {
        let given = Given::try_parse_from(["x", "--callback-hosts", "CI.internal, 10.0.0.7:8080,[::1]"]).unwrap();
        for (url, named) in [
            ("http://ci.internal/hook", true),
            ("https://ci.internal:8443/", true),
            ("https://x.ci.internal/", false),
            ("http://10.0.0.7:8080/", true),
            ("http://10.0.0.7/", false),
            ("http://0x0a.0.0.7:8080/", true),
            ("http://[::1]:9/", true),
            ("https://example.com/", false),
        ] {
            assert_eq!(given.callbacks.names(&url.parse().unwrap()), named, "{url}");
        }
        let none = Given::try_parse_from(["x", "--callback-hosts", ""]).unwrap();
        assert!(none.callbacks.hosts().is_empty());
    }
}

//! What is logged, without keys: one line an event, and nothing in an event can look like another.

use std::io::{self, IsTerminal as _, Write};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::config::{self, LogFormat};
use crate::text;

/// Log to standard error from now on.
pub fn start(log: &config::Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter).context("RUST_LOG can't be read")?;
    let format = log.log_format.unwrap_or(match io::stderr().is_terminal() {
        true => LogFormat::Text,
        false => LogFormat::Json,
    });
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Clean { to: io::stderr(), format })
        .with_target(false);
    match format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_current_span(true).with_span_list(true).init(),
    }
    Ok(())
}

/// The way out of the log. An event comes in one piece.
struct Clean<W> {
    to: W,
    format: LogFormat,
}

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.to.write_all(cleaned(&String::from_utf8_lossy(event), self.format).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn cleaned(event: &str, format: LogFormat) -> String {
    let event = event.trim_end_matches('\n');
    let clean = match format {
        // Further lines are told from events by their indent.
        LogFormat::Text => text::redact_logged(event).replace('\r', " ").replace('\n', "\n    "),
        LogFormat::Json => match serde_json::from_str::<Value>(event) {
            // Value by value: a key without an end would take the rest of the JSON with it.
            Ok(value) => {
                let clean = text::redact_json(&value, text::redact_logged);
                if clean == value { event.to_owned() } else { clean.to_string() }
            }
            Err(_) => text::redact_logged(event),
        },
    };
    clean + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_event_and_holds_no_key() {
        let key = format!("ghp_{}", "x".repeat(36));
        let forged = format!("WARN git said: {key}\nINFO All is well\n");
        assert_eq!(cleaned(&forged, LogFormat::Text), "WARN git said: [redacted]\n    INFO All is well\n");

        let begun = r#"{"message":"git said: -----BEGIN RSA PRIVATE KEY-----\nMII","task":"1"}"#;
        let line = cleaned(&format!("{begun}\n"), LogFormat::Json);
        assert_eq!(line, "{\"message\":\"git said: [redacted]\",\"task\":\"1\"}\n");
        // The unguarded way: the line is cut open, and the next event is glued to it.
        assert!(serde_json::from_str::<Value>(&text::redact(begun)).is_err());
        assert_eq!(cleaned("{\"a\": 1}\n", LogFormat::Json), "{\"a\": 1}\n");
    }
}

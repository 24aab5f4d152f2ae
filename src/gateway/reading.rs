//! Reads what an answer used out of its bytes as they pass, from server-sent events or from one JSON body.

use serde::Deserialize;

use super::ledger::{BYTES_PER_TOKEN, Meter};
use super::price::Tokens;

/// A line of a stream, or a whole JSON body, beyond this is passed on unread.
const LONGEST: usize = 8 << 20;
/// No answer has more tokens than this; whoever says so does not decide what our sums overflow to.
const MOST_TOKENS: u64 = 1_000_000_000;

/// Looks on while an answer passes.
#[derive(Debug)]
pub(super) struct Reading {
    events: bool,
    buffer: Vec<u8>,
    /// The rest of the present line, or of the body, is too long to be read.
    skipping: bool,
    tokens: Tokens,
    /// Bytes of text, reasoning and tool input that have come.
    text: u64,
    /// The error that the API reported in mid-stream: type and message.
    pub error: Option<(String, String)>,
    /// The answer has come to its end: a stream closes with `message_stop`, and one that just stops was cut.
    pub complete: bool,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    message: Option<Message>,
    usage: Option<Used>,
    delta: Option<Delta>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<Used>,
}

/// <https://docs.claude.com/en/api/messages#response-usage>
#[derive(Deserialize)]
struct Used {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Written>,
}

#[derive(Deserialize)]
struct Written {
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
}

impl Reading {
    /// `events`: whether the answer is a stream of events rather than one JSON body.
    pub fn new(events: bool) -> Self {
        Self {
            events,
            buffer: Vec::new(),
            skipping: false,
            tokens: Tokens::default(),
            text: 0,
            error: None,
            complete: false,
        }
    }

    pub fn push(&mut self, bytes: &[u8], meter: &mut Meter) {
        if !self.events {
            self.keep(bytes);
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.keep(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.buffer);
                if !std::mem::take(&mut self.skipping) {
                    self.line(&line, meter);
                }
            }
        }
    }

    /// The answer has ended.
    pub fn end(&mut self, meter: &mut Meter) {
        let rest = std::mem::take(&mut self.buffer);
        if self.events {
            self.line(&rest, meter);
            return;
        }
        // Its length was announced, or its last chunk was marked: a body that was cut ends in an error instead.
        self.complete = true;
        if let Ok(Message { usage: Some(used) }) = serde_json::from_slice(&rest) {
            self.used(&used, meter);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skipping || self.buffer.len() + bytes.len() > LONGEST {
            self.skipping = true;
            self.buffer = Vec::new();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn line(&mut self, line: &[u8], meter: &mut Meter) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        // Unreadable events are the client's business; the text that was seen still counts.
        let Ok(event) = serde_json::from_slice::<Event>(data) else { return };
        match event.kind.as_str() {
            "message_start" => {
                if let Some(used) = event.message.and_then(|message| message.usage) {
                    self.used(&used, meter);
                }
            }
            "message_delta" => {
                if let Some(used) = event.usage {
                    self.used(&used, meter);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    let parts = [&delta.text, &delta.thinking, &delta.partial_json];
                    self.text += parts.into_iter().flatten().map(|part| part.len() as u64).sum::<u64>();
                    meter.at_least(self.text / BYTES_PER_TOKEN);
                }
            }
            "error" => {
                let error =
                    event.error.map(|error| (error.kind.unwrap_or_default(), error.message.unwrap_or_default()));
                self.error = Some(error.unwrap_or_default());
            }
            "message_stop" => self.complete = true,
            _ => {}
        }
    }

    /// Counts are cumulative, and a field that is left out has not changed.
    fn used(&mut self, used: &Used, meter: &mut Meter) {
        let set = |to: &mut u64, value: Option<u64>| {
            if let Some(value) = value {
                *to = value.min(MOST_TOKENS);
            }
        };
        set(&mut self.tokens.input, used.input_tokens);
        set(&mut self.tokens.output, used.output_tokens);
        set(&mut self.tokens.cache_read, used.cache_read_input_tokens);
        if let Some(written) = used.cache_creation_input_tokens {
            let hour = used.cache_creation.as_ref().and_then(|written| written.ephemeral_1h_input_tokens);
            self.tokens.cache_write_1h = hour.unwrap_or(self.tokens.cache_write_1h).min(written).min(MOST_TOKENS);
            self.tokens.cache_write = written.min(MOST_TOKENS).saturating_sub(self.tokens.cache_write_1h);
        }
        meter.told(self.tokens);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;
    use crate::gateway::ledger::{Ledger, Size, Usage};
    use crate::gateway::price::Prices;

    fn read(events: bool, pieces: &[&str]) -> Usage {
        let ledger = Ledger::new(i64::MAX, 0);
        let mut meter =
            ledger.try_open("opus", Prices::default().of("opus"), Size { input_bytes: 400, most_output: 0 }).unwrap();
        meter.sent();
        let mut reading = Reading::new(events);
        for piece in pieces {
            reading.push(piece.as_bytes(), &mut meter);
        }
        reading.end(&mut meter);
        drop(meter);
        ledger.usage()
    }

    const START: &str = concat!(
        r#"data: {"type":"message_start","message":{"usage":{"input_tokens":7,"cache_read_input_tokens":5,"#,
        r#""cache_creation_input_tokens":9,"cache_creation":{"ephemeral_1h_input_tokens":4},"output_tokens":1}}}"#,
        "\n\n"
    );

    #[test]
    fn a_stream_is_read_in_any_pieces() {
        let delta = "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":30}}\n\n";
        let whole = format!("event: message_start\n{START}{delta}");
        let told = Usage { input: 7, output: 30, cache_read: 5, cache_write: 9, micros: 859, requests: 1 };
        assert_eq!(read(true, &[&whole]), told);
        for cut in 1..whole.len() {
            assert_eq!(read(true, &[&whole[..cut], &whole[cut..]]), told, "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_counts_the_text_that_came() {
        let text = r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"0123456789012345678901234567890123456789"}}"#;
        let usage = read(true, &[START, text, "\n\n", "data: {\"type\":\"message_de"]);
        assert_eq!((usage.input, usage.output), (7, 10));
    }

    #[test]
    fn an_answer_is_complete_when_it_says_so() {
        let complete = |events, body: &str| {
            let ledger = Ledger::new(i64::MAX, 0);
            let mut meter = ledger
                .try_open("opus", Prices::default().of("opus"), Size { input_bytes: 400, most_output: 0 })
                .unwrap();
            let mut reading = Reading::new(events);
            reading.push(body.as_bytes(), &mut meter);
            reading.end(&mut meter);
            reading.complete
        };
        let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        assert!(!complete(true, START));
        assert!(!complete(true, &format!("{START}{}", &stop[..40])));
        assert!(complete(true, &format!("{START}{stop}")));
        assert!(complete(false, "{}"));
    }

    #[test]
    fn one_body_is_read_at_its_end_and_garbage_is_paid_by_estimate() {
        let usage = read(false, &["{\"type\":\"message\",\"usage\":{\"input_tokens\":3", ",\"output_tokens\":2}}"]);
        assert_eq!((usage.input, usage.output), (3, 2));
        assert_eq!(read(false, &["\u{1f}\u{8b}…"]).input, 100);
        assert_eq!(read(true, &["data: {}\n\ndata: [1\n\n"]).input, 100);
    }
}

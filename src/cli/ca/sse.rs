//! Server-sent events, read from bytes however they are cut.

/// A message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: String,
}

/// Longest line that is taken. The server cuts texts far below this.
const LONGEST: usize = 16 << 20;

/// Collects bytes until a message is whole.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    message: Message,
    has_data: bool,
    /// The last byte was a CR: an LF after it belongs to the same end of line.
    after_cr: bool,
}

impl Reader {
    /// The messages that these bytes complete. What a broken connection leaves unfinished is none.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut whole = Vec::new();
        for byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => (),
                b'\n' | b'\r' => {
                    self.after_cr = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    whole.extend(self.end_of_line(&String::from_utf8_lossy(&line)));
                }
                _ if self.line.len() < LONGEST => self.line.push(*byte),
                _ => (),
            }
        }
        whole
    }

    fn end_of_line(&mut self, line: &str) -> Option<Message> {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.message.id = Some(value.to_owned()),
            "event" => self.message.event = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.has_data = true;
                self.message.data.push_str(value);
            }
            // Comments keep the line alive; `retry` is for browsers.
            _ => (),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 1000\n\n: still here\n\nid: 1\ndata: {\"é\":1}\n\nid: 2\r\ndata:a\r\ndata: b\r\n\r\n\
                          id: end\nevent: end\ndata: {}\n\nid: 9\ndata: unfinished\n";

    fn message(id: &str, event: Option<&str>, data: &str) -> Message {
        Message { id: Some(id.to_owned()), event: event.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn messages_are_whole_wherever_the_bytes_are_cut() {
        let want = [message("1", None, "{\"é\":1}"), message("2", None, "a\nb"), message("end", Some("end"), "{}")];
        for size in 1..STREAM.len() {
            let mut reader = Reader::default();
            let got: Vec<_> = STREAM.as_bytes().chunks(size).flat_map(|bytes| reader.push(bytes)).collect();
            assert_eq!(got, want, "in pieces of {size}");
        }
    }
}

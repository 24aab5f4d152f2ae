//! A task's log as it happens: each event once, whatever happens to the connection.

use std::time::Duration;

use anyhow::{Error, Result};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use super::screen::{escaped_json, harmless_json};
use super::server::{Answer, Server, retry_after};
use super::sse::Reader;
use super::trouble::Trouble;
use crate::api::{LogLine, TaskView};

/// How often the task itself is looked at by those who show what it costs. Each look counts against the key's limit.
const LOOK: Duration = Duration::from_secs(10);
/// Between two tries to get a lost connection back, and how long that is tried.
const AGAIN: Duration = Duration::from_secs(1);
const GIVE_UP: Duration = Duration::from_mins(5);
/// A connection that stood so long was well, though nothing may have happened in the task.
const STOOD: Duration = Duration::from_secs(10);
/// Events that may wait to be shown.
const ROOM: usize = 1024;

/// What is heard of a task.
pub enum Heard {
    /// An event: as it was sent, and without what a terminal acts on.
    Event(String, LogLine),
    /// How it stands.
    Task(Box<TaskView>),
    /// The connection is gone, and being made anew.
    Lost(String),
    /// It stands again.
    Back,
    /// The task has ended, so far as the server has said how.
    End(Option<Ending>),
    Failed(Error),
}

/// How a task has ended, as the last message of its stream says.
#[derive(Debug, Deserialize)]
pub struct Ending {
    pub status: String,
    #[serde(default)]
    pub ending: Option<String>,
}

/// Follow a task from the beginning; with `looks` also how it stands, every few seconds.
pub fn follow(server: &Server, task: &str, looks: bool) -> Receiver<Heard> {
    let (sender, receiver) = mpsc::channel(ROOM);
    let (server, task) = (server.clone(), task.to_owned());
    if looks {
        tokio::spawn(look(server.clone(), task.clone(), sender.clone()));
    }
    tokio::spawn(async move {
        let how = Following { server, task, after: 0, sender: sender.clone() }.run().await;
        let _ = sender.send(how.map_or_else(Heard::Failed, Heard::End)).await;
    });
    receiver
}

async fn look(server: Server, task: String, sender: Sender<Heard>) {
    while !sender.is_closed() {
        let mut pause = LOOK;
        match server.get_at_once(&["api", "v1", "tasks", &task]).await.and_then(Answer::read) {
            Ok(task) => {
                let _ = sender.send(Heard::Task(task)).await;
            }
            // Whether the server can be reached, the stream tells.
            Err(error) => pause = pause.max(asks_for(&error).unwrap_or_default()),
        }
        tokio::time::sleep(pause).await;
    }
}

/// A task that has ended, asked for as patiently as its stream: the server may be away, or ask to be left alone.
pub async fn ended(server: &Server, task: &str) -> Result<Answer> {
    let since = Instant::now();
    loop {
        let error = match server.get_at_once(&["api", "v1", "tasks", task]).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let passes = error.downcast_ref::<Trouble>().is_some_and(|it| it.is_away() || it.is_too_much());
        let pause = asks_for(&error).unwrap_or(AGAIN);
        if !passes || since.elapsed() + pause > GIVE_UP {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
    }
}

/// How long a server that refuses asks to be left alone.
fn asks_for(error: &Error) -> Option<Duration> {
    error.downcast_ref::<Trouble>()?.pause()
}

struct Following {
    server: Server,
    task: String,
    /// The last event that was heard.
    after: i64,
    sender: Sender<Heard>,
}

/// How a connection ended.
enum Gone {
    /// With the task, or because nobody listens.
    Ended(Option<Ending>),
    /// Before it; the server may have said how long to wait.
    Lost(String, Option<Duration>),
}

impl Following {
    /// Returns when the task has ended.
    async fn run(mut self) -> Result<Option<Ending>> {
        let mut lost: Option<Instant> = None;
        let mut has_stood = false;
        loop {
            let began = Instant::now();
            let (why, pause) = match self.connection(&mut lost, &mut has_stood).await {
                Ok(Gone::Ended(how)) => return Ok(how),
                Ok(Gone::Lost(why, pause)) => {
                    if began.elapsed() > STOOD {
                        lost = None;
                    }
                    (why, pause)
                }
                // The first try says what is wrong with the address or the key.
                Err(error) => match error.downcast_ref() {
                    Some(Trouble::Unreached { why, .. }) if has_stood => (why.clone(), None),
                    _ => return Err(error),
                },
            };
            let since = *lost.get_or_insert_with(Instant::now);
            if since.elapsed() > GIVE_UP {
                let why = format!("the server could not be reached for 5 minutes ({why})");
                return Err(Trouble::Lost { task: self.task, why }.into());
            }
            if self.sender.send(Heard::Lost(why)).await.is_err() {
                return Ok(None);
            }
            tokio::time::sleep(pause.unwrap_or(AGAIN).min(GIVE_UP)).await;
        }
    }

    /// One connection from its beginning to its end.
    async fn connection(&mut self, lost: &mut Option<Instant>, has_stood: &mut bool) -> Result<Gone> {
        let mut answer = self.server.stream(&self.task, self.after).await?;
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            *has_stood = true;
            return Ok(Gone::Lost(format!("the server answered {status}"), retry_after(answer.headers())));
        }
        if status != StatusCode::OK {
            self.server.read(answer).await?;
            return Ok(Gone::Lost(format!("the server answered {status}"), None));
        }
        *has_stood = true;
        if lost.is_some() {
            let _ = self.sender.send(Heard::Back).await;
        }
        let mut reader = Reader::default();
        loop {
            let bytes = match answer.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(Gone::Lost("the server closed the connection".to_owned(), None)),
                Err(error) if error.is_timeout() => return Ok(Gone::Lost("the server fell silent".to_owned(), None)),
                Err(_) => return Ok(Gone::Lost("the connection broke".to_owned(), None)),
            };
            for message in reader.push(&bytes) {
                // A stream that carries something is well again.
                *lost = None;
                let value = serde_json::from_str::<Value>(&message.data);
                if message.event.as_deref() == Some("end") {
                    let how = value.ok().and_then(|it| serde_json::from_value(harmless_json(&it)).ok());
                    return Ok(Gone::Ended(how));
                }
                let Ok(value) = value else { continue };
                let Ok(line) = serde_json::from_value::<LogLine>(harmless_json(&value)) else { continue };
                if line.seq <= self.after {
                    continue;
                }
                self.after = line.seq;
                if self.sender.send(Heard::Event(escaped_json(&message.data), line)).await.is_err() {
                    return Ok(Gone::Ended(None));
                }
            }
        }
    }
}

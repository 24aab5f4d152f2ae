//! What a process wrote, on disk, so that anybody can read it from any cursor and follow it live.
//!
//! The file is a row of frames: one byte for the channel, four for the length (little endian), then the bytes. A cursor
//! counts the bytes of output alone, both channels together, in the order in which they were taken in; so it may point
//! into the middle of a frame. A sparse index in memory leads from a cursor to a frame.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;

use crate::sandbox::{Channel, Cursor, ExecEvent, Exit, SandboxError};

/// What is kept when `Exec::max_output` is 0.
pub(super) const DEFAULT_MAX_OUTPUT: u64 = 64 << 20;
/// The index has an entry about this often.
const INDEX_EVERY: u64 = 256 << 10;
const HEADER: usize = 5;

/// How far a record is. Readers wait for the next one of these.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Bytes of output.
    output: u64,
    /// Bytes that had to be dropped.
    lost: u64,
    exit: Option<Exit>,
}

/// The reading side of a record; it stays readable for as long as somebody holds it.
pub(super) struct Record {
    path: PathBuf,
    /// `(output before the frame, offset of the frame)`.
    index: Mutex<Vec<(u64, u64)>>,
    progress: watch::Sender<Progress>,
}

/// The writing side. There is one for each record.
pub(super) struct Writer {
    record: Arc<Record>,
    /// None once writing failed: what comes then is counted as lost.
    file: Option<File>,
    length: u64,
    most: u64,
}

impl Record {
    /// Begin a record in a new file.
    pub async fn begin(path: &Path, max_output: u64) -> Result<(Arc<Record>, Writer), SandboxError> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path).await;
        let file = file.map_err(|error| SandboxError::Io { doing: format!("create {}", path.display()), error })?;
        let progress = watch::Sender::new(Progress::default());
        let record = Arc::new(Record { path: path.to_owned(), index: Mutex::default(), progress });
        let most = if max_output == 0 { DEFAULT_MAX_OUTPUT } else { max_output };
        Ok((record.clone(), Writer { record, file: Some(file), length: 0, most }))
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.progress.borrow().exit
    }

    /// Wait for the exit.
    pub async fn ended(&self) {
        // The sender is ours, so this can only end well.
        let _ = self.progress.subscribe().wait_for(|progress| progress.exit.is_some()).await;
    }

    /// All from `from` on, then what comes, then the exit.
    pub async fn follow(self: &Arc<Record>, from: Cursor) -> Result<BoxStream<'static, ExecEvent>, SandboxError> {
        let failed = |error| SandboxError::Io { doing: format!("read {}", self.path.display()), error };
        let mut file = File::open(&self.path).await.map_err(failed)?;
        let (at, offset) = {
            let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            let after = index.partition_point(|(output, _)| *output <= from.0);
            after.checked_sub(1).and_then(|i| index.get(i)).copied().unwrap_or((0, 0))
        };
        file.seek(SeekFrom::Start(offset)).await.map_err(failed)?;
        let reader = Reader {
            file: BufReader::with_capacity(128 << 10, file),
            progress: self.progress.subscribe(),
            at,
            from: from.0,
            told_gap: false,
            done: false,
        };
        Ok(stream::unfold(reader, Reader::next).boxed())
    }
}

impl Writer {
    /// Take in what a process wrote.
    pub async fn write(&mut self, channel: Channel, bytes: &[u8]) {
        let before = self.record.progress.borrow().output;
        let keep = bytes.len().min(usize::try_from(self.most - before).unwrap_or(usize::MAX));
        let mut kept = 0;
        if keep > 0
            && let Some(file) = &mut self.file
        {
            match append(file, channel, &bytes[..keep]).await {
                Ok(()) => kept = keep,
                Err(error) => {
                    tracing::error!(path = %self.record.path.display(), "Could not record a process's output: {error}");
                    self.file = None;
                }
            }
        }
        if kept > 0 {
            let mut index = self.record.index.lock().unwrap_or_else(PoisonError::into_inner);
            if index.last().is_none_or(|(output, _)| before - output >= INDEX_EVERY) {
                index.push((before, self.length));
            }
            self.length += (HEADER + kept) as u64;
        }
        self.record.progress.send_modify(|progress| {
            progress.output += kept as u64;
            progress.lost += (bytes.len() - kept) as u64;
        });
    }

    /// Nothing comes after this.
    pub fn finish(self, exit: Exit) {
        self.record.progress.send_modify(|progress| progress.exit = Some(exit));
    }
}

impl Drop for Writer {
    /// A writer that goes without an exit takes its process with it; readers must not wait for ever.
    fn drop(&mut self) {
        let killed = Exit { code: None, signal: Some(libc::SIGKILL), limit: None };
        self.record
            .progress
            .send_if_modified(|progress| progress.exit.replace(progress.exit.unwrap_or(killed)).is_none());
    }
}

async fn append(file: &mut File, channel: Channel, bytes: &[u8]) -> std::io::Result<()> {
    let mut frame = Vec::with_capacity(HEADER + bytes.len());
    frame.push(u8::from(channel == Channel::Stderr));
    frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    frame.extend_from_slice(bytes);
    file.write_all(&frame).await?;
    file.flush().await
}

struct Reader {
    file: BufReader<File>,
    progress: watch::Receiver<Progress>,
    /// Output before the next frame.
    at: u64,
    from: u64,
    told_gap: bool,
    done: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(ExecEvent, Reader)> {
        while !self.done {
            let progress = *self.progress.borrow_and_update();
            if self.at < progress.output {
                match self.frame().await {
                    Ok(Some(event)) => return Some((event, self)),
                    Ok(None) => {}
                    Err(error) => {
                        // The file is ours alone; only a sick disk gets here. Say what is missing and go on to the end.
                        tracing::error!("Could not read back a process's output: {error}");
                        let lost = progress.output - self.at;
                        self.at = u64::MAX;
                        return Some((ExecEvent::Gap { lost }, self));
                    }
                }
            } else if let Some(exit) = progress.exit {
                if progress.lost > 0 && !self.told_gap {
                    self.told_gap = true;
                    return Some((ExecEvent::Gap { lost: progress.lost }, self));
                }
                self.done = true;
                return Some((ExecEvent::Exit(exit), self));
            } else if self.progress.changed().await.is_err() {
                return None;
            }
        }
        None
    }

    /// The next frame; None when all of it lies before the cursor.
    async fn frame(&mut self) -> std::io::Result<Option<ExecEvent>> {
        let mut header = [0; HEADER];
        self.file.read_exact(&mut header).await?;
        let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).await?;
        let skip = usize::try_from(self.from.saturating_sub(self.at)).unwrap_or(usize::MAX);
        self.at += length as u64;
        if skip >= length {
            return Ok(None);
        }
        let channel = if header[0] == 0 { Channel::Stdout } else { Channel::Stderr };
        let bytes = Bytes::from(bytes).slice(skip..);
        Ok(Some(ExecEvent::Out { channel, bytes, cursor: Cursor(self.at) }))
    }
}

//! A session that is kept from one sandbox for the next, so that a follow-up need not begin with nothing.
//!
//! Kept are the transcript and the long tool outputs beside it, and nothing else of the home directory, where an agent could
//! leave settings for its successor. On the host they are bytes with a limit: packed and unpacked only inside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tracing::debug;
use uuid::Uuid;

use super::binary::run_in;
use super::command::transcript;
use crate::sandbox::{Exec, Provider, Sandbox, SandboxError, SandboxRef};

/// Where the archive lies inside, in either direction.
const ARCHIVE: &str = "/out/session.tgz";
/// Unpacked it may be so large. A transcript of a long session has some MiB.
const UNPACKED: u64 = 64 << 20;
/// Packing takes a moment; a sandbox in which it takes longer is in trouble.
const PATIENCE: Duration = Duration::from_mins(1);

/// `$1` the directory, `$2` the session, `$3` the archive, `$4` what else to pack. Exit code 1 of `tar` is a file that
/// grew meanwhile.
const OUT: &str = r#"
    rm -rf "$3"
    cd "$1" && [ -f "$2.jsonl" ] && [ ! -L "$2.jsonl" ] || exit 3
    [ -n "$4" ] && [ -d "$2/$4" ] || set -- "$1" "$2" "$3"
    tar -cz -f "$3" "$2.jsonl" ${4:+"$2/$4"}
    [ $? -le 1 ]
"#;

/// `$1`, `$2` and `$3` as above, `$4` most bytes. An archive without the second member is whole as well, so what counts is
/// that the transcript is there.
const IN: &str = r#"
    umask 077
    mkdir -p "$1" && cd "$1" || exit 3
    gzip -dc <"$3" | head -c "$4" | tar -x --no-same-owner --no-same-permissions -f - "$2.jsonl" "$2/tool-results"
    rm -f "$3"
    [ -f "$2.jsonl" ] && [ ! -L "$2.jsonl" ] && [ -s "$2.jsonl" ]
"#;

/// gzip's first bytes. What begins otherwise is a transcript as it is.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Take a session out, whatever its run came to. At most `cap` bytes; without the tool outputs if it is too large with
/// them. None when there is no session, or too much of it.
///
/// Strangers had a hand in it: never unpack it outside of a sandbox, and put it only into sandboxes of the same thread.
pub async fn session_out(sandbox: &dyn Sandbox, session: Uuid, cap: u64) -> Result<Option<Bytes>, SandboxError> {
    for also in ["tool-results", ""] {
        match script(sandbox, OUT, session, also).await {
            Ok(true) => match sandbox.get(Path::new(ARCHIVE), cap).await {
                Ok(archive) => return Ok(Some(archive)),
                Err(SandboxError::TooLarge(..)) => {}
                Err(error) => return Err(error),
            },
            // In a sandbox that has ended files can still be read.
            Ok(false) | Err(SandboxError::Ended(_)) => break,
            Err(error) => return Err(error),
        }
    }
    match sandbox.get(&transcript(session), cap).await {
        Ok(lines) => Ok(Some(lines).filter(|lines| !lines.is_empty())),
        // What the agent put in its place, if it did, is no transcript.
        Err(SandboxError::NotFound(_) | SandboxError::TooLarge(..) | SandboxError::Path(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Put what [`session_out`] gave into a fresh sandbox. False when nothing came of it; then the session can only begin
/// anew.
pub async fn session_in(sandbox: &dyn Sandbox, session: Uuid, kept: Bytes) -> Result<bool, SandboxError> {
    if kept.starts_with(&GZIP) {
        sandbox.put(&[(ARCHIVE.into(), kept)]).await?;
        return script(sandbox, IN, session, &UNPACKED.to_string()).await;
    }
    sandbox.put(&[(transcript(session), kept)]).await?;
    Ok(true)
}

/// What a sandbox that was cut off has left of a session, as files to put into the next: its transcript first, then the tool
/// outputs that there is room for in `cap` bytes. Nothing when there is no transcript.
pub async fn session_left(
    provider: &dyn Provider,
    sandbox: &SandboxRef,
    session: Uuid,
    cap: u64,
) -> Result<Vec<(PathBuf, Bytes)>, SandboxError> {
    let lines = transcript(session);
    let outputs = lines.with_extension("").join("tool-results");
    let found = provider.salvage(sandbox, &[lines.clone(), outputs], cap).await?;
    let is_one = found.first().is_some_and(|(path, bytes)| *path == lines && !bytes.is_empty());
    Ok(if is_one { found } else { Vec::new() })
}

/// Whether one of the scripts ended well, in the directory of a session's transcript.
async fn script(sandbox: &dyn Sandbox, script: &str, session: Uuid, last: &str) -> Result<bool, SandboxError> {
    let file = transcript(session);
    let place = file.parent().unwrap_or(&file).to_string_lossy().into_owned();
    let argv = ["/bin/sh", "-c", script, "sh", &place, &session.to_string(), ARCHIVE, last].map(str::to_owned);
    let exec = Exec { argv: argv.to_vec(), cwd: "/".into(), max_output: 64 << 10, ..Exec::default() };
    let Ok(ran) = tokio::time::timeout(PATIENCE, run_in(sandbox, exec)).await else { return Ok(false) };
    let ran = ran?;
    if ran.exit.code != Some(0) {
        debug!("Session {session}: {:?}, {}", ran.exit, ran.stderr.trim());
    }
    Ok(ran.exit.code == Some(0))
}

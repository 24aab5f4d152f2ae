//! Stage 4: who. Claude Code's command line, its stream, its answer.
//!
//! `session::run` is the story: start the command of `command.rs` in a sandbox, read it with `stream.rs`, end it softly
//! when it has to end, and let `outcome.rs` say what came of it. `keep.rs` carries a session on to the
//! next sandbox.

pub mod binary;
pub mod command;
mod digest;
pub mod keep;
mod lines;
pub mod outcome;
pub mod session;
pub mod stated;
pub mod stream;
mod todo;

pub use binary::{ClaudeBinary, locate, preflight};
pub use command::{Invocation, Session, Tools};
pub use keep::{session_in, session_left, session_out};
pub use lines::{LineSplitter, Piece};
pub use outcome::{Answer, Outcome, ThreadAnswer, Why};
pub use session::{Finished, Grace, Turn, run};
pub use stream::{Line, ResultLine, Stream};
pub use todo::{Todo, TodoState};

/// At most so many bytes of a text, cut between characters, with a mark where it was cut.
fn clip(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

/// The first line that says something, without control characters.
fn one_line(text: &str, most: usize) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let plain: String = line.chars().filter(|c| !c.is_control()).take(most + 1).collect();
    clip(&plain, most)
}

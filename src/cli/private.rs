//! What the process keeps to itself: its memory, its command line, its last words.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

use crate::text;

/// No core dump holds our keys, and nobody with our user reads them out of `/proc` or with a debugger. Children that
/// execute another program are not bound by it. Best effort: a kernel that refuses is no reason not to start.
pub fn keep_memory() {
    let _ = prctl::set_dumpable(false);
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// What a panic says may hold what it was about.
pub fn filter_panics(say: impl Fn(&str) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic| say(&last_words(panic))));
}

fn last_words(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("?");
    // Empty unless RUST_BACKTRACE asks for it.
    let trace = Backtrace::capture();
    let trace = match trace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    text::redact_logged(&format!("A thread ({name}) panicked: {panic}{trace}"))
}

/// The variable that a secret belongs into which was given as a flag: everybody on the machine can read command lines.
pub fn secret_in_argv(command: &Command, given: &ArgMatches) -> Option<String> {
    let here = command.get_arguments().filter(|it| it.is_hide_env_values_set()).find_map(|it| {
        let flag = given.try_contains_id(it.get_id().as_str()).is_ok()
            && given.value_source(it.get_id().as_str()) == Some(ValueSource::CommandLine);
        flag.then(|| it.get_env().unwrap_or_default().to_string_lossy().into_owned())
    });
    here.or_else(|| {
        let (name, given) = given.subcommand()?;
        secret_in_argv(command.find_subcommand(name)?, given)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use std::sync::{Arc, Mutex};

    use clap::Arg;
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_secret_on_the_command_line_is_found() {
        let secret = || Arg::new("key").long("key").env("SOME_KEY").hide_env_values(true);
        let command = || {
            let serve = Command::new("serve").arg(secret()).arg(Arg::new("url").long("url").env("SOME_URL"));
            Command::new("x").subcommand(serve)
        };
        let check = |args: &[&str], found: Option<&str>| {
            let mut command = command();
            let given = command.try_get_matches_from_mut(args).unwrap();
            assert_eq!(secret_in_argv(&command, &given).as_deref(), found, "{args:?}");
        };
        check(&["x", "serve", "--url", "y"], None);
        check(&["x", "serve", "--key", "y"], Some("SOME_KEY"));
        check(&["x", "serve"], None);
    }

    #[test]
    fn the_last_words_of_a_panic_hold_no_key() {
        const KEY: &str = "the-key-that-nobody-may-see-4711";
        text::hold(&SecretString::from(KEY));
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        filter_panics(move |words| heard.lock().unwrap().push_str(words));
        let panicked = std::panic::catch_unwind(|| panic!("could not send {KEY} to ghs_{}", "a1B2".repeat(9)));
        let _ = std::panic::take_hook();
        let said = said.lock().unwrap().clone();
        assert!(panicked.is_err() && said.contains("could not send") && said.contains("private.rs"), "{said}");
        assert!(!said.contains("4711") && !said.contains("a1B2"), "{said}");
    }
}

//! The server's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    cloud_agent::cli::main()
}

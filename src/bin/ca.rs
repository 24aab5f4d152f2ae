//! The command line that talks to a server.

use std::process::ExitCode;

fn main() -> ExitCode {
    cloud_agent::cli::ca::main()
}

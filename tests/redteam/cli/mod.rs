//! What a checkout holds, what the CLI makes of it, and what the cage keeps in. The real Claude Code runs wherever it decides.
//!
//! Controls run the same payload with one guard less: the CLI without our flags (in the cage all the same), git without our
//! environment, bubblewrap without one option.

mod lab;

mod git;
mod instructions;
mod kernel;
mod leftovers;
mod network;
mod secrets;
mod settings;
mod supply;

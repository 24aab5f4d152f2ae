//! bubblewrap on this machine.

//! The simulator refuses what GitHub refuses.

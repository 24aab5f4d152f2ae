//! A GitHub and a Claude API on loopback.

//! The hostile world: one story for each class of attack that has hit programs like this one. The model does exactly
//! what the attacker wants.
//!
//! A story is `class_NN_…` and stands by what the attacker did not get. Its control is `control_NN_…`: the same payload
//! against a setting that was weakened on purpose gets it, so that the story can fail.

mod book;
mod cli;
mod lanes;
mod words;

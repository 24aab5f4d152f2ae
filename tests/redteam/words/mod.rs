//! Attacks by words: titles, comments, names and what the agent answers.

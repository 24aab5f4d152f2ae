//! Attacks by place and time: forks, edits after the trigger, writers who ask for strangers.

mod deputy;
mod edited;
mod fork;

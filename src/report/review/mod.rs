//! A review as GitHub hears of it: the check run on the head, the review with its comments, and what becomes of older ones.

mod check;
mod post;
mod words;

pub use check::{
    MERGE_GROUP, Stranded, close, complete_again, complete_stranded, end_key, end_stranded, merge_group, queued, start,
};
pub use post::{Posted, comment_ids, file_comments, in_the_table, post, post_keys, resolve};
pub use words::{check_words, title};

//! The digest of texts, so that it can be told later whether they are still the same.

use sha2::{Digest as _, Sha256};

/// SHA-256 over texts in their order, each with its length before it, so that no two lists of texts read the same.
pub fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let mut sum = Sha256::new();
    for text in texts {
        sum.update((text.len() as u64).to_be_bytes());
        sum.update(text.as_bytes());
    }
    hex::encode(sum.finalize())
}

/// The digest of a title and the text below it.
pub fn words_digest(title: &str, body: &str) -> String {
    digest([title, body])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_from_one_text_to_the_next_is_another_digest() {
        assert_eq!(digest(["a", "b"]), digest(["a", "b"]));
        assert_ne!(digest(["ab", ""]), digest(["a", "b"]));
        assert_ne!(words_digest("", "ab"), words_digest("ab", ""));
        assert_eq!(digest([]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}

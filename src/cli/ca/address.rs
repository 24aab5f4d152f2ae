//! Addresses as people type them, or set them to nothing.

use std::str::FromStr;

use url::{ParseError, Url};

/// Where GitHub is when nobody says it.
pub const GITHUB: &str = "https://github.com";

/// An address; nothing where a variable is set to nothing.
#[derive(Debug, Clone)]
pub struct MaybeUrl(pub Option<Url>);

impl FromStr for MaybeUrl {
    type Err = ParseError;

    fn from_str(given: &str) -> Result<Self, ParseError> {
        if given.is_empty() { Ok(Self(None)) } else { given.parse().map(|url| Self(Some(url))) }
    }
}

/// The address of a GitHub; the usual one where a variable is set to nothing.
pub fn github(given: &str) -> Result<Url, ParseError> {
    let address = if given.is_empty() { GITHUB } else { given };
    address.parse()
}

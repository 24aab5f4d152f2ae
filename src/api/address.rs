//! Addresses on GitHub in what callers write: of a repository, of an issue, of a pull request.

use url::Url;

/// What an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `owner/name`.
    pub repository: String,
    /// The issue or pull request.
    pub number: Option<u64>,
    /// It says that the number is a pull request's.
    pub pull: bool,
}

/// Read `owner/name`, or an address on this GitHub.
pub fn read(text: &str, github: &Url) -> Option<Address> {
    let text = text.trim();
    match text.contains("://") {
        true => on(text, github),
        false => repository(&mut text.split('/')).filter(|_| text.split('/').count() == 2),
    }
}

/// What a request is about: the first issue or pull request that it names, or else the first repository. Of one that is
/// named beside it, only that one's count.
pub fn named(words: &str, github: &Url, within: Option<&str>) -> Option<Address> {
    // Markdown's and people's own.
    let around = |it: char| it.is_whitespace() || "<>()[]{}\"'`|*".contains(it);
    let tidy = |it: &'_ str| it.trim_end_matches(['.', ',', ';', ':', '!', '?']).to_owned();
    let all = words.split(around).filter(|it| it.contains("://")).filter_map(|it| on(&tidy(it), github));
    let all: Vec<_> = all.filter(|it| within.is_none_or(|one| one.eq_ignore_ascii_case(&it.repository))).collect();
    all.iter().find(|it| it.number.is_some()).or(all.first()).cloned()
}

fn on(text: &str, github: &Url) -> Option<Address> {
    let url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https")
        || url.host_str() != github.host_str()
        || url.port_or_known_default() != github.port_or_known_default()
    {
        return None;
    }
    let mut parts = url.path_segments()?;
    let found = repository(&mut parts)?;
    let kind = parts.next();
    let number = match kind {
        Some("issues" | "pull") => parts.next().and_then(|it| it.parse().ok()).filter(|it| (1..1 << 31).contains(it)),
        _ => None,
    };
    Some(Address { number, pull: number.is_some() && kind == Some("pull"), ..found })
}

fn repository<'t>(parts: &mut impl Iterator<Item = &'t str>) -> Option<Address> {
    let fits = |it: &&str| {
        !it.is_empty()
            && it.len() <= 100
            && *it != "."
            && *it != ".."
            && it.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let owner = parts.next().filter(fits)?;
    let name = parts.next()?;
    let name = Some(name.strip_suffix(".git").unwrap_or(name)).filter(fits)?;
    Some(Address { repository: format!("{owner}/{name}"), number: None, pull: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github() -> Url {
        Url::parse("https://github.com").unwrap()
    }

    fn shown(found: Option<Address>) -> String {
        found.map_or("-".to_owned(), |it| {
            format!("{}{}", it.repository, it.number.map_or(String::new(), |it| format!("#{it}")))
        })
    }

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("octo/app", "octo/app"),
            ("octo", "-"),
            ("octo/app/issues", "-"),
            ("octo/..", "-"),
            ("https://github.com/octo/app", "octo/app"),
            ("https://github.com/octo/app.git", "octo/app"),
            ("https://github.com/octo/app/", "octo/app"),
            ("https://github.com/octo/app/issues/7#issuecomment-1", "octo/app#7"),
            ("https://github.com/octo/app/pull/7/files", "octo/app#7"),
            ("https://github.com/octo/app/issues/0", "octo/app"),
            ("https://github.com/octo", "-"),
            ("https://github.com.evil.example/octo/app", "-"),
            ("https://github.com@evil.example/octo/app", "-"),
            ("ssh://github.com/octo/app", "-"),
            ("http://github.com/octo/app", "-"),
            ("https://github.com/octo%2Fapp/x", "-"),
        ] {
            assert_eq!(shown(read(text, &github())), expected, "{text}");
        }
    }

    #[test]
    fn an_address_says_which_of_the_two_it_is() {
        for (text, pull) in [("issues/7", false), ("pull/7/files", true), ("pull/0", false), ("pulls", false)] {
            let found = read(&format!("https://github.com/octo/app/{text}"), &github());
            assert_eq!(found.map(|it| it.pull), Some(pull), "{text}");
        }
    }

    #[test]
    fn a_request_names_what_it_is_about() {
        for (words, within, expected) in [
            ("greet the world", None, "-"),
            ("fix https://github.com/octo/app/issues/3.", None, "octo/app#3"),
            ("see [it](https://github.com/octo/app/pull/4), please", None, "octo/app#4"),
            ("as in https://github.com/octo/lib do https://github.com/octo/app/issues/3", None, "octo/app#3"),
            ("as in https://github.com/octo/lib/issues/1", Some("octo/app"), "-"),
            (
                "as in https://github.com/octo/lib/issues/1, https://github.com/Octo/App/issues/2",
                Some("octo/app"),
                "Octo/App#2",
            ),
            ("work on https://github.com/octo/app", None, "octo/app"),
        ] {
            assert_eq!(shown(named(words, &github(), within)), expected, "{words}");
        }
    }
}

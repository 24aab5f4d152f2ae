//! One spelling for a host, rules by which hosts are let through, and the addresses that never are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host name and port in the only spelling that is compared, looked up and dialled: lower-case ASCII letters, digits,
/// dots and hyphens. Everything that a resolver could read in another way than we do is not a `Place`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    host: String,
    port: u16,
}

/// What may be reached: `host`, `host:port` or `*.host`, which means every name under it but not itself. The port is
/// 443 unless it is given. What is spoken must be TLS that asks for the same host, unless `/tcp` follows the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    under: bool,
    place: Place,
    any_protocol: bool,
}

/// Why a text is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    #[error("`{0}` is no host name; write it like registry.npmjs.org, in ASCII letters, digits, dots and hyphens")]
    Name(String),
    #[error("`{0}` is an address; hosts are allowed by name only")]
    Address(String),
    #[error("`{0}` has no valid port")]
    Port(String),
}

impl Place {
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority form of a CONNECT target: `host:port`, the port not optional (RFC 9110 §9.3.6).
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| BadHost::Port(shown(text)))?;
        Ok(Self { host: canonical(host)?, port: self::port(port).ok_or_else(|| BadHost::Port(shown(text)))? })
    }
}

fn port(text: &str) -> Option<u16> {
    // `u16::from_str` takes a plus sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

fn canonical(host: &str) -> Result<String, BadHost> {
    let lower = host.to_ascii_lowercase();
    let bad = || BadHost::Name(shown(host));
    if lower.starts_with('[') {
        return Err(BadHost::Address(shown(host)));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A trailing dot leaves an empty last label and is refused with the rest. A name without any dot is a machine of
    // the local network.
    if lower.len() > 253 || !lower.contains('.') || !lower.split('.').all(label) {
        return Err(if lower.bytes().all(|byte| byte.is_ascii_digit()) {
            BadHost::Address(shown(host))
        } else {
            bad()
        });
    }
    // `127.1`, `0x7f.1`, `010.0.0.1`: what ends in a number is an address to some resolver (WHATWG URL, "ends in a number").
    let last = lower.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadHost::Address(shown(host)));
    }
    Ok(lower)
}

/// A text from a sandbox that can be put in a log line or a comment.
pub(super) fn shown(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".:-_[]".contains(c) { c.to_ascii_lowercase() } else { '?' };
    text.chars().take(100).map(plain).collect()
}

impl Rule {
    pub fn lets(&self, place: &Place) -> bool {
        let same = if self.under {
            place.host.strip_suffix(&self.place.host).is_some_and(|rest| rest.ends_with('.'))
        } else {
            place.host == self.place.host
        };
        same && place.port == self.place.port
    }

    /// Whether it lets through what is no TLS, or names no host.
    pub fn lets_any_protocol(&self) -> bool {
        self.any_protocol
    }
}

impl FromStr for Rule {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let text = text.trim();
        let (under, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let (rest, any_protocol) = match rest.strip_suffix("/tcp") {
            Some(rest) if rest.contains(':') => (rest, true),
            _ => (rest, false),
        };
        let place = if rest.contains(':') { Place::parse(rest)? } else { Place { host: canonical(rest)?, port: 443 } };
        Ok(Self { under, place, any_protocol })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (under, any) = (if self.under { "*." } else { "" }, if self.any_protocol { "/tcp" } else { "" });
        write!(f, "{under}{}{any}", self.place)
    }
}

/// Whether an address belongs to the public internet. `from` is our own address on the connection, once there is one:
/// a connection that ends where it begins leads to this machine, whatever its address says.
pub fn is_public(address: IpAddr, from: Option<IpAddr>) -> bool {
    from != Some(address)
        && match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        }
}

/// Everything that <https://www.iana.org/assignments/iana-ipv4-special-registry> does not call globally reachable, and
/// the metadata service of Azure, which has a public address.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let special = a == 192 && b == 0 && c == 0 || a == 198 && (b == 18 || b == 19) || a == 192 && b == 88 && c == 99;
    let metadata = address == Ipv4Addr::new(168, 63, 129, 16);
    !(a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || shared
        || special
        || metadata)
}

/// Global unicast (`2000::/3`) without the parts of it that carry an IPv4 address or stand in examples. Mapped
/// addresses, NAT64, unique local, link-local, loopback and multicast are outside of it.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let special = a == 0x2001 && (b < 0x200 || b == 0xdb8) || a == 0x2002 || a == 0x3fff && b < 0x1000;
    // ISATAP: the last half says which IPv4 address is meant.
    let [.., e, g, _, _] = address.segments();
    let isatap = e & !0x0200 == 0 && g == 0x5efe;
    a & 0xe000 == 0x2000 && !special && !isatap
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        assert_eq!(Place::parse("Registry.NPMJS.org:443").unwrap().to_string(), "registry.npmjs.org:443");
        for odd in [
            "example.com",
            "example.com:",
            "example.com:0",
            "example.com:+443",
            "example.com:65536",
            "example.com.:443",
            ".example.com:443",
            "example..com:443",
            "user@example.com:443",
            "example.com\0.evil.org:443",
            "exämple.com:443",
            "ex ample.com:443",
            "example.com/x:443",
            "localhost:443",
            "127.0.0.1:443",
            "127.1:443",
            "2130706433:443",
            "0x7f.0.0.1:443",
            "0x7f000001:443",
            "1.0x7f:443",
            "010.0.0.1:443",
            "[::1]:443",
            "::1:443",
            "-a.com:443",
            "example.com%00:443",
            "example.com\\:443",
            "*.com:443",
            ":443",
            "",
            "ｅxample.com:443",
        ] {
            assert!(Place::parse(odd).is_err(), "{odd:?}");
        }
        assert!(Place::parse(&format!("{}.com:443", "a".repeat(64))).is_err());
        assert!(Place::parse(&format!("{}com:443", "a.".repeat(130))).is_err());
    }

    #[test]
    fn rules_match_host_and_port() {
        let check = |rule: &str, place: &str, yes| {
            assert_eq!(rule.parse::<Rule>().unwrap().lets(&Place::parse(place).unwrap()), yes, "{rule} {place}");
        };
        check("example.com", "example.com:443", true);
        check("EXAMPLE.com", "example.com:443", true);
        check("example.com", "example.com:80", false);
        check("example.com:80", "example.com:80", true);
        check("example.com", "a.example.com:443", false);
        check("*.example.com", "a.b.example.com:443", true);
        check("*.example.com", "example.com:443", false);
        check("*.example.com", "badexample.com:443", false);
        for wrong in [
            "",
            "*",
            "*.",
            "*.com",
            "https://example.com",
            "10.0.0.1",
            "example.com:https",
            "a.*.com",
            "example.com/tcp",
            "example.com:22/udp",
            "/tcp",
        ] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
        }
        for (rule, any) in [("git.example.com:22/tcp", true), ("*.example.com:443", false)] {
            let parsed = rule.parse::<Rule>().unwrap();
            assert_eq!((parsed.lets_any_protocol(), parsed.to_string().as_str()), (any, rule));
        }
    }

    #[test]
    fn only_public_addresses_are_dialled() {
        for public in ["1.1.1.1", "140.82.121.4", "100.63.0.1", "172.32.0.1", "2606:4700::1111"] {
            assert!(is_public(public.parse().unwrap(), None), "{public}");
            assert!(!is_public(public.parse().unwrap(), Some(public.parse().unwrap())), "{public} is this machine");
        }
        for own in [
            "0.0.0.0",
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "239.255.255.250",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100::1",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "::ffff:0:169.254.169.254",
            "::ffff:169.254.169.254",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:10.0.0.1",
            "ff05::2",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(own.parse().unwrap(), None), "{own}");
        }
    }
}

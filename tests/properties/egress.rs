//! Hosts: one spelling, no addresses in disguise, and nothing that the list does not name. The `url` crate, which reads
//! hosts as browsers do, is the second opinion.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cloud_agent::gateway::host::{Place, Rule, is_public};
use url::{Host, Url};

use super::text;

const LIST: [&str; 3] = ["registry.example.com", "*.example.org", "git.example.net:22/tcp"];

/// The text is a target; what stands before its first space is a rule as well; the first 16 bytes are an address.
pub fn holds(data: &[u8]) {
    let text = text(data);
    let place = Place::parse(&text).ok();
    if let Some(place) = &place {
        one_spelling(place);
        let lets = LIST.iter().any(|rule| rule.parse::<Rule>().expect("a rule").lets(place));
        assert_eq!(lets, is_listed(place), "{place}");
    }
    let written = text.split(' ').next().unwrap_or_default();
    if let Ok(rule) = written.parse::<Rule>() {
        let shown = rule.to_string();
        assert_eq!(shown.parse(), Ok(rule.clone()), "{written:?}");
        let bare = shown.trim_end_matches("/tcp");
        match bare.strip_prefix("*.") {
            Some(under) => {
                let at = |host: &str| Place::parse(host).expect("a place");
                assert!(!rule.lets(&at(under)), "{rule} means what is under it");
                assert!(!rule.lets(&at(&format!("x{under}"))), "{rule} ends at a dot");
            }
            None => assert!(rule.lets(&Place::parse(bare).expect("a place")), "{rule}"),
        }
        if let Some(place) = place.filter(|place| rule.lets(place)) {
            let (host, port) = bare.trim_start_matches("*.").rsplit_once(':').expect("a port");
            assert!(place.host().ends_with(host) && place.port().to_string() == port, "{rule} lets {place}");
        }
    }
    if let Some(octets) = data.first_chunk::<16>() {
        address(IpAddr::from(*octets));
        address(IpAddr::from([octets[0], octets[1], octets[2], octets[3]]));
    }
}

/// What we take for a host is the same host to everybody.
fn one_spelling(place: &Place) {
    assert_eq!(Place::parse(&place.to_string()).as_ref(), Ok(place));
    let host = place.host();
    assert!(host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-'), "{host}");
    assert!(host.parse::<IpAddr>().is_err(), "{host} is an address");
    // A name in Punycode that stands for nothing is none to a browser; a resolver finds nothing either.
    if let Ok(url) = Url::parse(&format!("https://{host}:{}/", place.port())) {
        assert_eq!(url.host(), Some(Host::Domain(host)), "{host} is read in another way");
        assert_eq!(url.port_or_known_default(), Some(place.port()));
        assert!(url.username().is_empty() && url.path() == "/" && url.query().is_none());
    }
}

/// What `LIST` says, said again.
fn is_listed(place: &Place) -> bool {
    match place.port() {
        443 => place.host() == "registry.example.com" || place.host().ends_with(".example.org"),
        22 => place.host() == "git.example.net",
        _ => false,
    }
}

/// No address that leads to this machine or its network is public, however it is wrapped.
fn address(address: IpAddr) {
    if !is_public(address, None) {
        return;
    }
    assert!(!is_public(address, Some(address)), "{address} is this machine");
    let v4 = |ip: Ipv4Addr| {
        let own = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified();
        assert!(!own && !ip.is_multicast() && !ip.is_broadcast(), "{address}");
    };
    match address {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => {
            let own = ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local();
            assert!(!own && !ip.is_multicast() && ip.to_ipv4().is_none(), "{address}");
            let [a, b, c, ..] = ip.segments();
            assert!(
                a != 0x2002 && (a, b) != (0x64, 0xff9b),
                "{address} wraps {:?}",
                Ipv4Addr::from(u32::from(b) << 16 | u32::from(c))
            );
            assert!(!is_public(IpAddr::V6(Ipv6Addr::LOCALHOST), None));
        }
    }
}

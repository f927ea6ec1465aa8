//! Addresses outside of the public internet that a job may fetch from.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, net::IpAddr, str::FromStr};

/// None of these addresses, all of them, or some networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected true, false or a list of networks such as \"10.1.0.0/16\"")]
pub enum Private {
    /// All of them or none.
    All(bool),
    /// Those of the networks.
    Networks(Vec<Network>),
}

impl Default for Private {
    fn default() -> Self {
        Self::All(false)
    }
}

impl Private {
    /// Whether an address that is not public is allowed.
    pub fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Networks(networks) => networks.iter().any(|network| network.has(address)),
        }
    }
}

/// A network: an address, and the number of its leading bits that all addresses share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        let shared = |a: u128, b: u128, width: u32| (a ^ b).checked_shr(width - self.bits).unwrap_or(0) == 0;
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => shared(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => shared(a.into(), b.into(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a network such as 10.1.0.0/16");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::parse;

    const MINIMAL: &str = "[job]\nurl='/j'\n[input]\nurl='/i'\n[models]\ncaptioner='/c'\nfilter='/f'\n";

    #[test]
    fn a_network_has_the_addresses_that_share_its_bits() {
        let has =
            |network: &str, address: &str| network.parse::<Network>().unwrap().has(address.parse().unwrap());
        assert!(has("10.1.0.0/16", "10.1.255.9") && !has("10.1.0.0/16", "10.2.0.1"));
        assert!(has("127.0.0.1", "127.0.0.1") && !has("127.0.0.1", "127.0.0.2"));
        assert!(has("fd00::/8", "fd12::1") && !has("fd00::/8", "fe80::1"));
        assert!(has("0.0.0.0/0", "9.9.9.9") && has("::/0", "::1") && !has("::/0", "9.9.9.9"));
        for wrong in ["10.0.0.0/33", "10.0.0/8", "a", "", "::/129", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn private_addresses_are_allowed_by_a_switch_or_by_network() {
        let parse = |value: &str| parse(MINIMAL, &[format!("links.allow_private={value}")]);
        let allows = |value: &str| parse(value).unwrap().links.allow_private.allows([10, 1, 2, 3].into());
        assert!(allows("true") && allows("[\"10.1.0.0/16\", \"::1\"]"));
        assert!(!allows("false") && !allows("[]") && !allows("[\"10.2.0.0/16\"]"));
        let error = parse("[\"ten\"]").unwrap_err().to_string();
        assert!(error.contains("list of networks such as"), "{error}");
    }
}

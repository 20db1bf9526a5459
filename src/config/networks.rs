//! Ranges of addresses.

use std::net::IpAddr;
use std::str::FromStr;

/// Some addresses, and perhaps Unix sockets, whose clients have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    ranges: Vec<Range>,
    has_unix: bool,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u128,
    mask: u128,
}

/// Ranges at most: each connection is held against all of them.
pub const NETWORKS_MAX: usize = 256;

impl Networks {
    /// Whether it has an address. One of IPv4 is the same in an IPv6 socket.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = bits(address);
        self.ranges.iter().any(|range| address & range.mask == range.first)
    }

    /// Whether it has the clients of Unix sockets.
    #[must_use]
    pub fn contains_unix(&self) -> bool {
        self.has_unix
    }

    /// Whether it has nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && !self.has_unix
    }
}

/// An address as one of IPv6 (RFC 4291, 2.5.5.2).
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let why = || {
            format!(
                "`{text}` is no address: one looks like 10.0.0.0/8, 192.0.2.7, fd00::/8 or unix"
            )
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| why())?;
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(width), str::parse).map_err(|_| why())?;
        if length > width {
            return Err(format!("`{text}` has {length} bits in front, and an address has {width}"));
        }
        // Those of IPv4 stand behind 96 bits that are the same for all.
        let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
        let first = bits(address);
        if first & mask != first {
            return Err(format!("`{text}` has bits behind its first {length}: leave them 0"));
        }
        Ok(Self { first, mask })
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut networks = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word {
                "unix" => networks.has_unix = true,
                range => networks.ranges.push(range.parse()?),
            }
        }
        match networks.ranges.len() {
            0..=NETWORKS_MAX => Ok(networks),
            number => Err(format!("there are {number} ranges, and {NETWORKS_MAX} may be")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(list: &str, address: &str) -> bool {
        let list: Networks = list.parse().expect(list);
        list.contains(address.parse().expect(address))
    }

    #[test]
    fn ranges_have_what_begins_like_them() {
        let list = "10.0.0.0/8, 192.0.2.7 fd00::/8,2001:db8::1,unix";
        for good in ["10.255.0.1", "::ffff:10.0.0.1", "192.0.2.7", "fd12::1", "2001:db8::1"] {
            assert!(has(list, good), "{good}");
        }
        for bad in ["11.0.0.1", "192.0.2.8", "fe80::1", "2001:db8::2", "::a00:1"] {
            assert!(!has(list, bad), "{bad}");
        }
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1"));
        assert!(has("::/0", "1.2.3.4") && has("::/0", "::1"));
        assert!(list.parse::<Networks>().is_ok_and(|list| list.contains_unix()));
        assert!("".parse::<Networks>().is_ok_and(|list| list.is_empty()));
    }

    #[test]
    fn what_is_no_range_is_told() {
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "a", "::/129", "10.0.0.0/", "1.2.3", "::1/-1"] {
            let why = bad.parse::<Networks>().expect_err(bad);
            assert!(why.contains(bad), "{why}");
        }
        for (long, width) in [("10.0.0.0/40", "32"), ("fd00::/129", "128")] {
            let why = long.parse::<Networks>().expect_err(long);
            assert!(why.ends_with(&format!("an address has {width}")), "{why}");
        }
        let many = vec!["::1"; NETWORKS_MAX + 1].join(",");
        assert!(many.parse::<Networks>().is_err());
    }
}

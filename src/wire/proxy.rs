//! Headers of the PROXY protocol, versions 1 and 2, by which a proxy says for whom it has
//! connected (haproxy.org, `proxy-protocol.txt`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// The first bytes of version 1.
pub const V1_START: &[u8] = b"PROXY ";

/// The first bytes of version 2, which are no request of HTTP.
pub const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of a header of version 1, with its line end.
const V1_BYTES_MAX: usize = 107;

/// Bytes of version 2 before addresses: its start, version and command, family, and a length.
const V2_FIXED_BYTES: usize = 16;

/// Bytes of a type and a length, which stand before each further value of version 2.
const TYPE_AND_LENGTH: usize = 3;

/// The type of a checksum (CRC-32C) of the whole header.
const TYPE_CRC32C: u8 = 0x03;

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header; more bytes are needed.
    Incomplete,
    /// No header can come of these bytes, for this reason.
    Bad(&'static str),
    /// A header.
    Header {
        /// The address of the client. Nothing where the proxy speaks for itself, or does not know
        /// an address: then the other end of the connection is the client.
        source: Option<IpAddr>,
        /// Bytes of the header.
        bytes: usize,
    },
}

/// Takes from `input` what belongs to the header of which `before` has come, and adds to that as
/// long as it is not whole; never more than [`PROXY_HEADER_BYTES_MAX`].
pub fn receive(before: &mut Vec<u8>, input: &mut &mut [u8]) -> Parsed {
    let length = before.len();
    let room = PROXY_HEADER_BYTES_MAX.saturating_sub(length);
    before.extend_from_slice(&input[..input.len().min(room)]);
    let parsed = parse(before);
    let taken = match parsed {
        // A header that is not whole is shorter than the bound, so all has been taken.
        Parsed::Incomplete => input.len(),
        Parsed::Bad(_) => 0,
        Parsed::Header { bytes, .. } => bytes.saturating_sub(length),
    };
    *input = &mut std::mem::take(input)[taken..];
    parsed
}

/// Parses the header that these bytes begin with.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let parsed = if begins_alike(bytes, V2_START) {
        version_2(bytes)
    } else if begins_alike(bytes, V1_START) {
        version_1(bytes)
    } else {
        Err("what comes first is no PROXY header")
    };
    match parsed {
        Ok(Some((source, bytes))) => Parsed::Header { source: source.and_then(known), bytes },
        Ok(None) => Parsed::Incomplete,
        Err(why) => Parsed::Bad(why),
    }
}

/// A header's client and its length; nothing while it is not whole; or why it is none.
type Outcome = Result<Option<(Option<IpAddr>, usize)>, &'static str>;

/// Whether bytes are, or may become, some that begin so.
fn begins_alike(bytes: &[u8], start: &[u8]) -> bool {
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

/// An address that says something, in the one form that is compared.
fn known(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// `PROXY TCP4 192.0.2.7 198.51.100.1 56324 443` and a line end.
fn version_1(bytes: &[u8]) -> Outcome {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        let is_too_long = bytes.len() >= V1_BYTES_MAX;
        return if is_too_long { Err("its line is too long") } else { Ok(None) };
    };
    if end >= V1_BYTES_MAX {
        return Err("its line is too long");
    }
    let line = bytes[..end].strip_suffix(b"\r").ok_or("its line does not end as it should")?;
    let line = std::str::from_utf8(line).map_err(|_| "its line is not ASCII")?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(Some((None, end + 1)));
    }
    let mut word = || words.next().unwrap_or_default();
    let (source, destination) = (word(), word());
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let addresses = address(source).zip(address(destination));
    let has_ports = is_port(word()) && is_port(word());
    match addresses {
        Some((source, _)) if has_ports && words.next().is_none() => {
            Ok(Some((Some(source), end + 1)))
        }
        _ => Err("its line has no addresses as version 1 has them"),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// The command of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    /// The proxy speaks for itself, as when it looks whether a server lives.
    Local,
    /// It has connected for somebody else.
    Proxy,
}

impl Command {
    fn of(byte: u8) -> Result<Self, &'static str> {
        match byte {
            0x20 => Ok(Self::Local),
            0x21 => Ok(Self::Proxy),
            0x22..=0x2f => Err("its command is not known"),
            _ => Err("its version is neither 1 nor 2"),
        }
    }
}

fn version_2(bytes: &[u8]) -> Outcome {
    let Some(command) = bytes.get(V2_START.len()) else { return Ok(None) };
    let command = Command::of(*command)?;
    let Some(fixed) = bytes.get(..V2_FIXED_BYTES) else { return Ok(None) };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > PROXY_HEADER_BYTES_MAX {
        return Err("it is longer than 4 KiB");
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    // What stands in a header of the proxy's own is skipped, its family too.
    let source = match command {
        Command::Local => None,
        Command::Proxy => source_in(header, fixed[13])?,
    };
    Ok(Some((source, length)))
}

/// The source of a whole header of version 2.
fn source_in(header: &[u8], family: u8) -> Result<Option<IpAddr>, &'static str> {
    const CUT: &str = "its addresses are cut";
    if family & 0x0f > 2 {
        return Err("its transport is not known");
    }
    let block = &header[V2_FIXED_BYTES..];
    let (source, addresses) = match family >> 4 {
        // What stands where, nobody knows.
        0 => return Ok(None),
        1 => {
            let (source, _) = block.split_first_chunk::<4>().ok_or(CUT)?;
            (Some(IpAddr::from(*source)), 12)
        }
        2 => {
            let (source, _) = block.split_first_chunk::<16>().ok_or(CUT)?;
            (Some(IpAddr::from(*source)), 36)
        }
        // Unix sockets: two paths.
        3 => (None, 216),
        _ => return Err("its family of addresses is not known"),
    };
    if block.len() < addresses {
        return Err(CUT);
    }
    check_values(header, V2_FIXED_BYTES + addresses)?;
    Ok(source)
}

/// Walks over the values behind the addresses: all are skipped, a checksum is verified.
fn check_values(header: &[u8], mut at: usize) -> Result<(), &'static str> {
    let mut has_sum = false;
    while at < header.len() {
        let value = at + TYPE_AND_LENGTH;
        let Some(&[of_type, high, low]) = header.get(at..value) else {
            return Err("the values behind its addresses are cut");
        };
        at = value + usize::from(u16::from_be_bytes([high, low]));
        let Some(bytes) = header.get(value..at) else {
            return Err("the values behind its addresses are cut");
        };
        if of_type == TYPE_CRC32C {
            let said = bytes.try_into().ok().map(u32::from_be_bytes);
            if has_sum || said != Some(sum_without(header, value)) {
                return Err("its checksum is wrong");
            }
            has_sum = true;
        }
    }
    Ok(())
}

/// The checksum of a header in which that itself, at this place, counts as zeros.
fn sum_without(header: &[u8], sum: usize) -> u32 {
    let bytes = header.iter().enumerate();
    !bytes.fold(u32::MAX, |crc, (at, byte)| {
        let byte = if (sum..sum + 4).contains(&at) { 0 } else { *byte };
        CRC32C[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

/// What each byte adds to a sum of Castagnoli's polynomial (RFC 3385), reflected.
static CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < table.len() {
        let (mut crc, mut bit) = (at as u32, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests;

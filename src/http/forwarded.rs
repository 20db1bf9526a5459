//! For whom a proxy asks: `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! Each proxy adds at the end from whom it has the request, so what stands before the last address
//! that no trusted proxy has added may be anybody's word. Where both fields are there,
//! `X-Forwarded-For` counts: it is what nearly all proxies write, and those pass a `Forwarded` on
//! that a client has written.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::head::Head;

/// The client of a request that a trusted proxy has sent: the last address that no trusted proxy
/// has added. Where what stands next is no address, it is the one behind; nothing, where there is
/// none.
#[must_use]
pub fn client(head: &Head<'_>, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let nodes = if head.has("X-Forwarded-For") { plain(head) } else { named(head) };
    let mut client = None;
    for node in nodes.into_iter().rev() {
        let Some(address) = node.as_deref().and_then(address) else { break };
        client = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// What stands where an address should, if it is text.
type Node<'a> = Option<Cow<'a, str>>;

/// The elements of `X-Forwarded-For`, in order. They are split before anything is made of them, so
/// that what a client writes cannot hide what a proxy has put behind it.
fn plain<'a>(head: &Head<'a>) -> Vec<Node<'a>> {
    let lines = head.values("X-Forwarded-For");
    let elements = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let texts = elements.filter(|element| !element.is_empty());
    texts.map(|element| std::str::from_utf8(element).ok().map(Cow::Borrowed)).collect()
}

/// The `for` of each element of `Forwarded`, in order.
fn named<'a>(head: &Head<'a>) -> Vec<Node<'a>> {
    let elements = head.values("Forwarded").flat_map(|line| split(line, b','));
    elements.filter(|element| !element.is_empty()).map(node_for).collect()
}

/// Splits outside of quoted strings; everywhere where a quote is not closed.
fn split(text: &[u8], at: u8) -> Vec<&[u8]> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let parts: Vec<&[u8]> = text
        .split(|byte| {
            let is_literal = std::mem::take(&mut is_escaped);
            match byte {
                b'"' if !is_literal => is_quoted = !is_quoted,
                b'\\' if is_quoted && !is_literal => is_escaped = true,
                _ => {}
            }
            *byte == at && !is_quoted
        })
        .map(<[u8]>::trim_ascii)
        .collect();
    if is_quoted { text.split(|byte| *byte == at).map(<[u8]>::trim_ascii).collect() } else { parts }
}

/// The value of the only `for` among the pairs of an element.
fn node_for(element: &[u8]) -> Node<'_> {
    let mut found = None;
    for pair in split(element, b';') {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
        if !pair[..equals].eq_ignore_ascii_case(b"for") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some(unquoted(std::str::from_utf8(&pair[equals + 1..]).ok()?)?);
    }
    found
}

/// A token as it is, or what a quoted string says (RFC 9110, 5.6.4).
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(inside) = value.strip_prefix('"') else {
        return (!value.contains('"')).then_some(Cow::Borrowed(value));
    };
    let inside = inside.strip_suffix('"')?;
    if !inside.contains('\\') {
        return (!inside.contains('"')).then_some(Cow::Borrowed(inside));
    }
    let mut text = String::new();
    let mut chars = inside.chars();
    while let Some(char) = chars.next() {
        text.push(if char == '\\' { chars.next()? } else { char });
    }
    Some(Cow::Owned(text))
}

/// An address, perhaps with a port: those of IPv6 stand in brackets, or alone. Names that hide an
/// address, `unknown` and `_hidden`, are none.
fn address(node: &str) -> Option<IpAddr> {
    let address = match node.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            is_port(port).then(|| inside.parse::<Ipv6Addr>().ok())??.into()
        }
        None => match node.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => {
                let (host, _) = node.split_once(':')?;
                is_port(&node[host.len()..]).then(|| host.parse::<Ipv4Addr>().ok())??.into()
            }
        },
    };
    let address = address.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// Nothing, or a colon and a port or the name of one (RFC 7239, 6).
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let is_number = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    !port.is_empty() && (is_number || port.strip_prefix('_').is_some_and(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom these fields name, where proxies of 10.0.0.0/8 and fd00::/8 are trusted.
    fn client_of(fields: &[&[u8]]) -> Option<String> {
        let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
        fields.iter().for_each(|field| bytes.extend([field, &b"\r\n"[..]].concat()));
        bytes.extend(b"\r\n");
        let head = Head::parse(&bytes).expect("the head parses");
        let trusted: crate::config::Networks = "10.0.0.0/8,fd00::/8".parse().expect("it is one");
        client(&head, |address| trusted.contains(address)).map(|address| address.to_string())
    }

    fn expect(fields: &[&str], address: &str) {
        let bytes: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
        let found = client_of(&bytes);
        assert_eq!(found.as_deref().unwrap_or("none"), address, "{fields:?}");
    }

    #[test]
    fn x_forwarded_for_is_read_from_its_end() {
        for (value, address) in [
            ("192.0.2.7", "192.0.2.7"),
            ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
            ("192.0.2.7, 10.0.0.1,10.0.0.2", "192.0.2.7"),
            ("203.0.113.9, 192.0.2.7:4711 ,10.0.0.1", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:80, fd00::1", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("192.0.2.7, unknown, 10.0.0.2", "10.0.0.2"),
            ("evil\", 192.0.2.7", "192.0.2.7"),
            (", 192.0.2.7, ,", "192.0.2.7"),
            ("192.0.2.7, 10.0.0.256", "none"),
            ("192.0.2.7:port", "none"),
            ("192.0.2.7:123456", "none"),
            ("0.0.0.0", "none"),
            ("::", "none"),
            ("fe80::1%eth0", "none"),
            ("", "none"),
        ] {
            expect(&[&format!("X-Forwarded-For: {value}")], address);
        }
        expect(&["X-Forwarded-For: 192.0.2.7", "x-forwarded-for: 10.0.0.1"], "192.0.2.7");
        expect(&["X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8"], "192.0.2.8");
        expect(&["Host: a"], "none");
    }

    #[test]
    fn what_a_client_writes_hides_nothing_that_is_put_behind_it() {
        let found = client_of(&[b"X-Forwarded-For: \xff\xfe, 192.0.2.7"]);
        assert_eq!(found.as_deref(), Some("192.0.2.7"));
        for client in ["for=\"", "for=\"203.0.113.9", "for=203.0.113.9;host=\"a", ";;=,\"\\"] {
            expect(&[&format!("Forwarded: {client}, for=192.0.2.7")], "192.0.2.7");
            expect(&[&format!("Forwarded: {client}"), "Forwarded: for=192.0.2.7"], "192.0.2.7");
        }
        // Nor does what a proxy quotes of it look like an element.
        let quoted = "Forwarded: for=192.0.2.7;host=\"a, for=203.0.113.9, b\\\", for=203.0.113.8\"";
        expect(&[quoted], "192.0.2.7");
    }

    #[test]
    fn forwarded_as_rfc_7239_has_it() {
        for (value, address) in [
            ("for=192.0.2.43", "192.0.2.43"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("proto=http ; FOR=\"192.0.2.60:_port-1\"; host=\"a;for=1.2.3.4\"", "192.0.2.60"),
            ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
            ("for=192.0.2.43, for=\"[fd00::1]\"", "192.0.2.43"),
            ("for=\"192\\.0.2.43\", for=10.0.0.1", "192.0.2.43"),
            ("for=192.0.2.43, for=_hidden, for=10.0.0.1", "10.0.0.1"),
            ("for=192.0.2.43, by=10.0.0.2, for=10.0.0.1", "10.0.0.1"),
            ("for=_SEVKISEK", "none"),
            ("for=unknown", "none"),
            ("for=\"_gazonk\"", "none"),
            ("for=192.0.2.43;for=192.0.2.44", "none"),
            ("for=\"192.0.2.43", "none"),
            ("for=192.0.2.43\"", "none"),
            ("for=\"[192.0.2.43]\"", "none"),
            ("for=\"[2001:db8::1\"", "none"),
            ("for=\"192.0.2.43:\"", "none"),
            ("for", "none"),
        ] {
            expect(&[&format!("Forwarded: {value}")], address);
        }
    }

    #[test]
    fn of_both_fields_the_one_that_proxies_write_counts() {
        expect(&["Forwarded: for=203.0.113.9", "X-Forwarded-For: 192.0.2.7"], "192.0.2.7");
        expect(&["X-Forwarded-For: nobody", "Forwarded: for=203.0.113.9"], "none");
    }
}

//! Headers good, bad and cut.

use super::*;

fn header(source: &str, bytes: usize) -> Parsed {
    Parsed::Header { source: source.parse().ok(), bytes }
}

/// A header of version 2 with this command, family and what stands behind.
fn version_2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("it fits").to_be_bytes();
    [&V2_START[..], &[command, family], &length, block].concat()
}

/// From 192.0.2.7 to 198.51.100.1.
const INET: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];

fn inet6() -> Vec<u8> {
    let source = "2001:db8::7".parse::<Ipv6Addr>().expect("it is one").octets();
    [&source[..], &Ipv6Addr::LOCALHOST.octets(), &[1, 2, 3, 4]].concat()
}

fn value(of_type: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("it fits").to_be_bytes();
    [&[of_type], &length[..], bytes].concat()
}

/// With a checksum between other values.
fn with_sum() -> Vec<u8> {
    let values = [value(0x02, b"a.example"), value(0x03, &[0; 4]), value(0x04, b"...")].concat();
    let mut bytes = version_2(0x21, 0x11, &[INET, &values].concat());
    let at = V2_FIXED_BYTES + INET.len() + TYPE_AND_LENGTH + 9 + TYPE_AND_LENGTH;
    let sum = sum_without(&bytes, at).to_be_bytes();
    bytes[at..at + 4].copy_from_slice(&sum);
    bytes
}

fn good() -> Vec<(Vec<u8>, &'static str)> {
    let v1 = |line: &str| format!("{line}\r\n").into_bytes();
    let long = format!("PROXY UNKNOWN {}", "f".repeat(91));
    vec![
        (v1("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443"), "192.0.2.7"),
        (v1("PROXY TCP6 2001:db8::7 ::1 0 65535"), "2001:db8::7"),
        (v1("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2"), "192.0.2.7"),
        (v1("PROXY TCP4 0.0.0.0 198.51.100.1 1 2"), "none"),
        (v1("PROXY UNKNOWN"), "none"),
        (v1("PROXY UNKNOWN 1 2 3 whatever"), "none"),
        (v1(&long), "none"),
        (version_2(0x21, 0x11, INET), "192.0.2.7"),
        (version_2(0x21, 0x12, INET), "192.0.2.7"),
        (version_2(0x21, 0x21, &inet6()), "2001:db8::7"),
        (version_2(0x21, 0x31, &[b'/'; 216]), "none"),
        (version_2(0x21, 0x00, b"any bytes"), "none"),
        (version_2(0x20, 0x00, b""), "none"),
        (version_2(0x20, 0xff, b"skipped"), "none"),
        (version_2(0x20, 0x11, INET), "none"),
        (version_2(0x21, 0x11, &[INET, &value(0x04, b""), &value(0xea, &[7; 999])].concat()), {
            "192.0.2.7"
        }),
        (version_2(0x21, 0x00, &[7; PROXY_HEADER_BYTES_MAX - V2_FIXED_BYTES]), "none"),
        (with_sum(), "192.0.2.7"),
    ]
}

#[test]
fn good_headers_whole_and_cut_at_every_byte_with_a_request_behind_them() {
    for (bytes, source) in good() {
        let expected = header(source, bytes.len());
        assert_eq!(parse(&bytes), expected, "{}", bytes.escape_ascii());
        let all = [&bytes[..], b"GET /"].concat();
        assert_eq!(parse(&all), expected);
        for cut in 0..all.len() {
            let (mut before, mut all) = (Vec::new(), all.clone());
            let (mut first, mut second) = all.split_at_mut(cut);
            let mut parsed = receive(&mut before, &mut first);
            if cut < bytes.len() {
                assert_eq!((parsed, first.len()), (Parsed::Incomplete, 0), "{cut}");
                parsed = receive(&mut before, &mut second);
            }
            assert_eq!(parsed, expected, "{cut}");
            assert_eq!([first, second].concat(), b"GET /", "{cut}");
        }
    }
}

#[test]
fn a_header_that_comes_byte_by_byte() {
    for (bytes, source) in good() {
        let (mut before, mut parsed) = (Vec::new(), Parsed::Incomplete);
        for byte in &bytes {
            assert_eq!(parsed, Parsed::Incomplete);
            parsed = receive(&mut before, &mut &mut [*byte][..]);
        }
        assert_eq!(parsed, header(source, bytes.len()));
        assert_eq!(before, bytes);
    }
}

#[test]
fn bad_lines_of_version_1() {
    let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
    for bad in [
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.7  198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 65536\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n",
        "PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n",
        "PROXY tcp4 192.0.2.7 192.0.2.8 1 2\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.7 192.0.2.8 1 2\r\n",
        "PROXYTCP4",
        "GET / HTTP/1.1\r\n",
        "proxy ",
        "\r\n\r\nGET",
        &too_long,
        &too_long[..V1_BYTES_MAX],
    ] {
        assert!(matches!(parse(bad.as_bytes()), Parsed::Bad(_)), "{bad:?}");
    }
    assert!(matches!(parse(b"PROXY TCP4 \xff\r\n"), Parsed::Bad(_)));
    assert_eq!(parse(&too_long.as_bytes()[..V1_BYTES_MAX - 1]), Parsed::Incomplete);
}

#[test]
fn bad_headers_of_version_2() {
    let mut wrong_sum = with_sum();
    wrong_sum[20] ^= 1;
    let sum_of = |bytes: &[u8]| version_2(0x21, 0x11, &[INET, &value(0x03, bytes)].concat());
    let cut_value = [INET, &value(0x05, b"id")[..4]].concat();
    for (bad, why) in [
        (version_2(0x11, 0x11, INET), "version"),
        (version_2(0x31, 0x11, INET), "version"),
        (version_2(0x22, 0x11, INET), "command"),
        (version_2(0x21, 0x41, INET), "family"),
        (version_2(0x21, 0x13, INET), "transport"),
        (version_2(0x21, 0x11, &INET[..11]), "addresses are cut"),
        (version_2(0x21, 0x11, b""), "addresses are cut"),
        (version_2(0x21, 0x21, INET), "addresses are cut"),
        (version_2(0x21, 0x31, INET), "addresses are cut"),
        (version_2(0x21, 0x11, &cut_value), "values"),
        (version_2(0x21, 0x11, &[INET, &[0x04]].concat()), "values"),
        (wrong_sum, "checksum"),
        (sum_of(&[0; 4]), "checksum"),
        (sum_of(&[0; 3]), "checksum"),
        (version_2(0x20, 0x00, &[0; PROXY_HEADER_BYTES_MAX - V2_FIXED_BYTES + 1]), "4 KiB"),
        (version_2(0x21, 0x11, &[0; u16::MAX as usize]), "4 KiB"),
    ] {
        match parse(&bad) {
            Parsed::Bad(said) => assert!(said.contains(why), "{said}, not {why}"),
            other => panic!("{why}: {other:?}"),
        }
    }
}

/// The check value of the catalogue of checksums, and a sum that stands once.
#[test]
fn sums_are_those_of_castagnoli() {
    assert_eq!(sum_without(b"123456789", 9), 0xe306_9283);
    let good = with_sum();
    let sum = good[V2_FIXED_BYTES + INET.len() + 12..][..7].to_vec();
    let mut twice = good;
    twice.extend_from_slice(&sum);
    let length = u16::from_be_bytes([twice[14], twice[15]]) + 7;
    twice[14..16].copy_from_slice(&length.to_be_bytes());
    assert!(matches!(parse(&twice), Parsed::Bad(_)));
}

/// What has come of a header is bounded, whatever comes with it.
#[test]
fn no_more_is_kept_than_a_header_may_have() {
    let mut long = [version_2(0x20, 0, &[7; 4000]), vec![b'x'; 100_000]].concat();
    let (mut first, mut second) = long.split_at_mut(1000);
    let mut before = Vec::new();
    assert_eq!(receive(&mut before, &mut first), Parsed::Incomplete);
    assert_eq!(receive(&mut before, &mut second), header("none", 4016));
    assert!(before.len() <= PROXY_HEADER_BYTES_MAX);
    assert_eq!(second.len(), 100_000);
}

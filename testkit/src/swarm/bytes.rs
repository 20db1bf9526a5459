//! What clients write: frames, and contents that a receiver can check.

/// The first byte of a whole text message.
pub const TEXT: u8 = 0x81;

/// The first byte of a whole binary message.
pub const BINARY: u8 = 0x82;

/// The longest payload of a server's frame that a client takes.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Random numbers that a seed decides (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(u64);

/// Bytes without repetition nearby: a slice of them tells where it was cut out.
#[derive(Clone, Debug)]
pub struct Pattern(Vec<u8>);

impl Rng {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    /// From 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number up to `max`, as often of one magnitude as of another.
    pub fn magnitude(&mut self, max: usize) -> usize {
        let bits = (max as f64 + 2.0).log2();
        let number = (self.unit() * bits).exp2() as usize;
        (number - 1).min(max)
    }
}

/// Slices begin below this prime.
const STARTS: usize = 65_521;

impl Pattern {
    /// ASCII that slices of up to `length` bytes can be cut out of.
    #[must_use]
    pub fn text(length: usize) -> Self {
        Self::new(length, |number| b' ' + (number % 95) as u8)
    }

    /// Bytes of all values that slices of up to `length` bytes can be cut out of.
    #[must_use]
    pub fn binary(length: usize) -> Self {
        Self::new(length, |number| number as u8)
    }

    /// The slice that belongs to a name.
    #[must_use]
    pub fn slice(&self, name: u64, length: usize) -> &[u8] {
        let start = (name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) as usize % STARTS;
        &self.0[start..start + length]
    }

    fn new(length: usize, byte: impl Fn(u64) -> u8) -> Self {
        let mut rng = Rng::new(7);
        Self((0..STARTS + length).map(|_| byte(rng.number() >> 32)).collect())
    }
}

/// Appends a masked frame; its payload is the `parts` one after the other.
pub fn put_frame(out: &mut Vec<u8>, first: u8, mask: u32, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(first);
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = mask.to_ne_bytes();
    out.extend_from_slice(&mask);
    let start = out.len();
    parts.iter().for_each(|part| out.extend_from_slice(part));
    apply_mask(&mut out[start..], mask);
}

fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let word = u64::from_ne_bytes(chunk.try_into().expect("it has 8 bytes")) ^ wide;
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Bytes of a server's frame: those of its head and those of its payload, once the head is there.
pub(super) fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "a whole frame without reserved bits, not {first:#04x}");
    assert!(matches!(first & 0x0f, 1 | 2 | 8 | 9 | 10), "a known opcode, not {first:#04x}");
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (head, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    assert!(length <= PAYLOAD_BYTES_MAX as u64, "a frame of {length} bytes");
    Some((head, length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_masked() {
        let mut out = Vec::new();
        put_frame(&mut out, TEXT, u32::from_ne_bytes([1, 2, 3, 4]), &[b"abcdefgh", b"ijk"]);
        assert_eq!(out[..6], [0x81, 0x80 | 11, 1, 2, 3, 4]);
        let plain = out[6..].iter().zip([1, 2, 3, 4].iter().cycle());
        assert_eq!(plain.map(|(byte, key)| byte ^ key).collect::<Vec<_>>(), b"abcdefghijk");
    }

    #[test]
    fn heads_of_all_lengths() {
        assert_eq!(measure(&[0x81]), None);
        assert_eq!(measure(&[0x82, 125]), Some((2, 125)));
        assert_eq!(measure(&[0x82, 126, 1]), None);
        assert_eq!(measure(&[0x82, 126, 1, 2]), Some((4, 258)));
        assert_eq!(measure(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Some((10, 65536)));
    }

    #[test]
    fn magnitudes_have_bounds() {
        let mut rng = Rng::new(1);
        for max in [0, 1, 2, 7, 8, 1000] {
            let numbers: Vec<usize> = (0..100_000).map(|_| rng.magnitude(max)).collect();
            assert_eq!((numbers.iter().min(), numbers.iter().max()), (Some(&0), Some(&max)));
        }
    }
}

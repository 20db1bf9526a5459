//! What can be written out and read back.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a connection knows, as bytes that another process can read. Everything that serde knows is
/// this; what has other means than serde implements it by itself.
pub trait Persist: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads it from the beginning of these bytes and takes it off them; nothing if it is not
    /// there.
    fn take(input: &mut &[u8]) -> Option<Self>;
}

impl<T: Serialize + DeserializeOwned> Persist for T {
    fn put(&self, out: &mut Vec<u8>) {
        let written = postcard::to_extend(self, std::mem::take(out));
        *out = written.expect("plain data can be written out, and memory grows");
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let (value, rest) = postcard::take_from_bytes(input).ok()?;
        *input = rest;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_one_behind_the_other() {
        let mut out = Vec::new();
        (7_u32, "seven".to_owned()).put(&mut out);
        Some(true).put(&mut out);
        let mut input = &out[..];
        assert_eq!(Persist::take(&mut input), Some((7_u32, "seven".to_owned())));
        assert_eq!(Persist::take(&mut input), Some(Some(true)));
        assert!(input.is_empty() && u8::take(&mut input).is_none());
    }
}

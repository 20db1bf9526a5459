//! Names of rooms, as callers give them.

use throng::limits::ROOM_NAME_BYTES_MAX;

use super::fault::Fault;

/// What a name has to be, for who gave another.
pub(super) const NEEDED: &str =
    "a room's name has 1 to 255 bytes, and no control characters (U+0000 to U+001F, U+007F)";

/// A name, if there may be a room of that name. Control characters are the beginning of topics
/// that are no rooms, which nobody publishes to or asks for from outside.
pub(super) fn checked<N: AsRef<str>>(name: N) -> Result<N, Fault> {
    let text = name.as_ref();
    let is_good = (1..=ROOM_NAME_BYTES_MAX).contains(&text.len())
        && !text.contains(|c: char| c.is_ascii_control());
    if is_good { Ok(name) } else { Err(Fault::BAD_REQUEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_length_and_no_control_characters() {
        let longest = "a".repeat(ROOM_NAME_BYTES_MAX);
        assert!(NEEDED.contains(&format!("{ROOM_NAME_BYTES_MAX} bytes")));
        for good in ["a", "a b", "é", "\u{80}", "#a?/", &longest] {
            assert_eq!(checked(good), Ok(good));
        }
        let longer = longest.clone() + "a";
        for bad in ["", &longer] {
            assert_eq!(checked(bad), Err(Fault::BAD_REQUEST), "{bad:?}");
        }
        for control in (0..0x20).chain([0x7f]).map(char::from) {
            for bad in [format!("{control}lobby"), format!("lob{control}by"), control.into()] {
                assert_eq!(checked(&bad), Err(Fault::BAD_REQUEST), "{bad:?}");
            }
        }
    }
}

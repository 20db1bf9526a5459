//! What clients say. A message follows from its sender, its number and its length alone, so that
//! whoever gets it can tell whether it is whole.

/// First byte of the frame that a text begins with.
pub(crate) const TEXT: u8 = 0x81;

/// First byte of the frame that other bytes begin with.
pub(crate) const BINARY: u8 = 0x82;

/// Digits of each number at the beginning of a text.
const DIGITS: usize = 8;

/// What a sender's messages are.
pub(crate) fn kind(sender: u32) -> u8 {
    if sender.is_multiple_of(3) { TEXT } else { BINARY }
}

/// A message: the sender, its number and so many characters or bytes.
pub(crate) fn make(sender: u32, number: u32, length: usize) -> Vec<u8> {
    let salt = sender.wrapping_mul(31) ^ number.wrapping_mul(7);
    let filler = (0..length as u32).map(|i| (i ^ salt) as u8);
    if kind(sender) == TEXT {
        let letter = |byte| if byte % 7 == 0 { 'é' } else { char::from(b'a' + byte % 26) };
        let text: String = filler.map(letter).collect();
        return format!("{sender:08x}{number:08x}{text}").into_bytes();
    }
    let stamp = [sender.to_be_bytes(), number.to_be_bytes()].concat();
    stamp.into_iter().chain(filler).collect()
}

/// The sender and the number of a message that came, if it is one and whole.
pub(crate) fn parse(first: u8, payload: &[u8]) -> Option<(u32, u32)> {
    let (sender, number, length) = if first == TEXT {
        let text = std::str::from_utf8(payload).ok()?;
        let number = |at| u32::from_str_radix(text.get(at..at + DIGITS)?, 16).ok();
        (number(0)?, number(DIGITS)?, text.get(2 * DIGITS..)?.chars().count())
    } else {
        let number = |at| payload.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four));
        (number(0)?, number(4)?, payload.len() - 8)
    };
    let is_whole = first == kind(sender) && payload == make(sender, number, length);
    is_whole.then_some((sender, number))
}

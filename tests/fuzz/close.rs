//! Close frames: codes and reasons of peers, and our own.

use throng::websocket::{Event, Scratch, Session};
use throng::wire::frame::{CONTROL_BYTES_MAX, put_close};
use throng::wire::{CloseCode, Violation};

use crate::source::outcome;

/// The codes that may stand in a frame: of RFC 6455, 7.4, and those registered since.
fn is_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

pub(crate) fn check(input: &[u8]) -> u64 {
    let payload = &input[..input.len().min(CONTROL_BYTES_MAX)];
    // With a mask of zeros a payload stays as it is.
    let mut frame = vec![0x88, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    let mut session = Session::new(None);
    let expected = match payload {
        [] => Ok(Some(Event::Close(None))),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            assert_eq!(
                CloseCode::from_wire(code).map(CloseCode::get),
                is_code(code).then_some(code)
            );
            match (is_code(code), std::str::from_utf8(reason)) {
                (false, _) => Err(Violation::BadClose),
                (true, Err(_)) => Err(Violation::BadUtf8),
                (true, Ok(_)) => Ok(Some(Event::Close(CloseCode::from_wire(code)))),
            }
        }
        [_] => Err(Violation::BadClose),
    };
    let mut scratch = Scratch::default();
    let found = session.next(&mut &mut frame[..], &mut scratch, 1000);
    assert_eq!(found, expected);
    let mut answer = Vec::new();
    match found {
        Ok(Some(Event::Close(code))) => session.answer_close(code, &mut answer),
        Ok(_) => panic!("a close frame is an event"),
        Err(violation) => session.fail(violation, &mut answer),
    }
    assert!(!session.is_open() && answer[0] == 0x88);
    assert_eq!(usize::from(answer[1]), answer.len() - 2, "a whole frame and nothing else");
    own(payload);
    outcome((payload.len().min(3), expected.is_ok(), answer.len()))
}

/// A reason of ours, of any text.
fn own(payload: &[u8]) {
    let text = String::from_utf8_lossy(payload);
    let most = text.len().min(CONTROL_BYTES_MAX - 2);
    let cut = (0..=most).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let mut out = Vec::new();
    put_close(&mut out, Some(CloseCode::NORMAL), &text[..cut]);
    assert_eq!((out[0], usize::from(out[1])), (0x88, 2 + cut));
    assert_eq!(out[4..], text.as_bytes()[..cut]);
}

//! From received bytes to messages, in place.

use super::link::State;
use super::{Behaviour, Net};
use crate::wire::{self, Head};

/// Handles bytes that a connection has received. Only what ends inside of a frame is copied.
pub(super) fn feed<B: Behaviour>(net: &mut Net, behaviour: &mut B, key: usize, bytes: &[u8]) {
    net.hold_writes(key);
    let mut carried = net.links[key].take_partial();
    if carried.is_empty() {
        let used = consume(net, behaviour, key, bytes);
        keep(net, key, &bytes[used..]);
    } else {
        carried.extend_from_slice(bytes);
        let used = consume(net, behaviour, key, &carried);
        carried.drain(..used);
        if !carried.is_empty() && !is_gone(net, key) {
            net.links[key].extra_mut().partial = carried;
        }
    }
    net.release_writes();
}

fn keep(net: &mut Net, key: usize, rest: &[u8]) {
    if !rest.is_empty() && !is_gone(net, key) {
        net.links[key].extra_mut().partial.extend_from_slice(rest);
    }
}

fn is_gone(net: &Net, key: usize) -> bool {
    net.links[key].state == State::Gone
}

/// Handles what is complete; gives how many bytes that was.
fn consume<B: Behaviour>(net: &mut Net, behaviour: &mut B, key: usize, bytes: &[u8]) -> usize {
    let mut used = 0;
    if net.links[key].state == State::Upgrading {
        match net.target().judge_response(bytes) {
            Ok(None) => return 0,
            Ok(Some(head_bytes)) => used = head_bytes,
            Err(why) => {
                net.end(key, Some(&why));
                return bytes.len();
            }
        }
        net.upgraded(key);
        behaviour.opened(net, key);
    }
    while !is_gone(net, key) {
        let head = match wire::read_head(&bytes[used..]) {
            Ok(Some(head)) => head,
            Ok(None) => return used,
            Err(violation) => {
                net.end(key, Some(violation.describe()));
                return bytes.len();
            }
        };
        let start = used + head.head_bytes;
        let Some(payload) = bytes.get(start..start + head.payload_bytes) else { return used };
        used = start + head.payload_bytes;
        frame(net, behaviour, key, head, payload);
    }
    bytes.len()
}

fn frame<B: Behaviour>(net: &mut Net, behaviour: &mut B, key: usize, head: Head, payload: &[u8]) {
    match head.opcode {
        wire::PING => {
            net.send(key, wire::PONG, payload);
            net.tally.pings += 1;
            let link = &mut net.links[key];
            link.pings = link.pings.saturating_add(1);
        }
        wire::PONG => {}
        wire::CLOSE => closed(net, behaviour, key, payload),
        wire::CONTINUATION => fragment(net, behaviour, key, head, payload),
        _ if !head.is_final => {
            let extra = net.links[key].extra_mut();
            extra.message_opcode = head.opcode;
            extra.message.extend_from_slice(payload);
        }
        _ => message(net, behaviour, key, payload),
    }
}

fn fragment<B: Behaviour>(
    net: &mut Net,
    behaviour: &mut B,
    key: usize,
    head: Head,
    payload: &[u8],
) {
    let extra = net.links[key].extra_mut();
    let is_first = extra.message_opcode == 0;
    if is_first || extra.message.len() + payload.len() > wire::FRAME_BYTES_MAX as usize {
        let why = if is_first { "a continuation of nothing" } else { "a message over 64 MiB" };
        net.end(key, Some(why));
        return;
    }
    extra.message.extend_from_slice(payload);
    if head.is_final {
        extra.message_opcode = 0;
        let whole = std::mem::take(&mut extra.message);
        message(net, behaviour, key, &whole);
    }
}

fn message<B: Behaviour>(net: &mut Net, behaviour: &mut B, key: usize, payload: &[u8]) {
    if !net.target().replies.is_empty() {
        let target = std::sync::Arc::clone(net.target());
        if let Some(reply) = target.reply_to(payload) {
            net.send(key, wire::TEXT, reply);
            return;
        }
    }
    behaviour.message(net, key, payload);
}

/// The server's close frame: an answer to ours, or the loss of the connection.
fn closed<B: Behaviour>(net: &mut Net, behaviour: &mut B, key: usize, payload: &[u8]) {
    let code = wire::close_code(payload);
    if net.links[key].state == State::Closing {
        net.tally.closes_answered += 1;
    } else {
        behaviour.closed(net, key, code, payload.get(2..).unwrap_or_default());
    }
    // The answer is still sent, whatever becomes of it.
    net.send(key, wire::CLOSE, &payload[..payload.len().min(2)]);
    net.release_writes();
    net.end(key, Some(&format!("closed by the server with code {code}")));
}

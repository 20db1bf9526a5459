//! How what is published in a topic is delivered: what the protocol says that has opened it here,
//! by the latest options.

use crate::driver::Wake;
use crate::hub::{EdgeId, RoomId, Rules};
use crate::protocol::Protocols;
use crate::worker::core::Parts;

/// The connection that speaks this has come to a topic: if it has opened it, its protocol says how.
pub(crate) fn note_join<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    edge: EdgeId,
    spoken: Option<&L::Spoken>,
) {
    let room = parts.hub.room_of(edge);
    if let (true, Some(spoken)) = (parts.hub.at(room).is_new(), spoken) {
        follow(parts, room, L::number(spoken));
    }
}

/// The options may have changed since the topic has looked at them.
#[inline]
pub(crate) fn renew<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, room: RoomId) {
    if let Some(protocol) = parts.hub.at(room).outdated(parts.settings.number()) {
        follow(parts, room, protocol);
    }
}

#[inline(never)]
fn follow<W: Wake, L: Protocols>(parts: &mut Parts<W, L>, room: RoomId, protocol: u8) {
    let topic = parts.hub.name(room).unwrap_or_default();
    let delivery = L::delivery(&parts.settings.setups, protocol, topic);
    let (options, backlog) = (parts.settings.number(), parts.config().max_backlog);
    parts.hub.set_rules(room, Rules { options, protocol, delivery, backlog });
}

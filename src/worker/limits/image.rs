//! What is measured of a connection, as it is written out.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::PerIp;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::protocol::Protocols;
use crate::worker::core::Parts;
use crate::worker::limits::{self, ClientImage};

/// Times are nanoseconds from now.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsImage {
    /// Who its client is.
    pub client: ClientImage,
    /// Whether that one is counted for it.
    pub is_counted: bool,
    /// Messages that were dropped because it did not keep up.
    pub dropped: u64,
    /// How far its messages and its bytes are ahead of what is paid for.
    pub ahead: (u64, u64),
    /// Until when it is paused.
    pub paused: Option<i64>,
    /// When it is as old as it may become.
    pub ends: Option<i64>,
}

/// Takes all that is known of a connection that leaves; nothing if nothing is.
pub(crate) fn take<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    now: Instant,
) -> Option<LimitsImage> {
    let measured = &mut parts.admission.limits;
    let image = LimitsImage {
        client: parts.admission.clients.take(conn.index),
        dropped: parts.out.dropped.remove(&conn.index).unwrap_or(0),
        is_counted: measured.is_counted(conn),
        ahead: measured.pace.as_ref().map_or((0, 0), |pace| pace.ahead(conn.index, now)),
        paused: measured.paused.take(conn, now).map(|(distance, _)| distance),
        ends: measured.ages.distance(conn.index, now),
    };
    limits::forget(parts, conn);
    Some(image).filter(|image| *image != LimitsImage::default())
}

/// Goes on with what was taken. It is counted as it was: the limits are for those who come.
pub(crate) fn put<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    image: Option<LimitsImage>,
    now: Instant,
) {
    let LimitsImage { client, dropped, is_counted, ahead, paused, ends } =
        image.unwrap_or_default();
    parts.admission.clients.restore(conn.index, client);
    if dropped > 0 {
        parts.out.dropped.insert(conn.index, dropped);
    }
    if is_counted {
        // Without limits nobody is refused.
        let _ = limits::count(parts, conn, PerIp::default());
    }
    if let Some(pace) = &mut parts.admission.limits.pace
        && ahead != (0, 0)
    {
        pace.set_ahead(conn.index, ahead, now);
    }
    if let Some(distance) = paused {
        parts.admission.limits.paused.put(conn, (distance, 0), now);
    }
    if let Some(distance) = ends {
        parts.admission.limits.ages.put(conn, distance, now);
    }
}

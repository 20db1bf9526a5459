//! What is measured of a connection, as it is written out.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::PerIp;
use crate::driver::Wake;
use crate::id::ConnId;
use crate::protocol::Protocols;
use crate::worker::core::Parts;
use crate::worker::limits::{self, ClientImage};

/// Who the client is, and what it has taken.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LimitsImage {
    /// See there.
    pub client: ClientImage,
    /// Nothing where nothing is measured.
    pub taken: Option<TakenImage>,
}

/// What a client has taken; times are nanoseconds from now.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenImage {
    /// Whether its client is counted for it.
    pub is_counted: bool,
    /// How far its messages and its bytes are ahead of what is paid for.
    pub ahead: (u64, u64),
    /// Until when it is paused.
    pub paused: Option<i64>,
    /// When it is as old as it may become.
    pub ends: Option<i64>,
}

/// Takes all that is known of a connection that leaves.
pub(crate) fn take<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    now: Instant,
) -> LimitsImage {
    let measured = &mut parts.admission.limits;
    let taken = TakenImage {
        is_counted: measured.is_counted(conn),
        ahead: measured.pace.as_ref().map_or((0, 0), |pace| pace.ahead(conn.index, now)),
        paused: measured.paused.take(conn, now).map(|(distance, _)| distance),
        ends: measured.ages.distance(conn.index, now),
    };
    limits::forget(parts, conn);
    let client = parts.admission.clients.take(conn.index);
    LimitsImage { client, taken: Some(taken).filter(|taken| *taken != TakenImage::default()) }
}

/// Goes on with that. It is counted as it was: the limits are for those who come.
pub(crate) fn put<W: Wake, L: Protocols>(
    parts: &mut Parts<W, L>,
    conn: ConnId,
    LimitsImage { client, taken }: LimitsImage,
    now: Instant,
) {
    parts.admission.clients.restore(conn.index, client);
    let TakenImage { is_counted, ahead, paused, ends } = taken.unwrap_or_default();
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

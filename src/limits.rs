//! Bounds that are not options, and how they relate.
//!
//! What happens at each bound stands beside it.

use std::time::Duration;

/// Bytes of a request head (request line and fields). More is answered with 431.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Fields of a request head. More is answered with 431.
pub const HEAD_FIELDS_MAX: usize = 128;

/// Bytes of a room's name after percent-decoding. A longer one is answered with 404.
pub const ROOM_NAME_BYTES_MAX: usize = 255;

/// From the last that we have to say (a close frame, or what was asked before a FIN) until the peer
/// has taken it. Afterwards the connection is closed, unless it is being taken: see
/// [`TAKE_TIMEOUT`].
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often somebody must take of what comes before an end, or of responses, who has not taken all
/// in the times above. The peer's kernel says so in steps, of a sixteenth of its receive buffer at
/// worst: some 400 KB of a buffer that has grown to 6 MB.
pub const TAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// From our FIN until the peer's, while what the peer still sends is read and thrown away: to close
/// while it sends would reset the connection, and take what was said last from the peer, or from
/// the proxy before it (RFC 9112, 9.6). Afterwards the connection is closed. Those over the limit
/// have [`LINGER_SILENCE`], since few may be told at a time: [`REFUSALS_MAX`].
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long nothing may come of a peer within [`LINGER_TIMEOUT`]. Afterwards the connection is
/// closed.
pub const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Bytes thrown away while lingering. A peer that sends more is reset, but not before the driver
/// has what is said to it.
pub const LINGER_BYTES_MAX: u32 = 64 << 20;

/// Bytes taken from a socket at once by the epoll driver.
pub const RECEIVE_BYTES: usize = 64 * 1024;

/// Completions handed out by a driver per turn; the rest waits for the next turn.
pub const COMPLETIONS_PER_TURN: usize = 1024;

/// What the messages of one turn may come to, each counted with its payload, inflated, and
/// [`MESSAGE_BYTES`]: a turn publishes so much at most, or little more with the last message. From
/// there on connections wait for the next turn with what they have sent.
pub const MESSAGES_PER_TURN_BYTES: usize = 4 << 20;

/// What a message counts beside its payload.
pub const MESSAGE_BYTES: usize = 32;

/// Pings in a turn before whose pongs a room gets what it has so far, in a run of its own. The
/// pongs beyond wait for the end of the turn, or pings between messages would make a run of each.
pub const RUNS_FOR_PONGS_PER_TURN: usize = 16;

/// Connections accepted by the epoll driver per listener and turn.
pub const ACCEPTS_PER_TURN: usize = 32;

/// Envelopes in a worker's mailbox. At the bound the sender keeps them in its outbox for that
/// worker and stops reading from those who publish.
pub const MAILBOX_CAPACITY: usize = 1024;

/// Capacity above which a buffer is freed after use and not pooled.
pub const POOLED_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Capacity that a growing buffer takes at once when it leaves the small sizes: from here on it has
/// pages of its own, which are not resident until they are written to.
pub const LARGE_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes up to which a buffer grows in small steps.
pub const SMALL_BUFFER_BYTES_MAX: usize = 2 * 1024;

/// Buffers that a pool keeps; the ones beyond are freed.
pub const POOLED_BUFFERS_MAX: usize = 64;

/// Messages shorter than this are not compressed: the saving is less than the work.
pub const DEFLATE_BYTES_MIN: usize = 1024;

/// Connections of a worker that its tables have room for from the start, however many are allowed:
/// containers often allow 2^30 descriptors. With more the tables grow, which copies them.
pub const RESERVED_CONNECTIONS_MAX: usize = 1 << 20;

/// Connections over the limit that may be told so with a 503 at the same time, per worker.
/// Those beyond are closed without an answer.
pub const REFUSALS_MAX: usize = 32;

/// What a client that got a 503 is asked to wait, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;

/// Cohorts that share one moment of pinging, at most.
pub const PING_COHORTS_MAX: usize = 256;

/// Pings that are queued in one turn; a larger cohort is continued in the next.
pub const PINGS_PER_TURN: usize = 1024;

/// Connections that are told 1001 in one turn when the server drains.
pub const GOODBYES_PER_TURN: usize = 1024;

/// How often pooled memory that was not needed since the last time is freed.
pub const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// A burst is over when pools have kept all that came back for so long: what it left among the
/// timers of handshakes is gone by then too.
pub const BURST_OVER: Duration = Duration::from_secs(10);

/// How exact timeouts are.
pub const TIMER_TICK: Duration = Duration::from_millis(20);

/// How often accepting is tried again after the descriptors ran out, if none was closed.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(500);

const _: () = {
    assert!(HEAD_BYTES_MAX <= RECEIVE_BYTES);
    assert!(LINGER_BYTES_MAX as usize >= RECEIVE_BYTES);
    assert!(LINGER_SILENCE.as_secs() < LINGER_TIMEOUT.as_secs());
    assert!(DEFLATE_BYTES_MIN > 0);
    assert!(PING_COHORTS_MAX <= u16::MAX as usize);
    assert!(PINGS_PER_TURN > 0 && GOODBYES_PER_TURN > 0);
};

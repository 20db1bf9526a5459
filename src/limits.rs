//! Bounds that are not options, and how they relate.
//!
//! What happens at each bound stands beside it.

use std::time::Duration;

/// Bytes of a request head (request line and fields). More is answered with 431.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Fields of a request head. More is answered with 431.
pub const HEAD_FIELDS_MAX: usize = 128;

/// Bytes of a header of the PROXY protocol. A longer one is answered with 400.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// Bytes of the body of a request that is held for those outside. A longer one is answered with
/// 413.
pub const API_BODY_BYTES_MAX: usize = 1 << 20;

/// Requests of a worker that are held for those outside, from their heads on: more are answered
/// with 503.
pub const HELD_REQUESTS_MAX: usize = 64;

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
pub const COMPLETIONS_PER_TURN: usize = 4096;

/// What a turn of a worker may cost, in units of about a nanosecond of a slow core: every loop of a
/// turn pays. What finds it spent waits for the next turn, in its order (ARCHITECTURE.md).
pub const TURN_BUDGET: u32 = 16 << 20;

/// An accept: two or three system calls, and the tables.
pub const ACCEPT_COST: usize = 4096;

/// The close of a connection.
pub const CLOSE_COST: usize = 4096;

/// A receive, beside a unit for each four bytes of it.
pub const RECEIVE_COST: usize = 512;

/// A frame of whatever kind, beside a unit for each byte of its message, inflated.
pub const FRAME_COST: usize = 32;

/// A request, beside a unit for each eight bytes of the response.
pub const REQUEST_COST: usize = 2048;

/// A frame of a message in parts, whose header is taken byte by byte.
pub const PART_COST: usize = 128;

/// A compressed byte that came, unless more comes out of it.
pub const INFLATE_BYTE_COST: usize = 64;

/// A question to the kernel where a connection comes from.
pub const PEER_COST: usize = 256;

/// A byte that is compressed.
pub const DEFLATE_BYTE_COST: usize = 8;

/// A send that is to be handed to the driver.
pub const SEND_COST: usize = 4096;

/// A run of frames put into the queue of one member, beside a unit for each eight bytes.
pub const DELIVERY_COST: usize = 64;

/// What a protocol has left to be done behind a call: a join, a leave, a message behind these. And
/// a subscription of a connection that goes.
pub const STEP_COST: usize = 512;

/// An envelope of mail.
pub const ENVELOPE_COST: usize = 512;

/// A deadline that is looked at, a ping, a goodbye.
pub const TIMER_COST: usize = 256;

/// A question to the driver, which is a system call.
pub const QUESTION_COST: usize = 1024;

/// A publisher that is asked whether it may go on.
pub const RELEASE_COST: usize = 128;

/// What the bytes of one connection may cost before the next one has its turn; the last message may
/// cost more.
pub const VISIT_COST: usize = 512 << 10;

/// What a delivery in one room may cost before other rooms have their turn; one member is always
/// delivered to.
pub const SLICE_COST: usize = 1 << 20;

/// Memory of what was published here or came by mail and is not delivered to all members. At the
/// bound publishers wait and no mail is read; a message of any size passes while there is none.
pub const UNDELIVERED_BYTES_MAX: usize = 16 << 20;

/// What a room may gather for its next delivery: publishers in it wait at the bound.
pub const GATHERED_BYTES_MAX: usize = 4 << 20;

/// The same while a delivery is under way, which is also the most that one delivery has, but for
/// a single longer run: members must have time to take one before the next waits behind it.
pub const DELIVERY_BYTES_MAX: usize = 512 << 10;

/// The least of that bound, where little may wait for subscribers: it is a quarter of what may.
pub const DELIVERY_BYTES_MIN: usize = 16 << 10;

/// Runs from other workers up to this size are copied together when several gather: each costs
/// every member an entry in its queue.
pub const MERGED_RUN_BYTES_MAX: usize = 4096;

/// From there on a run of copies takes no more.
pub const MERGED_BYTES_MAX: usize = 64 << 10;

/// Bytes that gather while a delivery is under way, up to which who leaves gets a copy of them.
pub const LEAVER_COPY_BYTES_MAX: usize = 64 << 10;

/// Bytes of a run that are compressed, and as much more as the last of these messages has. What
/// is behind goes as it is, and is counted.
pub const DEFLATE_BYTES_PER_RUN: usize = 1 << 20;

/// Pings in a turn before whose pongs a room gets what it has so far, in a run of its own. The
/// pongs beyond wait for the end of the turn, or pings between messages would make a run of each.
pub const RUNS_FOR_PONGS_PER_TURN: usize = 16;

/// Connections accepted per listener and turn: by epoll always, by io_uring while many wait to be
/// read.
pub const ACCEPTS_PER_TURN: usize = 32;

/// Bytes that the epoll driver writes in a turn of sends that rested, with [`SEND_COST`] for each.
/// The others come first in the next turn: a thousand slow readers that all take a megabyte would
/// stop a worker for a third of a second.
pub const RESUMED_BYTES_PER_TURN: usize = 4 << 20;

/// Envelopes in a worker's mailbox. At the bound the sender keeps them in its outbox for that
/// worker and stops reading from those who publish.
pub const MAILBOX_CAPACITY: usize = 1024;

/// Memory of what is in a worker's mailbox, with the same at the bound. Below it an envelope of any
/// size goes in.
pub const MAILBOX_BYTES_MAX: usize = 4 << 20;

/// How long a session may be in the middle of a message until [`MESSAGE_PROGRESS_BYTES`] more of it
/// have come, and a sixteenth of what was there. Afterwards it is closed with 1008.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// What must come of an unfinished message in that time at least, if not the rest of it.
pub const MESSAGE_PROGRESS_BYTES: u64 = 4096;

/// Memory that a connection may hold in an unfinished message or request, or by what waits for it,
/// where the process is over its budget of memory: of those above some are ended.
pub const SHED_BYTES_MIN: usize = 4096;

/// Connections looked at in a turn for what they hold, where the process is over its budget.
pub const SHED_LOOKS_PER_TURN: u32 = 4096;

/// Subscriptions of a connection. One more is refused to its protocol. All end together with the
/// connection, which takes some 5 ms then.
pub const SUBSCRIPTIONS_MAX: usize = 16 * 1024;

/// Bytes of a topic's name. A longer one is refused to the protocol.
pub const TOPIC_BYTES_MAX: usize = 255;

/// How long publications of a topic may gather before they leave.
pub const BATCH_DELAY_MAX: Duration = Duration::from_secs(1);

/// Questions that a connection may have open. One more is refused to its protocol.
pub const QUESTIONS_MAX: usize = 16;

/// How long a question may be open. Then it counts as answered by nobody.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Memory of the messages that wait while their connection is parked on a question, and one message
/// more. At the bound nothing is read of it.
pub const PARKED_BYTES_MAX: usize = 64 << 10;

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

/// Bytes by which a compressed message may be longer than twice what comes out of it, while it is
/// inflated. No compressor makes a message longer than it is by more than 5 bytes for each 64 KiB;
/// blocks that give nothing take 0.2 us a byte.
pub const EXPANSION_BYTES_MAX: usize = 4096;

/// Connections of a worker that its tables have room for from the start, however many are allowed:
/// containers often allow 2^30 descriptors. With more the tables grow, which copies them.
pub const RESERVED_CONNECTIONS_MAX: usize = 1 << 20;

/// Connections over a limit that may be told so (503, 429) at the same time, per worker.
/// Those beyond are closed without an answer.
pub const REFUSALS_MAX: usize = 32;

/// What a client that got a 503 is asked to wait, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;

/// The same where somebody has come or asked too fast: a second later some may.
pub const RATE_RETRY_SECONDS: u32 = 1;

/// Cohorts that share one moment of pinging, at most.
pub const PING_COHORTS_MAX: usize = 256;

/// Pings that are queued in one turn; a larger cohort is continued in the next.
pub const PINGS_PER_TURN: usize = 1024;

/// From the last that came from a peer until TCP asks whether it is there, where the server sends
/// no pings (`--ping-interval 0`).
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// From one such question to the next.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// So many questions without an answer end the connection.
pub const KEEPALIVE_PROBES: u32 = 6;

/// Connections a second that a stopping server closes at least, in the whole process: few take less
/// than the time of `--drain`.
pub const DRAIN_RATE_MIN: u32 = 100;

/// How long a stopping worker waits for the end of its accepts, which the kernel tells in a moment.
pub const LETTING_GO_MAX: Duration = Duration::from_secs(1);

/// Connections that are taken out of the queue of a listener that is being closed. Those behind
/// are reset.
pub const LAST_ACCEPTS_MAX: usize = 1024;

/// Slots of connections that are looked at in one turn when the server stops.
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

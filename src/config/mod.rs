//! Every option once: its name, default, bounds and meaning.
//!
//! A program that embeds the server fills a [`Config`], as the command line of ours does. Nothing
//! here opens, binds or starts anything: this module never does.

mod authority;
mod choice;
mod friends;
mod hosts;
mod limits;
mod listen;
mod networks;
mod origins;
mod pin;
mod rooms;
mod routes;
mod units;
mod unix;

pub use choice::{Backend, Compression, DrainCode, Over, Policy, Reconnect};
pub use friends::Relation;
pub use hosts::AllowedHosts;
pub use limits::{Limits, PerIp};
pub use listen::ListenAddr;
pub use networks::{NETWORKS_MAX, Networks};
pub use origins::AllowedOrigins;
pub use pin::Pin;
pub use rooms::{Delivery, ROOM_RULES_MAX, RoomRule, RoomRules};
pub use routes::Routes;
pub use units::{parse_count, parse_duration, parse_size};
pub use unix::{UnixGroup, UnixMode};

pub use crate::limits::{BATCH_DELAY_MAX, SUBSCRIPTIONS_MAX};

use std::time::Duration;

use crate::limits::{MAILBOX_CAPACITY, TURN_BUDGET};

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on, all at once.
    pub listen: Vec<ListenAddr>,
    /// Mode of the paths of Unix sockets; `None` leaves it to the umask.
    pub unix_mode: Option<UnixMode>,
    /// Group of the paths of Unix sockets; `None` leaves it to the process.
    pub unix_group: Option<UnixGroup>,
    /// Threads; 0 means one for each CPU that the affinity mask and the cgroup's quota leave, or
    /// for each that `pin` lists.
    pub workers: usize,
    /// Which CPUs the workers are pinned to.
    pub pin: Pin,
    /// The kernel interface.
    pub backend: Backend,
    /// Connections of the whole process; `None` means what the descriptor limits allow.
    pub max_connections: Option<usize>,
    /// Bytes of one message, received or inflated; larger ones end the connection with 1009.
    pub max_message_size: usize,
    /// Bytes of memory that may wait behind what is being sent to one connection: messages as
    /// they are before compression, and some 150 bytes for each run of them.
    pub max_backlog: usize,
    /// From one ping to the next; zero means none, and TCP's keepalive ends dead peers instead.
    pub ping_interval: Duration,
    /// From a ping's departure until anything must have come; zero means no deadline.
    pub pong_timeout: Duration,
    /// How long a peer may take nothing of what is being sent to it, from when a ping is due; zero,
    /// or no pings, means for ever.
    pub send_timeout: Duration,
    /// From accept, or from the first byte of another request, until a request head is complete.
    pub handshake_timeout: Duration,
    /// How long a connection may wait for another request; zero ends each behind its response.
    pub keep_alive: Duration,
    /// How long a server that is to stop still listens and accepts, while it says that it is not
    /// ready: for load balancers, which need a moment to see that.
    pub drain_delay: Duration,
    /// The time over which a stopping server closes its connections, one after the other; then it
    /// waits for [`crate::limits::CLOSE_TIMEOUT`] for the last answers.
    pub drain: Duration,
    /// The close code of a stopping server.
    pub drain_code: DrainCode,
    /// When its clients are asked to connect again.
    pub drain_reconnect: Reconnect,
    /// Origins of browsers that may connect beside the same host.
    pub allowed_origins: AllowedOrigins,
    /// Hosts that requests may be for; behind a proxy that passes `Host` on, the public name.
    pub allowed_hosts: AllowedHosts,
    /// Who tells by a header for whom it connects: by `Forwarded` or `X-Forwarded-For` (RFC 7239),
    /// or by the PROXY protocol.
    pub trusted_proxies: Networks,
    /// Whether connections of [`Config::trusted_proxies`] begin with a header of the PROXY protocol
    /// (version 1 or 2). It is not guessed: a proxy that passes bytes on and adds none would let
    /// its clients write one.
    pub proxy_protocol: bool,
    /// What clients may take.
    pub limits: Limits,
    /// Whether messages may be compressed.
    pub compression: Compression,
    /// Paths of upgrades that lead to rooms, beside `/room/{name}`.
    pub routes: Routes,
    /// What may be done in raw rooms.
    pub rooms: RoomRules,
    /// Whether `GET /rooms/{name}` tells everybody how many are in a room, and how fast the last
    /// message has reached them.
    pub room_info: bool,
    /// Whether `/api/…`, `/health` and `/ready` are there for clients too, answered by those who
    /// have [`crate::server::Server::questions`].
    pub api_public: bool,
    /// One in so many requests is logged, with its status; 0 is none.
    pub access_log: u32,
    /// Bytes that the process may allocate beside what it starts with, as `memory_in_use` says;
    /// `None` is half of what the host has or its cgroup allows. Above it connections are refused,
    /// and those that hold the most are ended.
    pub memory: Option<usize>,
    /// Bytes that the process has allocated, asked once a turn. A program that embeds the server
    /// and wants the bound counts them in its allocator, as the server's own does; by default
    /// nothing is counted, and there is no bound.
    pub memory_in_use: fn() -> usize,
    /// Envelopes in each worker's mailbox. Small ones are for tests.
    pub mailbox_capacity: usize,
    /// What a turn of a worker may cost: see [`TURN_BUDGET`]. Small ones are for tests.
    pub turn_budget: u32,
    /// Called by a worker when the memory of a burst has been freed: an allocator that keeps it may
    /// give it back to the system now. It must not take longer than a few milliseconds.
    pub on_burst_freed: fn(),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr::default()],
            unix_mode: None,
            unix_group: None,
            workers: 0,
            pin: Pin::Auto,
            backend: Backend::Auto,
            max_connections: None,
            max_message_size: 1 << 20,
            max_backlog: 1 << 20,
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(20),
            send_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(10),
            drain_code: DrainCode::default(),
            drain_reconnect: Reconnect::default(),
            allowed_origins: AllowedOrigins::default(),
            allowed_hosts: AllowedHosts::default(),
            trusted_proxies: Networks::default(),
            proxy_protocol: false,
            limits: Limits::default(),
            compression: Compression::default(),
            routes: Routes::default(),
            rooms: RoomRules::default(),
            room_info: true,
            api_public: false,
            access_log: 0,
            memory: None,
            memory_in_use: || 0,
            mailbox_capacity: MAILBOX_CAPACITY,
            turn_budget: TURN_BUDGET,
            on_burst_freed: || (),
        }
    }
}

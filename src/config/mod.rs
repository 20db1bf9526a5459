//! Every option once: its name, default, bounds and meaning.
//!
//! A program that embeds the server fills a [`Config`], as the command line of ours does. Nothing
//! here opens, binds or starts anything: this module never does.

mod authority;
mod choice;
mod friends;
mod hosts;
mod listen;
mod origins;
mod pin;
mod rooms;
mod routes;
mod units;
mod unix;

pub use choice::{Backend, Compression};
pub use friends::Relation;
pub use hosts::AllowedHosts;
pub use listen::ListenAddr;
pub use origins::AllowedOrigins;
pub use pin::Pin;
pub use rooms::{ROOM_RULES_MAX, RoomRule, RoomRules};
pub use routes::Routes;
pub use units::{parse_count, parse_duration, parse_size};
pub use unix::{UnixGroup, UnixMode};

use std::time::Duration;

use crate::limits;

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
    /// How long a stopping server waits for clients to answer its 1001.
    pub drain: Duration,
    /// Origins of browsers that may connect beside the same host.
    pub allowed_origins: AllowedOrigins,
    /// Hosts that requests may be for; behind a proxy that passes `Host` on, the public name.
    pub allowed_hosts: AllowedHosts,
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
    /// What a turn of a worker may cost: see [`limits::TURN_BUDGET`]. Small ones are for tests.
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
            drain: Duration::from_secs(10),
            allowed_origins: AllowedOrigins::default(),
            allowed_hosts: AllowedHosts::default(),
            compression: Compression::default(),
            routes: Routes::default(),
            rooms: RoomRules::default(),
            room_info: true,
            api_public: false,
            access_log: 0,
            memory: None,
            memory_in_use: || 0,
            mailbox_capacity: limits::MAILBOX_CAPACITY,
            turn_budget: limits::TURN_BUDGET,
            on_burst_freed: || (),
        }
    }
}

//! What all scenarios can be told: where the server is, how the loader works.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::stamp::STAMP_BYTES;
use loadtest::units::{
    Cpus, parse_count, parse_cpus, parse_duration, parse_header, parse_nonzero_duration,
    parse_rate, parse_reply,
};

/// What all scenarios have in common.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Common {
    /// Where to connect; {id} and {room} stand for those of a client [default: Throng's address]
    #[arg(long, value_name = "ws://HOST:PORT/PATH")]
    pub(crate) url: Option<String>,

    /// Start the server with this command, and stop it at the end
    #[arg(long, value_name = "CMD", conflicts_with = "server_pid")]
    pub(crate) spawn: Option<String>,

    /// Watch this process: its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<i32>,

    /// CPUs that the server may use: 0 or 0-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    pub(crate) server_cpus: Option<Cpus>,

    /// A field of the request: 'Name: value'; repeatable
    #[arg(long, value_name = "FIELD", value_parser = parse_header)]
    pub(crate) header: Vec<String>,

    /// A subprotocol to offer; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) subprotocol: Vec<String>,

    /// What a client sends when it is open; repeatable
    #[arg(long, value_name = "TEXT")]
    pub(crate) on_open: Vec<String>,

    /// With --on-open: how long the server gets for it, when all are open
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "500ms")]
    pub(crate) settle: Duration,

    /// What to answer to a message: '2=3' answers 2 with 3; repeatable
    #[arg(long, value_name = "A=B", value_parser = parse_reply)]
    pub(crate) reply: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) loader: LoaderArgs,
}

/// How the loader works and where its results go.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Loader")]
pub(crate) struct LoaderArgs {
    /// Clients
    #[arg(long, short = 'n', value_name = "N", value_parser = parse_count)]
    #[arg(default_value = "1000")]
    pub(crate) connections: u64,

    /// Threads; more where descriptor tables make it necessary [default: one per CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// CPUs that the loader may use
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    pub(crate) cpus: Option<Cpus>,

    /// Connects per second; 0 is flat out
    #[arg(long, value_name = "RATE", value_parser = parse_rate, default_value = "0")]
    pub(crate) connect_rate: f64,

    /// Connects under way at the same time, of all threads
    #[arg(long, value_name = "N", value_parser = parse_count, default_value = "1000")]
    pub(crate) connecting: u64,

    /// From a connect to the end of its handshake, and from a message to its last receiver
    #[arg(long, value_name = "DUR", value_parser = parse_nonzero_duration, default_value = "10s")]
    pub(crate) timeout: Duration,

    /// Sleep so long between looks: fewer wake-ups for the server to pay, and so much more latency
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "0")]
    pub(crate) nap: Duration,

    /// Write the report here, for programs and for compare
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the report here, as one page with plots
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// What the report is called
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
}

/// Parses the size of a measured message, which has room for its stamp.
pub(crate) fn parse_payload(text: &str) -> Result<usize, String> {
    let bytes = loadtest::units::parse_size(text)?;
    let is_enough = bytes >= STAMP_BYTES;
    is_enough.then_some(bytes).ok_or_else(|| {
        format!(
            "{STAMP_BYTES} bytes are the least: each message carries its sender, number and time"
        )
    })
}

//! Every option of the program once: its name, its variable, its default, its bounds, its meaning.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, Parser, Subcommand, ValueEnum};
use throng::config::{
    AllowedHosts, AllowedOrigins, Backend, Compression, Config, ListenAddr, Pin, UnixGroup,
    UnixMode, parse_count, parse_duration, parse_size,
};
use throng::doctor::Wish;

#[cfg(feature = "operator")]
use crate::operator::Place;

/// What stands below the options, once for all of them.
const UNITS: &str = "SIZE: 64KB is 64,000 bytes, 64KiB and 64K are 65,536; 1.5MiB. DUR: 500ms, \
                     25s, 1m30s. N of connections: 40000, 100k, 1m. A flag wins over its variable; \
                     an empty variable is not set.";

/// WebSocket server for very many connections.
/// Serves a chat page at /, echoes at /echo, and /room/NAME sends every message to
/// everybody in the room.
#[derive(Debug, Parser)]
#[command(name = "throng", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(disable_help_flag = true, disable_help_subcommand = true, arg = help())]
#[command(after_help = UNITS)]
pub(crate) struct Cli {
    /// What to do; nothing means `serve`.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The options of `serve` where the command is left out.
    #[command(flatten)]
    pub(crate) args: Args,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server (the default)
    #[command(after_help = UNITS)]
    Serve(Box<Args>),
    /// Say how many connections this host can hold, and what to raise for more
    Doctor(DoctorArgs),
}

/// The options of `doctor`: it judges a server with these of its options.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Connections that should fit; the exit code is 1 if they do not
    #[arg(long, value_name = "N", value_parser = connections)]
    pub(crate) connections: Option<usize>,

    /// Clients run on this machine too, each of them at one of that many addresses
    #[arg(long, value_name = "ADDRESSES", value_parser = connections)]
    pub(crate) local_clients: Option<usize>,

    /// Workers of the server [default: one per CPU that the cgroup's quota leaves]
    #[arg(long, value_name = "N", env = "THRONG_WORKERS", value_parser = workers)]
    pub(crate) workers: Option<usize>,

    /// Kernel interface of the server; auto takes io_uring where it works
    #[arg(long, env = "THRONG_BACKEND", value_parser = backend(), default_value = "auto")]
    pub(crate) backend: Backend,

    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// The options of the server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Addresses to listen on, all at once.
    #[arg(help = "Address to listen on: IP:PORT, :PORT (all addresses) or unix:/PATH; repeatable")]
    #[arg(help_heading = LISTENING)]
    #[arg(long, value_name = "ADDR", env = "THRONG_LISTEN", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:8080")]
    pub(crate) listen: Vec<ListenAddr>,

    /// Mode of Unix sockets, like 0660 [default: as the umask has it]
    #[arg(long, value_name = "MODE", env = "THRONG_UNIX_MODE", hide_short_help = true)]
    #[arg(help_heading = LISTENING)]
    pub(crate) unix_mode: Option<UnixMode>,

    /// Group of Unix sockets, by name or number [default: that of the process]
    #[arg(long, value_name = "GROUP", env = "THRONG_UNIX_GROUP", hide_short_help = true)]
    #[arg(help_heading = LISTENING)]
    pub(crate) unix_group: Option<UnixGroup>,

    /// Threads [default: one per CPU that the cgroup's quota leaves]
    #[arg(long, value_name = "N", env = "THRONG_WORKERS", value_parser = workers)]
    #[arg(help_heading = THREADS)]
    pub(crate) workers: Option<usize>,

    /// CPUs that threads are pinned to: auto (each has its own if there are as many threads as
    /// CPUs, else none), off, or a list like 0,2-5
    #[arg(long, value_name = "CPUS", env = "THRONG_PIN", default_value = "auto")]
    #[arg(help_heading = THREADS, hide_short_help = true)]
    pub(crate) pin: Pin,

    /// Kernel interface; auto takes io_uring where it works
    #[arg(help_heading = THREADS)]
    #[arg(long, env = "THRONG_BACKEND", value_parser = backend(), default_value = "auto")]
    pub(crate) backend: Backend,

    /// Connections of all workers together; more get a 503 [default: what nofile allows]
    #[arg(long, value_name = "N", env = "THRONG_MAX_CONNECTIONS", value_parser = connections)]
    #[arg(help_heading = LIMITS)]
    pub(crate) max_connections: Option<usize>,

    /// Largest message; a larger one closes its connection with 1009
    #[arg(long, value_name = "SIZE", env = "THRONG_MAX_MESSAGE_SIZE", value_parser = message_size)]
    #[arg(default_value = "1MiB")]
    #[arg(help_heading = LIMITS)]
    pub(crate) max_message_size: usize,

    /// Memory that may wait for a slow receiver behind the message being sent
    #[arg(long, value_name = "SIZE", env = "THRONG_MAX_BACKLOG", value_parser = parse_size)]
    #[arg(default_value = "1MiB")]
    #[arg(help_heading = LIMITS)]
    pub(crate) max_backlog: usize,

    /// Memory that the server may allocate [default: half of the host's or the cgroup's]
    #[arg(long, value_name = "SIZE", env = "THRONG_MEMORY", value_parser = memory)]
    #[arg(help_heading = LIMITS)]
    pub(crate) memory: Option<usize>,

    /// Time between pings; 0 is off, and TCP's keepalive ends the dead
    #[arg(long, value_name = "DUR", env = "THRONG_PING_INTERVAL", value_parser = parse_duration)]
    #[arg(default_value = "25s")]
    #[arg(help_heading = TIMES)]
    pub(crate) ping_interval: Duration,

    /// Time to show life after a ping; 0 is off
    #[arg(long, value_name = "DUR", env = "THRONG_PONG_TIMEOUT", value_parser = parse_duration)]
    #[arg(default_value = "20s")]
    #[arg(help_heading = TIMES, hide_short_help = true)]
    pub(crate) pong_timeout: Duration,

    /// Time to take something of what is being sent; 0 is off
    #[arg(long, value_name = "DUR", env = "THRONG_SEND_TIMEOUT", value_parser = parse_duration)]
    #[arg(default_value = "60s")]
    #[arg(help_heading = TIMES, hide_short_help = true)]
    pub(crate) send_timeout: Duration,

    /// Time for a client to complete a request
    #[arg(long, value_name = "DUR", env = "THRONG_HANDSHAKE_TIMEOUT")]
    #[arg(value_parser = timeout, default_value = "10s")]
    #[arg(help_heading = TIMES, hide_short_help = true)]
    pub(crate) handshake_timeout: Duration,

    /// Time for another request behind a response; 0 is off
    #[arg(long, value_name = "DUR", env = "THRONG_KEEP_ALIVE", value_parser = parse_duration)]
    #[arg(default_value = "75s")]
    #[arg(help_heading = TIMES, hide_short_help = true)]
    pub(crate) keep_alive: Duration,

    /// Time for clients to answer the 1001 of a stopping server
    #[arg(long, value_name = "DUR", env = "THRONG_DRAIN", value_parser = parse_duration)]
    #[arg(default_value = "10s")]
    #[arg(help_heading = TIMES)]
    pub(crate) drain: Duration,

    /// Browser origins allowed beside the same host: https://a.example,https://*.b.example or *
    #[arg(long, value_name = "LIST", env = "THRONG_ALLOWED_ORIGINS", default_value = "")]
    #[arg(hide_default_value = true, help_heading = LISTENING)]
    pub(crate) allowed_origins: AllowedOrigins,

    /// Hosts that requests may be for, others get 421: a.example,*.b.example:8080 [default: any]
    #[arg(long, value_name = "LIST", env = "THRONG_ALLOWED_HOSTS")]
    #[arg(help_heading = LISTENING, hide_short_help = true)]
    pub(crate) allowed_hosts: Option<AllowedHosts>,

    /// Compression of messages, for clients that offer it
    #[arg(long, env = "THRONG_COMPRESSION", value_parser = compression(), default_value = "on")]
    #[arg(help_heading = LIMITS, hide_short_help = true)]
    pub(crate) compression: Compression,

    /// Address of the operator's port, or off: health, metrics, dashboard, API
    /// [default: 127.0.0.1:8081]
    #[cfg(feature = "operator")]
    #[arg(long, value_name = "ADDR", env = "THRONG_OPERATOR", help_heading = LISTENING)]
    pub(crate) operator: Option<Place>,

    /// Key that callers of the operator's port show; needed where other hosts reach it
    #[cfg(feature = "operator")]
    #[arg(long, value_name = "KEY", env = "THRONG_OPERATOR_KEY", hide_env_values = true)]
    #[arg(help_heading = LISTENING, hide_short_help = true)]
    pub(crate) operator_key: Option<String>,

    /// What is logged; RUST_LOG wins
    #[arg(long, value_name = "LEVEL", env = "THRONG_LOG_LEVEL", value_enum)]
    #[arg(default_value = "info", help_heading = "Log")]
    pub(crate) log_level: LogLevel,
}

const LISTENING: &str = "Listening";
const THREADS: &str = "Threads";
const LIMITS: &str = "Limits";
const TIMES: &str = "Times";

/// The least important lines that are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What failed.
    Error,
    /// What somebody should look at.
    Warn,
    /// Start, stop, and what was decided by itself.
    Info,
    /// Details for who looks for a fault.
    Debug,
    /// Everything.
    Trace,
}

/// The long form of clap's own flag takes a screen more and says nothing more: `--help` is the
/// short form of all options, and `-h` that of the ones that matter most.
fn help() -> Arg {
    let action = ArgAction::HelpShort;
    Arg::new("help").short('h').long("help").help("Print help").action(action).global(true)
}

fn backend() -> impl TypedValueParser<Value = Backend> {
    PossibleValuesParser::new(Backend::ALL.map(Backend::name))
        .try_map(|name| name.parse::<Backend>())
}

fn compression() -> impl TypedValueParser<Value = Compression> {
    PossibleValuesParser::new(Compression::ALL.map(Compression::name))
        .try_map(|name| name.parse::<Compression>())
}

/// Threads are bounded by the 16 bits of a worker's number.
const WORKERS_MAX: usize = 1024;

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=WORKERS_MAX) => Ok(n),
        _ => Err(format!("a number from 1 to {WORKERS_MAX} is needed")),
    }
}

fn connections(text: &str) -> Result<usize, String> {
    match parse_count(text)? {
        n @ 1..=0x7fff_ffff => Ok(n),
        _ => Err("a number of at least 1 is needed".into()),
    }
}

/// Below it not even the buffers of some hundred clients fit.
const MEMORY_MIN: usize = 16 << 20;

fn memory(text: &str) -> Result<usize, String> {
    match text {
        "off" => Ok(usize::MAX),
        _ => parse_size(text)
            .ok()
            .filter(|size| *size >= MEMORY_MIN)
            .ok_or_else(|| "a size from 16MiB on like 512MiB or 4GiB is needed, or off".into()),
    }
}

fn message_size(text: &str) -> Result<usize, String> {
    match parse_size(text)? {
        n @ 1..=0x7fff_ffff => Ok(n),
        _ => Err("a size from 1 byte to 2 GiB is needed".into()),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("a duration above 0 is needed".into()),
        duration => Ok(duration),
    }
}

impl DoctorArgs {
    /// What is to be judged.
    pub(crate) fn wish(&self) -> Wish {
        let &Self { connections, local_clients, workers, backend, .. } = self;
        Wish { connections, local_clients, workers, backend }
    }
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        Self {
            listen: args.listen,
            unix_mode: args.unix_mode,
            unix_group: args.unix_group,
            pin: args.pin,
            workers: args.workers.unwrap_or(0),
            backend: args.backend,
            max_connections: args.max_connections,
            max_message_size: args.max_message_size,
            max_backlog: args.max_backlog,
            memory: args.memory,
            ping_interval: args.ping_interval,
            pong_timeout: args.pong_timeout,
            send_timeout: args.send_timeout,
            handshake_timeout: args.handshake_timeout,
            keep_alive: args.keep_alive,
            drain: args.drain,
            allowed_origins: args.allowed_origins,
            allowed_hosts: args.allowed_hosts.unwrap_or_default(),
            compression: args.compression,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_work_with_and_without_serve() {
        for words in [vec!["throng", "--workers", "3"], vec!["throng", "serve", "--workers", "3"]] {
            let cli = Cli::try_parse_from(words).expect("both forms are documented");
            let args = match cli.command {
                Some(Command::Serve(args)) => *args,
                None => cli.args,
                Some(Command::Doctor(_)) => panic!("nobody asked for it"),
            };
            assert_eq!(Config::from(args).workers, 3);
        }
    }

    #[test]
    fn defaults_of_the_command_line_are_those_of_the_library() {
        let cli = Cli::try_parse_from(["throng"]).expect("no option is required");
        let (ours, theirs) = (Config::from(cli.args), Config::default());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}

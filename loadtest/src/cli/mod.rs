//! The command line: every option once.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, Parser, Subcommand};

use loadtest::units::{
    Cpus, parse_count, parse_cpus, parse_duration, parse_header, parse_rate, parse_reply,
};

use crate::preset::PresetArgs;
use crate::scenario::broadcast::BroadcastArgs;
use crate::scenario::chat::ChatArgs;
use crate::scenario::churn::ChurnArgs;
use crate::scenario::connect::ConnectArgs;
use crate::scenario::echo::EchoArgs;
use crate::scenario::slow::SlowArgs;
use crate::scenario::soak::SoakArgs;

/// Measures WebSocket servers that hold very many connections.
///
/// The loader is on the same machine as the server or on another; each of its threads has a
/// descriptor table of its own, and on loopback clients come from all of 127.0.0.0/8.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(disable_help_flag = true, arg = help())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open connections, hold them, answer pings, count the survivors
    Connect(ConnectArgs),
    /// Every client sends and gets each message back
    Echo(EchoArgs),
    /// One message to all: each subscriber must get each exactly once
    Broadcast(BroadcastArgs),
    /// Rooms of a few, and everybody talks
    Chat(ChatArgs),
    /// Clients come and go at a rate
    Churn(ChurnArgs),
    /// A share of the receivers stops reading; what happens to the others
    Slow(SlowArgs),
    /// A mix of all that for a long time
    Soak(SoakArgs),
    /// What the kernel alone costs on this machine, for others to be compared with
    Floor(FloorArgs),
    /// The whole claim at 100,000: open, hold with pings, broadcast to all
    #[command(name = "100k")]
    HundredThousand(PresetArgs),
    /// The same at 1,000,000
    #[command(name = "1m")]
    Million(PresetArgs),
    /// Two reports side by side
    Compare {
        /// The first report, as --json wrote it
        a: PathBuf,
        /// The second one
        b: PathBuf,
    },
}

/// What `floor` measures, and where it goes.
#[derive(Clone, Debug, Args)]
pub(crate) struct FloorArgs {
    #[command(flatten)]
    pub(crate) options: loadtest::floor::Options,

    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

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
    #[arg(long, value_name = "DUR", value_parser = parse_duration, default_value = "10s")]
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

/// The long form of clap's own flag takes more than a screen and says nothing more.
fn help() -> Arg {
    let action = ArgAction::HelpShort;
    Arg::new("help").short('h').long("help").help("Print help").action(action).global(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_help_fits_on_a_screen() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands_mut() {
            let help = command.clone().term_width(100).render_help().to_string();
            assert!(help.lines().count() <= 50, "{help}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}

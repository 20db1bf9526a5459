//! The command line: the commands, each with the options of its module.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Args, Parser, Subcommand};

use crate::preset::PresetArgs;
use crate::scenario::abuse::AbuseArgs;
use crate::scenario::broadcast::BroadcastArgs;
use crate::scenario::chat::ChatArgs;
use crate::scenario::churn::ChurnArgs;
use crate::scenario::connect::ConnectArgs;
use crate::scenario::echo::EchoArgs;
use crate::scenario::slow::SlowArgs;
use crate::scenario::soak::SoakArgs;
use crate::scenario::storm::StormArgs;

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
    /// A share of the receivers never reads; what happens to them and to the others
    Slow(SlowArgs),
    /// A hostile mix beside honest clients, who must lose nothing
    Abuse(AbuseArgs),
    /// The server is restarted: who leaves when, and who comes back when
    Storm(StormArgs),
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

//! `loadtest`: measures WebSocket servers that hold very many connections.
//!
//! Its modules, and those of the library beside it, stand on floors: each names only those below
//! its own. `tests/descent.rs` reads this table and the sources.
//!
//! | floor | modules | what is there |
//! |---|---|---|
//! | 7 | `cli` | the commands |
//! | 6 | `preset` | a whole claim in one command |
//! | 5 | `scenario` | what connections do, and in which order they are told to |
//! | 4 | `run` | what every scenario needs around it |
//! | 3 | `report` | what was found: values, table, page |
//! | 2 | `engine` | very many clients from few threads |
//! | 1 | `floor` `measure` | the kernel alone; what is read from the kernel meanwhile |
//! | 1 | `options` `server` `target` | what all can be told; the process; where to connect |
//! | 0 | `clock` `html` `output` `place` `progress` `server_log` | what names nothing else |
//! | 0 | `signals` `softirq` `stamp` `template` `units` `wire` | |

#![allow(clippy::disallowed_methods, reason = "a measurement lives in real time")]

mod cli;
mod clock;
mod engine;
mod measure;
mod options;
mod output;
mod preset;
mod progress;
mod report;
mod run;
mod scenario;
mod server;
mod server_log;
mod signals;
mod stamp;
mod target;
mod template;
mod wire;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command, FloorArgs};
use loadtest::floor;
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        put_back();
        hook(panic);
    }));
    let result = signals::watch(put_back).and_then(|()| run(&cli.command));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<bool, String> {
    match command {
        Command::Connect(args) => scenario::connect::run(args),
        Command::Echo(args) => scenario::echo::run(args),
        Command::Broadcast(args) => scenario::broadcast::run(args),
        Command::Chat(args) => scenario::chat::run(args),
        Command::Churn(args) => scenario::churn::run(args),
        Command::Slow(args) => scenario::slow::run(args),
        Command::Abuse(args) => scenario::abuse::run(args),
        Command::Storm(args) => scenario::storm::run(args),
        Command::Soak(args) => scenario::soak::run(args),
        Command::Compare { a, b } => {
            let (of_a, of_b) = (report::read_json(a)?, report::read_json(b)?);
            let a = report::compare::Named { file: a, report: &of_a };
            let b = report::compare::Named { file: b, report: &of_b };
            print!("{}", report::compare::render(a, b));
            Ok(true)
        }
        Command::Floor(args) => measure_floor(args),
        Command::HundredThousand(args) => preset::run(args, &preset::HUNDRED_THOUSAND),
        Command::Million(args) => preset::run(args, &preset::MILLION),
    }
}

fn measure_floor(args: &FloorArgs) -> Result<bool, String> {
    let output = args.json.as_deref().map(Output::open).transpose()?;
    let floor = floor::run(&args.options).map_err(|error| format!("{error:#}"))?;
    print!("{floor}");
    if let Some(output) = output {
        let text = serde_json::to_string_pretty(&floor).map_err(|error| error.to_string())?;
        output.write(&(text + "\n"))?;
    }
    Ok(true)
}

/// What must not outlive this process, however it ends.
fn put_back() {
    server::kill_started();
    preset::sysctl::put_back();
}

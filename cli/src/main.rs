//! The program: from the command line to a server that runs, its log, its allocator, its exit.

#![deny(unsafe_code)]

mod allocator;
mod command_line;
mod config_command;
mod environment;
mod health;
mod log;
mod manual;
mod nearest;
mod options;
mod subscriber;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use throng::config::Config;
use throng::doctor::{self, Wish};
use throng::server::{Server, readiness, signals};

use command_line::Task;
use log::Log;
use options::{Inputs, Settings};

/// How long the end of the log may take; what is not written by then is lost.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The same where the process is to end at once.
const LAST_LINES_AT_ONCE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    allocator::return_large_memory();
    match Task::read() {
        Task::Doctor { wish, is_json } => examine(&wish, is_json),
        Task::Serve(inputs) => start(&inputs),
        Task::Check(inputs) => config_command::check(&inputs),
        Task::Print(inputs) => config_command::print_effective(&inputs),
        Task::Default => config_command::show(&options::template()),
        Task::Reference => config_command::show(&options::reference()),
        Task::Health(url) => health::check(&url),
        Task::Manual(folder) => {
            manual::pages(command_line::whole(), folder.as_deref()).unwrap_or_else(|e| fail(&e))
        }
        Task::Completions(shell) => manual::completions(command_line::whole(), shell),
    }
}

/// Says on standard output what this host can hold.
fn examine(wish: &Wish, is_json: bool) -> ExitCode {
    let report = match doctor::examine(wish) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let text = if is_json { report.to_json() } else { report.to_string() };
    let printed = config_command::show(&format!("{}\n", text.trim_end()));
    if report.is_good() { printed } else { ExitCode::FAILURE }
}

/// Says why nothing has begun, before there is a log.
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    // Where standard error is broken there is nobody to tell.
    let _ = writeln!(io::stderr(), "throng: {error}");
    ExitCode::FAILURE
}

/// Serves with a log, the end of which is written when nothing else is left to do.
fn start(inputs: &Inputs) -> ExitCode {
    let settings = match inputs.load() {
        Ok(all) => all.settings,
        Err(lines) => return config_command::complain(&lines),
    };
    let prepared = signals::hold();
    let prepared = prepared.and_then(|held| Ok((held, Log::to_stderr(settings.log.format)?)));
    let (held, log) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error),
    };
    start_log(&log, &settings);
    let code = serve(settings.config, held, &log).unwrap_or_else(|error| {
        log.tell(&error.to_string());
        ExitCode::FAILURE
    });
    Log::flush(&log, LAST_LINES);
    code
}

/// Lines of what happens, what the environment has that nobody reads, and panics.
fn start_log(log: &Log, settings: &Settings) {
    subscriber::start(log, settings.log);
    command_line::unknown_variables().iter().for_each(|line| tracing::warn!("{line}"));
    let log = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let backtrace = Backtrace::capture();
        let has_trace = backtrace.status() == BacktraceStatus::Captured;
        let backtrace = if has_trace { format!("\n{backtrace}") } else { String::new() };
        log.tell(&format!("{panic}{backtrace}"));
        Log::flush(&log, LAST_LINES);
    }));
}

fn serve(mut config: Config, held: signals::Held, log: &Log) -> Result<ExitCode, Box<dyn Error>> {
    config.on_burst_freed = allocator::return_holes;
    config.memory_in_use = allocator::in_use;
    let server = Server::start(config)?;
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    tracing::info!("{}", server.size());
    let log = log.clone();
    held.watch(server.stopper(), move || Log::flush(&log, LAST_LINES_AT_ONCE))?;
    readiness::tell_ready(&server);
    let counts = server.join()?;
    tracing::info!("stopped: {counts}");
    Ok(ExitCode::SUCCESS)
}

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
#[cfg(feature = "operator")]
mod operator;
mod options;
mod reload;
mod subscriber;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
#[cfg(feature = "operator")]
use std::sync::Arc;
use std::time::Duration;

use throng::config::Config;
use throng::doctor::{self, Wish};
use throng::server::{Inherited, Server, readiness, signals, watchdog};

use command_line::Task;
use log::Log;
use options::{Effective, Inputs, Settings};
use reload::{Reload, with_allocator};
use subscriber::LevelHandle;

/// How long the end of the log may take; what is not written by then is lost.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The same where the process is to end at once.
const LAST_LINES_AT_ONCE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    allocator::return_large_memory();
    // Before there are threads, and whatever is to be done: nobody else is to find them.
    let inherited = Inherited::take();
    match Task::read() {
        Task::Doctor { wish, is_json } => examine(&wish, is_json),
        Task::Serve(inputs) => start(inputs, inherited),
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
fn start(inputs: Inputs, inherited: Inherited) -> ExitCode {
    let mut options = match inputs.load() {
        Ok(options) => options,
        Err(lines) => return config_command::complain(&lines),
    };
    let prepared = signals::hold();
    let prepared =
        prepared.and_then(|held| Ok((held, Log::to_stderr(options.settings.log.format)?)));
    let (held, log) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return fail(&error),
    };
    let level = start_log(&log, &options.settings);
    with_allocator(&mut options.settings);
    let code = serve(inputs, options, (held, inherited), (&log, level)).unwrap_or_else(|error| {
        log.tell(&error.to_string());
        ExitCode::FAILURE
    });
    Log::flush(&log, LAST_LINES);
    code
}

/// Lines of what happens, what the environment has that nobody reads, and panics.
fn start_log(log: &Log, settings: &Settings) -> LevelHandle {
    let level = subscriber::start(log, settings.log);
    command_line::unknown_variables().iter().for_each(|line| tracing::warn!("{line}"));
    let log = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let backtrace = Backtrace::capture();
        let has_trace = backtrace.status() == BacktraceStatus::Captured;
        let backtrace = if has_trace { format!("\n{backtrace}") } else { String::new() };
        log.tell(&format!("{panic}{backtrace}"));
        Log::flush(&log, LAST_LINES);
    }));
    level
}

fn serve(
    inputs: Inputs,
    options: Effective,
    (held, inherited): (signals::Held, Inherited),
    (log, level): (&Log, LevelHandle),
) -> Result<ExitCode, Box<dyn Error>> {
    // Before the server, whose start it shows, and behind its end.
    #[cfg(feature = "operator")]
    let operator = operator::open(&options.settings, options.is_given("operator.listen"))?;
    let config = listen_on_passed(&options, &inherited);
    let Effective { settings, .. } = options;
    #[cfg(feature = "operator")]
    let is_public = settings.config.api_public;
    let server = Server::start_on(inherited, config)?;
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    #[cfg(feature = "operator")]
    let operator = operator.map(|operator| {
        if let Some(address) = operator.address() {
            tracing::info!("operator port on http://{address}");
        }
        Arc::new(operator.serve(server.monitor()))
    });
    #[cfg(feature = "operator")]
    if let Some(operator) = operator.as_ref().filter(|_| is_public) {
        operator.answer_clients(server.questions())?;
    }
    tracing::info!("{}", server.size());
    let log = log.clone();
    let reload = Reload::new(inputs, settings, server.reloader(), level);
    #[cfg(feature = "operator")]
    let reload = reload.with_operator(operator.clone());
    let mut reload = reload;
    let last_words = move || Log::flush(&log, LAST_LINES_AT_ONCE);
    held.watch(&server, move || reload.reload(), last_words)?;
    readiness::tell_ready(&server);
    watchdog::feed(server.monitor())?;
    let counts = server.join()?;
    tracing::info!("stopped: {counts}");
    Ok(ExitCode::SUCCESS)
}

/// Where nobody has said what to listen on, that is what a socket unit listens on.
fn listen_on_passed(options: &Effective, inherited: &Inherited) -> Config {
    let mut config = options.settings.config.clone();
    let passed = inherited.addresses();
    if !passed.is_empty() && !options.is_given("listen") {
        config.listen = passed;
    }
    config
}

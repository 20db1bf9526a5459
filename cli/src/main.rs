//! The program: from the command line to a server that runs, its log, its allocator, its exit.

#![deny(unsafe_code)]

mod allocator;
mod args;
mod command_line;
mod environment;
mod log;
#[cfg(feature = "operator")]
mod operator;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use throng::config::Config;
use throng::doctor;
use throng::server::{Server, readiness, signals};
use tracing_subscriber::EnvFilter;

use args::{Args, Cli, Command, DoctorArgs, LogLevel};
use log::Log;

/// How long the end of the log may take; what is not written by then is lost.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The same where the process is to end at once.
const LAST_LINES_AT_ONCE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    allocator::return_large_memory();
    let cli = Cli::read();
    match cli.command {
        Some(Command::Doctor(args)) => examine(&args).unwrap_or_else(|error| {
            // Where standard error is broken there is nobody to tell.
            let _ = writeln!(io::stderr(), "throng: {error}");
            ExitCode::FAILURE
        }),
        Some(Command::Serve(args)) => start(*args),
        None => start(cli.args),
    }
}

/// Says on standard output what this host can hold.
fn examine(args: &DoctorArgs) -> Result<ExitCode, Box<dyn Error>> {
    let report = doctor::examine(&args.wish())?;
    let text = if args.json { report.to_json() } else { report.to_string() };
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        // Whoever reads it may have read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(format!("cannot write to standard output: {error}").into());
        }
        _ => {}
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Serves with a log, the end of which is written when nothing else is left to do.
fn start(args: Args) -> ExitCode {
    let prepared = signals::hold().and_then(|held| Ok((held, Log::to_stderr()?)));
    let (held, log) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let _ = writeln!(io::stderr(), "throng: {error}");
            return ExitCode::FAILURE;
        }
    };
    start_log(&log, args.log_level);
    let code = serve(args, held, &log).unwrap_or_else(|error| {
        log.line(format!("throng: {error}\n").as_bytes());
        ExitCode::FAILURE
    });
    Log::flush(&log, LAST_LINES);
    code
}

/// Lines on standard error, `RUST_LOG` or else the level decides which.
fn start_log(log: &Log, level: LogLevel) {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let wish = std::env::var("RUST_LOG").ok().filter(|wish| !wish.is_empty());
    let filter = EnvFilter::try_new(wish.as_deref().unwrap_or(level));
    let complaint = filter.as_ref().err().map(ToString::to_string);
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(level)))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_writer(move || writer.clone())
        .log_internal_errors(false)
        .init();
    if let Some(complaint) = complaint {
        tracing::warn!("RUST_LOG is not understood ({complaint}): the level is {level}");
    }
    Cli::unknown_variables().iter().for_each(|line| tracing::warn!("{line}"));
    let log = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let backtrace = Backtrace::capture();
        let has_trace = backtrace.status() == BacktraceStatus::Captured;
        let backtrace = if has_trace { format!("\n{backtrace}") } else { String::new() };
        log.line(format!("throng: {panic}{backtrace}\n").as_bytes());
        Log::flush(&log, LAST_LINES);
    }));
}

fn serve(args: Args, held: signals::Held, log: &Log) -> Result<ExitCode, Box<dyn Error>> {
    // Before the server, whose start it shows, and behind its end.
    #[cfg(feature = "operator")]
    let operator = operator::open(args.operator.clone(), args.operator_key.clone())?;
    let mut config = Config::from(args);
    config.on_burst_freed = allocator::return_holes;
    config.memory_in_use = allocator::in_use;
    let server = Server::start(config)?;
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    #[cfg(feature = "operator")]
    let _operator = operator.map(|operator| {
        tracing::info!("operator port on http://{}", operator.address());
        operator.serve(server.monitor())
    });
    tracing::info!("{}", server.size());
    let log = log.clone();
    held.watch(server.stopper(), move || Log::flush(&log, LAST_LINES_AT_ONCE))?;
    readiness::tell_ready(&server);
    let counts = server.join()?;
    tracing::info!("stopped: {counts}");
    Ok(ExitCode::SUCCESS)
}

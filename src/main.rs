//! The command line of the server.

mod allocator;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use throng::config::{Cli, Command, Config, DoctorArgs};
use throng::doctor;
use throng::server::{Server, readiness, signals};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    allocator::return_large_memory();
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Doctor(args)) => examine(&args),
        Some(Command::Serve(args)) => serve(args.into()),
        None => serve(cli.args.into()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("throng: {error}");
        ExitCode::FAILURE
    })
}

/// Says on standard output what this host can hold.
fn examine(args: &DoctorArgs) -> Result<ExitCode, Box<dyn Error>> {
    let report = doctor::examine(args)?;
    let text = if args.json { report.to_json() } else { report.to_string() };
    // Whoever reads it may have read enough.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lines on standard error, `RUST_LOG` decides which.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_writer(std::io::stderr)
        .init();
}

fn serve(mut config: Config) -> Result<ExitCode, Box<dyn Error>> {
    config.on_burst_freed = allocator::return_holes;
    config.memory_in_use = allocator::in_use;
    start_log();
    let held = signals::hold()?;
    let server = Server::start(config)?;
    for address in server.addresses() {
        tracing::info!("listening on {address}");
    }
    tracing::info!(
        "{} workers, room for {} connections",
        server.workers(),
        server.connections_max()
    );
    held.watch(server.stopper())?;
    readiness::tell_ready(&server);
    let counts = server.join()?;
    tracing::info!("stopped: {counts}");
    Ok(ExitCode::SUCCESS)
}

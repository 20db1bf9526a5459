//! The command line of the server.

mod allocator;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use throng::config::{Cli, Command, Config};
use throng::server::{Server, signals};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    allocator::return_large_memory();
    let cli = Cli::parse();
    let args = match cli.command {
        Some(Command::Serve(args)) => args,
        None => cli.args,
    };
    start_log();
    match serve(args.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throng: {error}");
            ExitCode::FAILURE
        }
    }
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

fn serve(config: Config) -> Result<(), Box<dyn std::error::Error>> {
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
    server.join()?;
    tracing::info!("stopped");
    Ok(())
}

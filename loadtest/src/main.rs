//! The command line of the load tester.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use loadtest::floor;

/// Measures WebSocket servers that hold very many connections.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure what the kernel alone costs on this machine, for others to be compared with.
    Floor {
        #[command(flatten)]
        options: floor::Options,
        /// Also write the figures to this file.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Floor { options, json } => measure_floor(&options, json.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_floor(options: &floor::Options, json: Option<&Path>) -> Result<()> {
    let floor = floor::run(options)?;
    print!("{floor}");
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&floor)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

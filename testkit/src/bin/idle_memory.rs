//! Prints what idle connections cost the server: resident memory per connection.
//!
//! `cargo run --release -p testkit --bin idle_memory -- [--backend B] [--server PATH]`

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use testkit::swarm::memory;

const USAGE: &str = "usage: idle_memory [--backend epoll|io_uring] [--server PATH]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle_memory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut backends, mut server) = (vec!["epoll".to_owned(), "io_uring".to_owned()], None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match arg.as_str() {
            "--backend" => backends = vec![value],
            "--server" => server = Some(PathBuf::from(value)),
            _ => return Err(USAGE.into()),
        }
    }
    memory::raise_nofile()?;
    let server = server.map_or_else(build, Ok)?;
    for backend in backends {
        let idle = memory::idle(&memory::server(&server, &backend));
        println!("{backend}: {idle}");
        let other = || memory::server_that_pings_often(&server, &backend);
        let used = memory::used(&other(), &other());
        println!("{backend}: {used}");
    }
    Ok(())
}

/// Builds the server and finds it beside this program.
fn build() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("testkit has a parent")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--bin", "throng"]).current_dir(root);
    let status = command.status().map_err(|error| format!("cargo does not start: {error}"))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let server = program.with_file_name("throng");
    match status.success() && server.exists() {
        true => Ok(server),
        false => Err(format!("{} is not there: use --server PATH", server.display())),
    }
}

//! Measures WebSocket servers that hold very many connections. Its scenarios are not built yet.

fn main() -> std::process::ExitCode {
    eprintln!("loadtest: no scenarios are built yet");
    std::process::ExitCode::FAILURE
}

//! `throng config`: what the options are, what they come to, and what is wrong with them.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::command_line;
use crate::options::{self, Inputs};

/// What the command line has for faults of an operator.
const FAULTY: u8 = 2;

/// Says `ok`, or what is wrong; and which variables nobody reads, which is no fault.
pub(crate) fn check(inputs: &Inputs) -> ExitCode {
    for line in command_line::unknown_variables() {
        let _ = writeln!(io::stderr(), "warning: {line}");
    }
    match inputs.load() {
        Ok(_) => show("ok\n"),
        Err(lines) => complain(&lines),
    }
}

/// Prints what holds, and what gives it.
pub(crate) fn print_effective(inputs: &Inputs) -> ExitCode {
    match inputs.load() {
        Ok(all) => show(&options::effective(&all)),
        Err(lines) => complain(&lines),
    }
}

/// Tells faults of the options, each in a line of its own.
pub(crate) fn complain(lines: &[String]) -> ExitCode {
    let text: String = lines.iter().map(|line| format!("error: {line}\n")).collect();
    // Where standard error is broken there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(FAULTY)
}

/// Writes to standard output, which whoever reads it may close when that is enough.
pub(crate) fn show(text: &str) -> ExitCode {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "throng: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

//! What is going on: bars on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows one step after the other, on standard error.
pub(crate) struct Progress {
    is_terminal: bool,
    bar: Option<ProgressBar>,
    step: String,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { is_terminal, bar: None, step: String::new(), last_line: Instant::now() }
    }

    /// Begins a step with `total` parts.
    pub(crate) fn begin(&mut self, step: &str, total: u64) {
        self.end();
        step.clone_into(&mut self.step);
        self.last_line = Instant::now();
        if self.is_terminal {
            let style = ProgressStyle::with_template("{prefix:<24} {bar:30} {pos}/{len} {msg}");
            let bar = ProgressBar::new(total).with_prefix(step.to_owned());
            bar.set_style(style.expect("the template is a constant"));
            self.bar = Some(bar);
        } else {
            eprintln!("{step} ...");
        }
    }

    /// Tells how far it has come.
    pub(crate) fn update(&mut self, done: u64, total: u64, detail: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(detail.to_owned());
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            eprintln!("{} {done}/{total} {detail}", self.step);
        }
    }

    /// Ends the step.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

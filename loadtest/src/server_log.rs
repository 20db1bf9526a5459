//! What a started server says on standard error, read so that it never waits for us.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

/// Lines that are kept: the last ones.
const LINES_MAX: usize = 200;

/// How long the end of the log may take behind the end of the server.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The last lines.
#[derive(Debug)]
pub(crate) struct ServerLog {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected when there is no more to come.
    end: Receiver<()>,
}

impl ServerLog {
    /// Reads in a thread of its own until the end.
    pub(crate) fn read(stderr: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let (ended, end) = bounded(0);
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let mut kept = kept.lock().expect("no holder panics");
                if kept.len() >= LINES_MAX {
                    kept.pop_front();
                }
                kept.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            drop(ended);
        });
        Self { lines, end }
    }

    /// All that is kept, when the server has ended. A child of it may hold the log open.
    pub(crate) fn after_end(&self) -> Vec<String> {
        // It is never sent anything: this ends with the log, or in time.
        let _ = self.end.recv_timeout(END_TIMEOUT);
        self.lines.lock().expect("no holder panics").iter().cloned().collect()
    }
}

//! Questions to workers, from a task.
//!
//! Nothing that a worker's thread runs may wake the runtime: that writes to a descriptor, and a
//! worker has a table of its own, where that number is a client's socket. So a worker only lays
//! down its answer, and the task looks for it.

use std::sync::mpsc::{TryRecvError, sync_channel};
use std::time::Duration;

use throng::server::Monitor;
use throng::worker::{Inquiry, Report};
use tokio::time::{Instant, sleep};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// From one look for an answer, or attempt at a full mailbox, to the next.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a full mailbox is tried.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(100);

/// A worker that does not answer: it has stopped, or does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered;

/// Asks a worker.
pub(crate) async fn ask(
    monitor: &Monitor,
    worker: usize,
    inquiry: Inquiry,
) -> Result<Report, Unanswered> {
    let began = Instant::now();
    let (until, answered) = loop {
        let (answer, answered) = sync_channel(1);
        // Nobody may look for it any more.
        let reply = move |report| drop(answer.try_send(report));
        match monitor.ask(worker, inquiry.clone(), reply) {
            Ok(()) => break (Instant::now() + ANSWER_TIMEOUT, answered),
            Err(_) if began.elapsed() > ATTEMPT_TIMEOUT => return Err(Unanswered),
            Err(_) => sleep(PAUSE).await,
        }
    };
    loop {
        match answered.try_recv() {
            Ok(report) => return Ok(report),
            Err(TryRecvError::Empty) if Instant::now() < until => sleep(PAUSE).await,
            Err(_) => return Err(Unanswered),
        }
    }
}

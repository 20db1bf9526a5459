//! Whether the server lives, and whether it takes clients.
//!
//! Workers are asked only when somebody asks us, and at most once a second, so that an idle server
//! sleeps on. Alive is who has answered within [`STUCK_AFTER`]: a restart is a heavy remedy, so it
//! is slow to judge. Ready is judged at once.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use throng::server::Busy;
use throng::worker::Inquiry;
use tokio::time::{Instant, sleep};

use crate::respond;
use crate::state::State;

/// A question that lies so long without an answer says that a worker is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// From one question to the next.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a request waits for workers to answer before it judges by the questions before.
const WAIT: Duration = Duration::from_millis(500);
const WAIT_STEP: Duration = Duration::from_millis(1);

/// The questions to each worker.
#[derive(Debug)]
pub(crate) struct Pulses {
    began: Instant,
    workers: Vec<Arc<Pulse>>,
    asked_at: Mutex<Option<Instant>>,
}

/// The question to one worker.
#[derive(Debug, Default)]
struct Pulse {
    /// When it was asked, in milliseconds from the beginning and one more; 0 if it has answered.
    open_since: AtomicU64,
    /// Whether the question lies in its mailbox: not if that was full.
    is_under_way: AtomicBool,
}

/// Says that a worker has read a question, whatever it made of it.
struct Answered(Arc<Pulse>);

/// What `/health` and `/ready` say.
#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stuck_workers: Vec<usize>,
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.open_since.store(0, Ordering::Release);
        self.0.is_under_way.store(false, Ordering::Release);
    }
}

impl Pulses {
    /// Of so many workers, which are taken to live.
    pub(crate) fn new(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Arc::default()).collect();
        Self { began: Instant::now(), workers, asked_at: Mutex::new(None) }
    }

    /// Asks every worker that has answered, if the last time is long ago.
    fn ask(&self, post: impl Fn(usize, Answered) -> Result<(), Busy>) {
        let now = Instant::now();
        {
            let mut asked_at = self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if asked_at.is_some_and(|at| now - at < ASK_INTERVAL) {
                return;
            }
            *asked_at = Some(now);
        }
        for (worker, pulse) in self.workers.iter().enumerate() {
            if pulse.is_under_way.swap(true, Ordering::AcqRel) {
                continue;
            }
            let since = match pulse.open_since.load(Ordering::Acquire) {
                0 => self.millis(now) + 1,
                // Its mailbox was full before, and it has been behind since then.
                since => since,
            };
            pulse.open_since.store(since, Ordering::Release);
            if post(worker, Answered(Arc::clone(pulse))).is_err() {
                pulse.open_since.store(since, Ordering::Release);
            }
        }
    }

    /// Workers that have been asked long ago.
    fn stuck(&self) -> Vec<usize> {
        let latest = self.millis(Instant::now()).saturating_sub(STUCK_AFTER.as_millis() as u64);
        let is_stuck = |pulse: &Pulse| {
            let since = pulse.open_since.load(Ordering::Acquire);
            since != 0 && since <= latest
        };
        (0..self.workers.len()).filter(|worker| is_stuck(&self.workers[*worker])).collect()
    }

    fn is_answered(&self) -> bool {
        self.workers.iter().all(|pulse| pulse.open_since.load(Ordering::Acquire) == 0)
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.began).as_millis() as u64
    }
}

/// `/health`: whether it lives. While it starts, and while it stops, it does.
pub(crate) async fn health(Shared(state): Shared<Arc<State>>) -> Response {
    let stuck = match state.server() {
        Some(server) if !server.monitor.is_stopping() => {
            server.pulses.ask(|worker, answered| {
                server.monitor.ask(worker, Inquiry::Pulse, move |_| drop(answered))
            });
            let until = Instant::now() + WAIT;
            while !server.pulses.is_answered() && Instant::now() < until {
                sleep(WAIT_STEP).await;
            }
            server.pulses.stuck()
        }
        _ => Vec::new(),
    };
    let (code, status) = match stuck.is_empty() {
        true => (StatusCode::OK, "alive"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "stuck"),
    };
    respond::json(code, &Status { status, stuck_workers: stuck })
}

/// `/ready`: whether new clients are taken.
pub(crate) async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let status = match state.server() {
        None => "starting",
        Some(server) if server.monitor.is_stopping() => "draining",
        Some(server) if server.monitor.memory().is_over() => "over_memory",
        Some(_) => "ready",
    };
    let is_ready = status == "ready";
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    respond::json(code, &Status { status, stuck_workers: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        runtime.expect("it needs nothing of the host").block_on(test);
    }

    #[test]
    fn a_worker_is_stuck_when_a_question_lies_for_long() {
        block_on(async {
            let pulses = Pulses::new(2);
            let lies = Mutex::new(Vec::new());
            let ask = || {
                pulses.ask(|worker, answered| {
                    // The first answers, and the second does not.
                    if worker == 1 {
                        lies.lock().expect("nobody panics").push(answered);
                    }
                    Ok(())
                });
            };
            ask();
            assert!(!pulses.is_answered());
            sleep(STUCK_AFTER - ASK_INTERVAL).await;
            ask();
            assert!(pulses.stuck().is_empty(), "it may take its time");
            sleep(ASK_INTERVAL * 2).await;
            assert_eq!(pulses.stuck(), [1]);
            assert_eq!(lies.lock().expect("nobody panics").len(), 1, "it is asked once");
            lies.lock().expect("nobody panics").clear();
            assert!(pulses.is_answered());
            assert!(pulses.stuck().is_empty());
        });
    }

    #[test]
    fn a_full_mailbox_is_a_question_that_lies() {
        block_on(async {
            let pulses = Pulses::new(1);
            for _ in 0..12 {
                pulses.ask(|_, _| Err(Busy));
                sleep(ASK_INTERVAL).await;
            }
            assert_eq!(pulses.stuck(), [0]);
            pulses.ask(|_, answered| {
                drop(answered);
                Ok(())
            });
            assert!(pulses.stuck().is_empty());
        });
    }

    #[test]
    fn workers_are_asked_once_a_second_at_most_and_not_by_themselves() {
        block_on(async {
            let pulses = Pulses::new(1);
            let asked = AtomicU64::new(0);
            for _ in 0..40 {
                pulses.ask(|_, _| {
                    asked.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                sleep(ASK_INTERVAL / 4).await;
            }
            assert_eq!(asked.load(Ordering::Relaxed), 10);
            sleep(STUCK_AFTER * 3).await;
            assert!(pulses.stuck().is_empty(), "whom nobody asks is not stuck");
        });
    }
}

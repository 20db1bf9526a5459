//! Whether the server lives, and whether it takes clients.
//!
//! Workers are asked only when somebody asks us, and at most once a second, so that an idle server
//! sleeps on. Alive is who has answered within [`STUCK_AFTER`], or has made a turn: a worker that
//! has too much to do has a full mailbox whenever it is asked, and a restart would bring it more.
//! A restart is a heavy remedy, so it is slow to judge. Ready is judged at once.

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

/// A question that lies so long without an answer and without a turn says that a worker is stuck.
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
    /// When it was asked, or later was seen to turn, in milliseconds from the beginning and one
    /// more; 0 if it has answered.
    open_since: AtomicU64,
    /// Whether the question lies in its mailbox: not if that was full.
    is_under_way: AtomicBool,
    /// Turns that the worker had made when it was looked at.
    turns: AtomicU64,
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

impl Pulse {
    /// Sees how many turns the worker has made. If there are more than at the last look it lives,
    /// and a question that lies counts from now.
    fn look(&self, turns: u64, now: u64) {
        let since = self.open_since.load(Ordering::Acquire);
        let has_turned = self.turns.swap(turns, Ordering::Relaxed) != turns;
        if has_turned && since != 0 {
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            // It fails where the worker has answered meanwhile, which is as good.
            let _ = self.open_since.compare_exchange(since, now, success, failure);
        }
    }
}

impl Pulses {
    /// Of so many workers, which are taken to live.
    pub(crate) fn new(workers: usize) -> Self {
        let workers = (0..workers).map(|_| Arc::default()).collect();
        Self { began: Instant::now(), workers, asked_at: Mutex::new(None) }
    }

    /// Asks every worker that has answered, if the last time is long ago, and looks at how many
    /// turns each has made.
    fn ask(
        &self,
        turns: impl Fn(usize) -> u64,
        post: impl Fn(usize, Answered) -> Result<(), Busy>,
    ) {
        let now = Instant::now();
        {
            let mut asked_at = self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
            if asked_at.is_some_and(|at| now - at < ASK_INTERVAL) {
                return;
            }
            *asked_at = Some(now);
        }
        for (worker, pulse) in self.workers.iter().enumerate() {
            pulse.look(turns(worker), self.millis(now) + 1);
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

    /// Workers that have been asked long ago, and have not turned since then.
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
            let counters = server.monitor.counters();
            let turns = |worker: usize| counters[worker].turns.get();
            server.pulses.ask(turns, |worker, answered| {
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

    fn no_turns(_worker: usize) -> u64 {
        0
    }

    #[test]
    fn a_worker_is_stuck_when_a_question_lies_for_long() {
        block_on(async {
            let pulses = Pulses::new(2);
            let lies = Mutex::new(Vec::new());
            let ask = || {
                pulses.ask(no_turns, |worker, answered| {
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
                pulses.ask(no_turns, |_, _| Err(Busy));
                sleep(ASK_INTERVAL).await;
            }
            assert_eq!(pulses.stuck(), [0]);
            pulses.ask(no_turns, |_, answered| {
                drop(answered);
                Ok(())
            });
            assert!(pulses.stuck().is_empty());
        });
    }

    /// Whatever comes of the questions, and however rarely anybody asks.
    #[test]
    fn a_worker_that_turns_is_not_stuck_and_one_that_stops_is() {
        let full = |_: Answered| Err(Busy);
        let lies = |answered| {
            // As in the mailbox of a worker that never comes to it.
            std::mem::forget(answered);
            Ok(())
        };
        let posts: [&dyn Fn(Answered) -> Result<(), Busy>; 2] = [&full, &lies];
        for (post, every) in posts.iter().flat_map(|post| [(post, 1), (post, 5), (post, 60)]) {
            block_on(async {
                let (pulses, every) = (Pulses::new(1), ASK_INTERVAL * every);
                let turns = AtomicU64::new(7);
                let ask = || pulses.ask(|_| turns.load(Ordering::Relaxed), |_, pulse| post(pulse));
                for _ in 0..40 {
                    ask();
                    assert!(pulses.stuck().is_empty(), "it turns: {every:?}");
                    sleep(every).await;
                    turns.fetch_add(1, Ordering::Relaxed);
                }
                ask();
                sleep(STUCK_AFTER + every).await;
                ask();
                assert_eq!(pulses.stuck(), [0], "it does not turn any more: {every:?}");
            });
        }
    }

    #[test]
    fn workers_are_asked_once_a_second_at_most_and_not_by_themselves() {
        block_on(async {
            let pulses = Pulses::new(1);
            let asked = AtomicU64::new(0);
            for _ in 0..40 {
                pulses.ask(no_turns, |_, _| {
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

//! The service manager's watchdog (WatchdogSec= of a unit): it is told that the server lives as
//! long as every worker does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, io, process, thread};

use super::{Busy, Monitor, readiness};
use crate::worker::Inquiry;

/// Tells twice in each interval that the manager has asked for, on a thread of its own that ends
/// with the server; nothing is done where it has asked for none.
///
/// # Errors
///
/// If there can be no more threads.
pub fn feed(monitor: Monitor) -> io::Result<()> {
    let Some(interval) = interval() else { return Ok(()) };
    let workers = monitor.facts().workers;
    let mut pulses: Vec<Pulse> = (0..workers).map(|_| Pulse::default()).collect();
    let feed = move || {
        ask_all(&monitor, &mut pulses);
        while readiness::rest(interval / 2, &monitor) {
            let stuck = stuck(&monitor, &pulses);
            if stuck.is_empty() {
                readiness::tell("WATCHDOG=1\n", &[]);
            } else {
                tracing::warn!(?stuck, "workers do not answer: the watchdog is not told");
            }
            ask_all(&monitor, &mut pulses);
        }
    };
    thread::Builder::new().name("watchdog".into()).spawn(feed).map(drop)
}

/// sd_watchdog_enabled(3): WATCHDOG_PID says whose it is.
fn interval() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = env::var_os("WATCHDOG_PID").is_none()
        || number("WATCHDOG_PID") == Some(u64::from(process::id()));
    let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_ours)?;
    readiness::is_watched().then(|| Duration::from_micros(micros))
}

/// The question to one worker.
#[derive(Debug, Default)]
struct Pulse {
    is_answered: Arc<AtomicBool>,
    /// Whether the question lies in its mailbox.
    is_asked: bool,
    /// Turns that it had made when it was asked.
    turns: u64,
}

/// Says that a worker has read the question, whatever it made of it.
struct Answered(Arc<AtomicBool>);

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Pulse {
    /// Asks a worker, unless the last question still lies there.
    fn ask(&mut self, turns: u64, post: impl FnOnce(Answered) -> Result<(), Busy>) {
        self.turns = turns;
        if self.is_asked && !self.is_answered.load(Ordering::Acquire) {
            return;
        }
        self.is_answered = Arc::default();
        self.is_asked = post(Answered(Arc::clone(&self.is_answered))).is_ok();
        if !self.is_asked {
            self.is_answered.store(false, Ordering::Release);
        }
    }

    /// Whether the worker has answered, or has made a turn since it was asked: one that has too
    /// much to do has a full mailbox.
    fn lives(&self, turns: u64) -> bool {
        self.is_answered.load(Ordering::Acquire) || self.turns != turns
    }
}

fn ask_all(monitor: &Monitor, pulses: &mut [Pulse]) {
    for (worker, pulse) in pulses.iter_mut().enumerate() {
        pulse.ask(turns(monitor, worker), |answered| {
            monitor.ask(worker, Inquiry::Pulse, move |_| drop(answered))
        });
    }
}

/// Workers that have not answered.
fn stuck(monitor: &Monitor, pulses: &[Pulse]) -> Vec<usize> {
    let lives = |worker: &usize| pulses[*worker].lives(turns(monitor, *worker));
    (0..pulses.len()).filter(|worker| !lives(worker)).collect()
}

fn turns(monitor: &Monitor, worker: usize) -> u64 {
    monitor.counters()[worker].turns.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_or_turns_lives() {
        let mut pulse = Pulse::default();
        let mut lies = None;
        pulse.ask(7, |answered| {
            lies = Some(answered);
            Ok(())
        });
        assert!(!pulse.lives(7) && pulse.lives(8));
        pulse.ask(8, |_| unreachable!("the first still lies there"));
        assert!(!pulse.lives(8), "it has not turned since");
        drop(lies);
        assert!(pulse.lives(8));
        pulse.ask(8, |_| Err(Busy));
        assert!(!pulse.lives(8) && pulse.lives(9), "a full mailbox is no answer");
        pulse.ask(9, |answered| {
            drop(answered);
            Ok(())
        });
        assert!(pulse.lives(9));
    }
}

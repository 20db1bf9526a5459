//! Ctrl-C, SIGTERM and the end of the terminal: the run ends early, and what was changed is put
//! back.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// Whether somebody wants the run to end.
pub(crate) fn is_stopping() -> bool {
    IS_STOPPING.load(Ordering::Relaxed)
}

/// Starts something from a thread that gets all signals, as what it starts then does: a child
/// inherits which ones are held back, and few servers let them through by themselves.
pub(crate) fn start_open<T>(start: impl FnOnce() -> T) -> Result<T, String> {
    let held = SigSet::thread_get_mask().map_err(|error| error.to_string())?;
    SigSet::empty().thread_set_mask().map_err(|error| error.to_string())?;
    let started = start();
    held.thread_set_mask().map_err(|error| error.to_string())?;
    Ok(started)
}

/// Watches for the signals in a thread. To be called before any other thread starts, which inherit
/// that they do not get them. The second one ends everything at once, after `emergency`.
pub(crate) fn watch(emergency: fn()) -> Result<(), String> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGHUP);
    signals.thread_block().map_err(|error| error.to_string())?;
    let wait = move || {
        while signals.wait().is_ok() {
            if IS_STOPPING.swap(true, Ordering::Relaxed) {
                emergency();
                std::process::exit(130);
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(wait);
    thread.map(drop).map_err(|error| error.to_string())
}

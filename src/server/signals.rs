//! SIGTERM and SIGINT: the first stops the server in peace, the second at once.

use std::io;
use std::process::exit;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use super::{Stopper, readiness};

/// Signals that are held back until [`Held::watch`]; threads that are started inherit that.
#[derive(Debug)]
pub struct Held(SigSet);

/// Holds the signals back; call it before any thread is started.
///
/// # Errors
///
/// If the kernel will not mask them.
pub fn hold() -> io::Result<Held> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block()?;
    Ok(Held(signals))
}

impl Held {
    /// Waits for them on a thread of its own.
    ///
    /// # Errors
    ///
    /// If there can be no more threads.
    pub fn watch(self, stopper: Stopper) -> io::Result<()> {
        let watch = move || {
            for turn in 0.. {
                let signal = self.0.wait().expect("the set holds valid signals");
                if turn > 0 {
                    tracing::warn!("{signal} again: stopping at once");
                    exit(1);
                }
                tracing::info!("{signal}: stopping; once more stops at once");
                stopper.stop();
                readiness::tell_stopping();
            }
        };
        thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
    }
}

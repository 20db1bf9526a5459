//! Signals: the first SIGTERM or SIGINT stops the server in peace, the second at once. SIGHUP has
//! the options read again. SIGUSR1 and SIGUSR2, which would end the process, do nothing but a line
//! in the log.

use std::io;
use std::process::exit;
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use super::{Monitor, Server, Stopper, readiness};

/// Signals that are held back until [`Held::watch`]; threads that are started inherit that.
#[derive(Debug)]
pub struct Held(SigSet);

/// Holds the signals back; call it before any thread is started.
///
/// # Errors
///
/// If the kernel will not mask them.
pub fn hold() -> io::Result<Held> {
    let stopping = [Signal::SIGTERM, Signal::SIGINT];
    let others = [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
    let signals: SigSet = stopping.into_iter().chain(others).collect();
    signals.thread_block()?;
    Ok(Held(signals))
}

impl Held {
    /// Waits for them on a thread of its own. The last words are for an end at once; `reload` is
    /// what SIGHUP means.
    ///
    /// # Errors
    ///
    /// If there can be no more threads.
    pub fn watch(
        self,
        server: &Server,
        mut reload: impl FnMut() + Send + 'static,
        last_words: impl Fn() + Send + 'static,
    ) -> io::Result<()> {
        let (stopper, monitor) = (server.stopper(), server.monitor());
        let watch = move || {
            let mut is_stopping = false;
            loop {
                match self.0.wait().expect("the set holds valid signals") {
                    Signal::SIGHUP if is_stopping => tracing::info!("SIGHUP: stopping already"),
                    Signal::SIGHUP => {
                        readiness::tell_reloading();
                        reload();
                        readiness::tell_reloaded();
                    }
                    signal @ (Signal::SIGUSR1 | Signal::SIGUSR2) => ignore(signal),
                    signal if is_stopping => {
                        tracing::warn!("{signal} again: stopping at once");
                        last_words();
                        exit(1);
                    }
                    signal => {
                        is_stopping = true;
                        stop(signal, &stopper, &monitor);
                    }
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
    }
}

/// Acts first and tells afterwards: nobody to whom it is told may hold it up.
fn stop(signal: Signal, stopper: &Stopper, monitor: &Monitor) {
    stopper.stop();
    tracing::info!("{signal}: stopping; once more stops at once");
    readiness::tell_stopping(monitor.clone());
}

fn ignore(signal: Signal) {
    tracing::info!("{signal}: it means nothing here; going on");
}

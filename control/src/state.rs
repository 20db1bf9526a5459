//! What all requests share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use throng::server::Monitor;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::dashboard::Events;
use crate::health::Pulses;
use crate::options::Options;
use crate::publisher::Publisher;
use crate::sample::{Samples, Tasks};

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    rules: RwLock<Rules>,
    server: OnceLock<Server>,
    has_begun: Notify,
    /// For the dashboard.
    pub(crate) events: Events,
    /// Responses with a status below 400, of 4xx, and of 5xx.
    responses: [AtomicU64; 3],
}

/// What may be called, and with what.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) options: Arc<Options>,
    /// The listeners of clients lead here too: it has a key for as long as it runs.
    pub(crate) serves_clients: bool,
}

/// A server that has started.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) monitor: Monitor,
    pub(crate) pulses: Pulses,
    pub(crate) began: Instant,
    pub(crate) publisher: Publisher,
    pub(crate) tasks: Tasks,
    pub(crate) samples: Samples,
}

impl State {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules: RwLock::new(rules),
            server: OnceLock::new(),
            has_begun: Notify::new(),
            events: Events::new(),
            responses: Default::default(),
        }
    }

    /// From here on there is a server.
    pub(crate) fn begin(&self, monitor: Monitor) {
        self.server.get_or_init(|| Server {
            pulses: Pulses::new(monitor.facts().workers),
            began: Instant::now(),
            tasks: Tasks::find(monitor.facts().workers),
            samples: Samples::default(),
            publisher: Publisher::new(monitor.handle()),
            monitor,
        });
        self.has_begun.notify_waiters();
    }

    /// The server, once it has started.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.server.get()
    }

    /// Waits for the server.
    pub(crate) async fn started(&self) -> &Server {
        loop {
            let begins = self.has_begun.notified();
            // Who comes later finds it, and who waits already is told.
            match self.server() {
                Some(server) => return server,
                None => begins.await,
            }
        }
    }

    /// The options of this moment.
    pub(crate) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner).options)
    }

    /// Puts other rules in the place of those of this moment, if that may be; then nobody else
    /// does so in between.
    pub(crate) fn change_rules<E>(
        &self,
        change: impl FnOnce(&Rules) -> Result<Rules, E>,
    ) -> Result<(), E> {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        *rules = change(&rules)?;
        Ok(())
    }

    /// Counts a response.
    pub(crate) fn responded(&self, status: u16) {
        let class = match status {
            0..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        self.responses[class].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were, by class.
    pub(crate) fn responses(&self) -> [(&'static str, u64); 3] {
        let [good, client, server] = &self.responses;
        [("2xx", good), ("4xx", client), ("5xx", server)]
            .map(|(class, count)| (class, count.load(Ordering::Relaxed)))
    }
}

//! What all requests share.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use throng::server::Monitor;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::health::Pulses;
use crate::options::Options;
use crate::publisher::Publisher;

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    options: RwLock<Arc<Options>>,
    server: OnceLock<Server>,
    has_begun: Notify,
}

/// A server that has started.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) monitor: Monitor,
    pub(crate) pulses: Pulses,
    pub(crate) began: Instant,
    pub(crate) publisher: Publisher,
}

impl State {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options: RwLock::new(Arc::new(options)),
            server: OnceLock::new(),
            has_begun: Notify::new(),
        }
    }

    /// From here on there is a server.
    pub(crate) fn begin(&self, monitor: Monitor) {
        self.server.get_or_init(|| Server {
            pulses: Pulses::new(monitor.facts().workers),
            began: Instant::now(),
            publisher: Publisher::new(monitor.handle()),
            monitor,
        });
        self.has_begun.notify_one();
    }

    /// The server, once it has started.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.server.get()
    }

    /// Waits for the server; for one task.
    pub(crate) async fn started(&self) -> &Server {
        loop {
            match self.server() {
                Some(server) => return server,
                None => self.has_begun.notified().await,
            }
        }
    }

    /// The options of this moment.
    pub(crate) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_options(&self, options: Options) {
        *self.options.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(options);
    }
}

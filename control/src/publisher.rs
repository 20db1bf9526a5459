//! Publishing to rooms, which never waits for a worker but in a task.

use std::time::Duration;

use throng::server::{Busy, Handle};
use throng::wire::Kind;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How soon what found a full mailbox is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(2);

/// See the module.
#[derive(Debug)]
pub(crate) struct Publisher {
    handle: Handle,
    /// Told when something has found a full mailbox.
    waits: Notify,
}

impl Publisher {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, waits: Notify::new() }
    }

    /// Publishes all of these messages or none; tried until then where workers do not keep up.
    pub(crate) async fn publish<M: AsRef<[u8]>>(
        &self,
        room: &str,
        messages: &[(Kind, M)],
        until: Instant,
    ) -> Result<(), Busy> {
        loop {
            let borrowed = messages.iter().map(|(kind, message)| (*kind, message.as_ref()));
            let posted = self.handle.try_publish(room, borrowed);
            match posted {
                Ok(()) => {
                    if self.handle.forward() {
                        self.waits.notify_one();
                    }
                    return Ok(());
                }
                Err(Busy) if Instant::now() >= until => return Err(Busy),
                Err(Busy) => sleep(RETRY_PAUSE).await,
            }
        }
    }

    /// Brings on its way what has found a full mailbox; it runs until it is dropped.
    pub(crate) async fn forward(&self) {
        loop {
            self.waits.notified().await;
            while self.handle.forward() {
                sleep(RETRY_PAUSE).await;
            }
        }
    }
}
